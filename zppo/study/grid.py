"""From a study to the runs that it consists of."""

import itertools
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError

from schemas.config.run import RunConfig
from schemas.config.study import StudyConfig, Variant
from schemas.errors import explain
from zppo.errors import InputError
from zppo.recipes import find_file, override, read_settings, resolve, shipped_recipes
from zppo.runs import check_name
from zppo.stores.identity import digest

_PACKAGE = Path(__file__).parents[1]
_SHIPPED = (_PACKAGE / "shipped_studies", _PACKAGE.parent / "deployments" / "studies")
"""In a wheel and in a checkout."""
STUDY_FILE = "study.yaml"
"""Of a study that has a directory of its own, which names it."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of the grid."""

    setting: str
    """`STUDY.VARIANT`, with a short hash of the factors' values where there are factors."""
    variant: str
    factors: Mapping[str, JsonValue]
    """The value of each factor, by its key."""
    seed: int
    recipe: RunConfig

    @property
    def name(self) -> str:
        """In the home."""
        return f"{self.setting}.s{self.seed}"


@dataclass(frozen=True)
class StudyPlan:
    """A study and all of its runs."""

    name: str
    study: StudyConfig
    runs: tuple[PlannedRun, ...]
    """Seed by seed, so that a study that stops early has every variant."""


def shipped_studies() -> dict[str, Path]:
    """The studies that come with the package, by name."""
    folder = next(folder for folder in _SHIPPED if folder.is_dir())
    files = [*folder.glob("*.yaml"), *folder.glob(f"*/{STUDY_FILE}")]
    return {_name(path): path for path in sorted(files)}


def load_plan(study: str, name: str | None = None) -> StudyPlan:
    """Read a study and work out every run of it, each recipe validated.

    Args:
        study: A name in `shipped_studies()`, or a path to a `.yaml` file.
        name: Of the study in the home; that of its file by default.

    Raises:
        InputError: The study or a recipe is not there or does not validate; for a recipe of the grid the
            message names variant, factors and seed.
    """
    path = find_file("study", study, shipped_studies())
    config = _study(read_settings(path), path)
    name = check_name(name or _name(path))
    settings = override(read_settings(_recipe(config.recipe, path)), config.set)
    runs = [run for variant in config.variants for run in _runs(config, name, variant, settings)]
    return StudyPlan(name, config, tuple(sorted(runs, key=lambda run: run.seed)))


def command(study: str, name: str, jobs: int) -> str:
    """The command line that runs a study, or goes on with it.

    Args:
        study: A shipped study, or the path of one.
        name: Of the study in the home.
        jobs: Runs at a time.
    """
    own = _name(Path(study)) if study.endswith((".yaml", ".yml")) else study
    named = ["--name", name] if name != own else []
    return shlex.join(["zppo", "study", study, *named, *(["--jobs", str(jobs)] if jobs > 1 else [])])


def _name(path: Path) -> str:
    return path.parent.absolute().name if path.name == STUDY_FILE else path.stem


def _study(settings: Mapping[str, Any], path: Path) -> StudyConfig:
    try:
        return StudyConfig.model_validate(settings)
    except ValidationError as error:
        lines = "\n".join(f"  {line}" for line in explain(error, StudyConfig))
        raise InputError(f"the study {path} is not valid:\n{lines}") from error


def _recipe(recipe: str, study: Path) -> Path:
    """The file of the study's recipe; a path is relative to the study's own."""
    is_path = recipe.endswith((".yaml", ".yml"))
    return find_file("recipe", str(study.parent / recipe) if is_path else recipe, shipped_recipes())


def _runs(
    study: StudyConfig, name: str, variant: Variant, settings: Mapping[str, Any]
) -> Iterator[PlannedRun]:
    """All runs of one variant: every combination of the factors' values, every seed."""
    for factors in _combinations(study):
        hashed = f".{digest(dict(factors))[:6]}" if factors else ""
        setting = f"{name}.{variant.name}{hashed}"
        seeds = study.seeds_of(variant)
        recipe = _resolved(settings, variant, factors, seeds[0])
        for seed in seeds:
            run = PlannedRun(setting, variant.name, factors, seed, recipe.model_copy(update={"seed": seed}))
            check_name(run.name)
            yield run


def _combinations(study: StudyConfig) -> Iterator[dict[str, JsonValue]]:
    keys = [factor.key for factor in study.factors]
    for values in itertools.product(*(factor.values for factor in study.factors)):
        yield dict(zip(keys, values, strict=True))


def _resolved(
    settings: Mapping[str, Any], variant: Variant, factors: Mapping[str, JsonValue], seed: int
) -> RunConfig:
    """The recipe of one run; the other seeds have the same."""
    place = ", ".join([f"variant {variant.name!r}", *(f"{key}={value}" for key, value in factors.items())])
    place = f"of {place}, seed {seed}"
    try:
        recipe = resolve(override(settings, variant.set, {**factors, "seed": seed}), place)
    except InputError as error:
        raise error if place in str(error) else InputError(f"the recipe {place}: {error}") from error
    if recipe.data.validation_questions == 0:
        raise InputError(
            f"the recipe {place} has data.validation_questions 0, but a study compares accuracies on the "
            "validation questions; give it some"
        )
    return recipe
