"""Installed packages against what this program needs of them."""

import importlib.metadata
import platform
from collections.abc import Callable, Sequence

from packaging.requirements import Requirement

from schemas.doctor import Finding

Installed = Callable[[str], str]
"""The version of a distribution; raises `PackageNotFoundError` where it is not installed."""


def requirements(distribution: str = "zppo") -> list[Requirement]:
    """What the installed program asks for, extras left out."""
    asked = [Requirement(line) for line in importlib.metadata.requires(distribution) or ()]
    return [each for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})]


def check_versions(
    asked: Sequence[Requirement], installed: Installed = importlib.metadata.version
) -> list[Finding]:
    """One finding for each package that is missing or does not fit; else one for all."""
    wrong = [text for each in asked if (text := _misfit(each, installed))]
    if not wrong:
        return [
            Finding(check="versions", level="ok", found=f"{len(asked)} packages fit, {_summary(installed)}")
        ]
    todo = "install again into a new environment: pip install -c constraints.txt zppo"
    return [Finding(check="versions", level="problem", found=each, todo=todo) for each in wrong]


def _misfit(asked: Requirement, installed: Installed) -> str:
    try:
        version = installed(asked.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{asked.name} is not installed; needed {asked.specifier or 'any version'}"
    fits = asked.specifier.contains(version, prereleases=True)
    return "" if fits else f"{asked.name} {version} is installed; needed {asked.specifier}"


def _summary(installed: Installed) -> str:
    names = ("prefect", "mlflow", "torch", "transformers")
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{name} {installed(name)}" for name in names)]
    )
