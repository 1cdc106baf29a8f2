"""Recipes: YAML files that say what a run computes."""

from collections.abc import Hashable, Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from pydantic import JsonValue, ValidationError

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
    path = find_file("recipe", recipe, shipped_recipes())
    overrides = tuple(overrides)
    settings = override(read_settings(path), overrides)
    return resolve(settings, " ".join([str(path), *(f"--set {each}" for each in overrides)]))


def read_settings(path: Path) -> dict[str, Any]:
    """The settings that a YAML file holds, not validated yet."""
    settings = _parse(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(settings, dict):
        raise InputError(f"{path} holds {type(settings).__name__}; expected a mapping of settings")
    return settings


def override(
    settings: Mapping[str, Any], overrides: Iterable[str], values: Mapping[str, JsonValue] | None = None
) -> dict[str, Any]:
    """A copy of `settings` with some replaced; unknown keys are left for validation to name.

    Args:
        settings: Of a recipe.
        overrides: Settings such as `method.tau=0.4`; values are YAML.
        values: More of them after those, each value by its dotted key.
    """
    changed = deepcopy(dict(settings))
    for each in overrides:
        key, equals, text = each.partition("=")
        if not equals or not all(key.strip().split(".")):
            raise InputError(f"--set takes KEY=VALUE, such as method.tau=0.4, not {each!r}")
        _replace(changed, key.strip(), _parse(text, f"--set {each}"), f"--set {each}")
    for key, value in (values or {}).items():
        _replace(changed, key, deepcopy(value), key)
    return changed


def resolve(settings: object, origin: str) -> RunConfig:
    """Validate `settings`, as YAML or JSON gave them; `origin` names them in the error."""
    try:
        return RunConfig.model_validate(settings)
    except ValidationError as error:
        lines = "\n".join(f"  {line}" for line in explain(error, RunConfig))
        hint = _HINT if "unknown setting of type" in lines else ""
        raise InputError(f"the recipe {origin} is not valid:\n{lines}{hint}") from error


def find_file(kind: str, name: str, shipped: Mapping[str, Path]) -> Path:
    """The YAML file that a name or a path stands for; `kind` says in errors what it should be."""
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise InputError(f"no {kind} at {path}; give a YAML file or one of {', '.join(shipped)}")
        return path
    if name not in shipped:
        raise InputError(f"no {kind} is named {name!r}; {nearest(name, shipped)} (a path ends in .yaml)")
    return shipped[name]


def _parse(text: str, origin: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise InputError(f"{origin} is not valid YAML: {error}") from error


def _replace(settings: dict[str, Any], path: str, value: Any, shown: str) -> None:
    """Write a value at a dotted path; `shown` is the override in errors."""
    *above, last = path.split(".")
    place: Any = settings
    for key in above:
        place = _step_into(place, key, shown)
    if isinstance(place, list):
        place[_index(place, last, shown)] = value
    else:
        place[last] = value


def _step_into(place: Any, key: str, shown: str) -> Any:
    inner = place[_index(place, key, shown)] if isinstance(place, list) else place.setdefault(key, {})
    if not isinstance(inner, dict | list):
        raise InputError(f"{shown}: {key!r} holds the value {inner!r}, it has no settings below it")
    return inner


def _index(items: list[Any], key: str, shown: str) -> int:
    if not key.isdigit() or int(key) >= len(items):
        raise InputError(f"{shown}: expected a position from 0 to {len(items) - 1}, got {key!r}")
    return int(key)
