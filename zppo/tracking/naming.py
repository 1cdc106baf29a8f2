"""Names and values as MLflow takes them."""

import hashlib
import json
import re

from pydantic import BaseModel

from zppo.core.flatten import leaves

MAX_NAME = 250
_REFUSED = re.compile(r"^\.+|[^A-Za-z0-9_.\- ]")
"""MLflow takes names for paths: besides most signs, it refuses empty parts, `.` and `..`."""


def metric_name(*parts: str) -> str:
    """A name that MLflow accepts, with `/` between the parts; different parts give different names.

    What had to be changed carries a short hash of what it was.
    """
    name = "/".join(_part(part) for part in parts)
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 9]}_{_hash(name)}"


def parameters(config: BaseModel) -> dict[str, str]:
    """A recipe as flat parameters: dotted paths, lists as JSON."""
    return {
        path: value if isinstance(value, str) else json.dumps(value)
        for path, value in leaves(config.model_dump(mode="json"))
    }


def _part(text: str) -> str:
    kept = _REFUSED.sub("_", text)
    return text if text and kept == text else f"{kept}_{_hash(text)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
