"""Versions of the installed packages that take part in a run."""

from functools import cache
from importlib import metadata

_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "math-verify",
    "numpy",
    "pyarrow",
    "pydantic",
    "prefect",
    "mlflow",
)


@cache
def package_versions() -> dict[str, str]:
    """Version by package name; those that are not installed are left out."""
    installed = {}
    for name in _PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed
