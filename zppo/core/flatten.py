"""Nested values as dotted paths."""

from collections.abc import Iterator

from pydantic import JsonValue


def leaves(value: JsonValue, path: str = "") -> Iterator[tuple[str, JsonValue]]:
    """The leaves of a JSON value with their dotted paths, in order.

    A list counts as one leaf unless it holds objects or lists; so do an empty object and an empty list.
    """
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for position, item in enumerate(value):
            yield from leaves(item, f"{path}.{position}" if path else str(position))
    else:
        yield path, value
