"""Validation errors in a user's words: where, what was expected, what came, and the nearest valid name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Models = tuple[type[BaseModel], ...]


def explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One readable line for each problem that validation against `model` found."""
    return [_line(detail, model) for detail in error.errors(include_url=False)]


def nearest(name: str, known: Iterable[str]) -> str:
    """What to write instead of an unknown name: the closest known one, or all of them."""
    names = sorted(set(known))
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def _line(detail: ErrorDetails, model: type[BaseModel]) -> str:
    path, models = _resolve(detail["loc"], model)
    where = f"{'.'.join(path)}: " if path else ""
    return where + _problem(detail, path, models, model)


def _problem(detail: ErrorDetails, path: Sequence[str], models: Models, root: type[BaseModel]) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return _unknown_key(path[-1], models, root)
        case "missing":
            return f"required, but missing{_meaning(detail['loc'], root)}"
        case "union_tag_invalid":
            tag = str(detail["ctx"]["tag"])
            return f"unknown type {tag!r}; {nearest(tag, _tags(models))}"
        case "union_tag_not_found":
            return f"`type` is missing; expected one of {', '.join(sorted(_tags(models)))}"
        case "value_error":
            return str(detail["ctx"]["error"])
        case _:
            message = detail["msg"].replace("Input should be", "expected")
            return f"{message[0].lower()}{message[1:]}; got {_shown(detail['input'])}"


def _unknown_key(key: str, models: Models, root: type[BaseModel]) -> str:
    """`models` holds the model that refused the key first, then its siblings in a discriminated union."""
    model, *siblings = models
    tag = _tag(model)
    problem = f"unknown setting of type {tag!r}" if tag else "unknown setting"
    owners = [_tag(sibling) for sibling in siblings if key in sibling.model_fields]
    if owners:
        problem += f" (only {', '.join(owners)} {'has' if len(owners) == 1 else 'have'} it)"
    elsewhere = sorted({path for path in _paths(root) if path.rpartition(".")[2] == key})
    if elsewhere and not owners:
        return f"{problem}; did you mean {elsewhere[0]!r}?"
    return f"{problem}; {nearest(key, model.model_fields)}"


def _resolve(loc: tuple[int | str, ...], root: type[BaseModel]) -> tuple[list[str], Models]:
    """The path as a user writes it, without the union tags that pydantic puts in, and the models there."""
    path: list[str] = []
    models: Models = (root,)
    chosen = True
    for part in loc:
        tags = _tags(models)
        if not chosen and part in tags:
            model = tags[str(part)]
            models, chosen = (model, *(other for other in models if other is not model)), True
            continue
        path.append(str(part))
        if isinstance(part, str) and part in models[0].model_fields:
            inner = _models_in(models[0].model_fields[part].annotation)
            if inner:
                models, chosen = inner, len(inner) == 1
    return path, models


def _meaning(loc: tuple[int | str, ...], root: type[BaseModel]) -> str:
    """What belongs at `loc`: the field's docstring, or the settings below it."""
    _, models = _resolve(loc[:-1], root)
    field = models[0].model_fields.get(str(loc[-1]))
    if field is None:
        return ""
    if field.description:
        return f": {' '.join(field.description.split())}"
    inner = _models_in(field.annotation)
    return f"; its settings: {', '.join(sorted(inner[0].model_fields))}" if inner else ""


def _paths(root: type[BaseModel], prefix: str = "", around: Models = ()) -> Iterator[str]:
    """Dotted paths of every setting below `root`, without items of sequences and models within themselves."""
    for name, field in root.model_fields.items():
        yield prefix + name
        for model in _models_in(field.annotation):
            if model not in (*around, root):
                yield from _paths(model, f"{prefix}{name}.", (*around, root))


def _models_in(annotation: Any) -> Models:
    """The models that a type annotation names, through unions, tuples and `Annotated`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    return tuple(model for inner in get_args(annotation) for model in _models_in(inner))


def _tag(model: type[BaseModel]) -> str:
    """The value of a model's `type` field; empty where it has none."""
    field = model.model_fields.get("type")
    return str(field.default) if field is not None else ""


def _tags(models: Models) -> Mapping[str, type[BaseModel]]:
    return {tag: model for model in models if (tag := _tag(model))}


def _shown(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
