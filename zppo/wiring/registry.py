"""Models of the registry: named in a recipe, pinned to a version, found on this machine."""

import os
from pathlib import Path

from schemas.config.run import Runtime
from schemas.run import ResolvedModel
from zppo.environment import tracking_uri
from zppo.tracking.registry import CHAMPION, ModelRegistry, RegisteredVersion

TRACKING_URI = "MLFLOW_TRACKING_URI"


def mlflow_uri(runtime: Runtime) -> str:
    """The tracking server, `MLFLOW_TRACKING_URI`, or else a database below the home.

    Read from the environment where it is needed: it may hold a password, which a field of `Runtime` would
    carry into Prefect's database.
    """
    return os.environ.get(TRACKING_URI) or tracking_uri(runtime.home)


def open_registry(runtime: Runtime) -> ModelRegistry:
    """The model registry of a runtime."""
    return ModelRegistry(mlflow_uri(runtime), runtime.home / "store" / "models")


def is_registry_name(model: str) -> bool:
    """Whether a recipe names a model of the registry."""
    return model == CHAMPION or model.startswith("models:/")


def resolve_version(reference: str, registered_model: str, runtime: Runtime) -> ResolvedModel:
    """The version that `champion` or `models:/NAME/VERSION` names now."""
    return pinned(open_registry(runtime).resolve(reference, registered_model))


def pinned(version: RegisteredVersion) -> ResolvedModel:
    """A version as a run refers to it."""
    return ResolvedModel(reference=version.reference, digest=f"sha256:{version.files_sha256}")


def version_directory(reference: str, registered_model: str, runtime: Runtime) -> Path:
    """Where the files of a version lie on this machine, downloaded if need be and checked."""
    registry = open_registry(runtime)
    return registry.directory(registry.resolve(reference, registered_model))
