"""Recipes: YAML files that say what a run computes."""

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from schemas.config.run import RunConfig
from schemas.errors import explain, nearest
from zppo.errors import InputError

_PACKAGE = Path(__file__).parent
_SHIPPED = (_PACKAGE / "shipped_recipes", _PACKAGE.parent / "deployments" / "recipes")
"""In a wheel and in a checkout."""
_HINT = "\n  (another type: replace the whole part, as in --set 'method={type: grpo}')"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, except that a key written twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                mark = node.value[index][0].start_mark
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=mark)
        return super().construct_mapping(node, deep)


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = next(folder for folder in _SHIPPED if folder.is_dir())
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_recipe(recipe: str, overrides: Iterable[str] = ()) -> RunConfig:
    """The validated run configuration of a shipped recipe or of a YAML file.

    Args:
        recipe: A name in `shipped_recipes()` or a path to a `.yaml` file.
        overrides: Settings such as `method.tau=0.4` or `data.sources.0.count=100`; values are YAML.

    Raises:
        InputError: The recipe is not there, is not YAML, or does not validate.
    """
    path = _find(recipe)
    settings = _parse(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(settings, dict):
        raise InputError(f"{path} holds {type(settings).__name__}; a recipe is a mapping of settings")
    overrides = tuple(overrides)
    for override in overrides:
        _override(settings, override)
    return resolve(settings, " ".join([str(path), *(f"--set {override}" for override in overrides)]))


def resolve(settings: object, origin: str) -> RunConfig:
    """Validate `settings`, as YAML or JSON gave them; `origin` names them in the error."""
    try:
        return RunConfig.model_validate(settings)
    except ValidationError as error:
        lines = "\n".join(f"  {line}" for line in explain(error, RunConfig))
        hint = _HINT if "unknown setting of type" in lines else ""
        raise InputError(f"the recipe {origin} is not valid:\n{lines}{hint}") from error


def _find(recipe: str) -> Path:
    if recipe.endswith((".yaml", ".yml")):
        path = Path(recipe)
        if not path.is_file():
            raise InputError(
                f"no recipe at {path}; give a YAML file or one of {', '.join(shipped_recipes())}"
            )
        return path
    shipped = shipped_recipes()
    if recipe not in shipped:
        raise InputError(f"no recipe is named {recipe!r}; {nearest(recipe, shipped)} (a path ends in .yaml)")
    return shipped[recipe]


def _parse(text: str, origin: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise InputError(f"{origin} is not valid YAML: {error}") from error


def _override(settings: dict[str, Any], override: str) -> None:
    """Write one `a.b=c` into `settings`; unknown keys are left for validation to name."""
    path, equals, value = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise InputError(f"--set takes KEY=VALUE, such as method.tau=0.4, not {override!r}")
    place: Any = settings
    for key in keys[:-1]:
        place = _step_into(place, key, override)
    parsed = _parse(value, f"--set {override}")
    if isinstance(place, list):
        place[_index(place, keys[-1], override)] = parsed
    else:
        place[keys[-1]] = parsed


def _step_into(place: Any, key: str, override: str) -> Any:
    inner = place[_index(place, key, override)] if isinstance(place, list) else place.setdefault(key, {})
    if not isinstance(inner, dict | list):
        raise InputError(f"--set {override}: {key!r} holds the value {inner!r}, it has no settings below it")
    return inner


def _index(items: list[Any], key: str, override: str) -> int:
    if not key.isdigit() or int(key) >= len(items):
        raise InputError(f"--set {override}: expected a position from 0 to {len(items) - 1}, got {key!r}")
    return int(key)
