"""Base classes of every model in this package."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from schemas.migrations import migrate


class Frozen(BaseModel):
    """An immutable value: unknown keys and non-finite numbers are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )


class Config(Frozen):
    """A part of a recipe: what is computed. Every field carries a docstring."""


class Artifact(Frozen):
    """A value that a stage writes to the store."""

    schema_version: int = 1
    """Version of this artifact's schema; readers take an older one up to it and refuse a newer one."""

    @model_validator(mode="before")
    @classmethod
    def _migrate(cls, content: Any) -> Any:
        known = cls.model_fields["schema_version"].default
        return migrate(cls.__name__, content, known) if isinstance(content, dict) else content

    @field_validator("schema_version")
    @classmethod
    def _is_known(cls, version: int) -> int:
        known = cls.model_fields["schema_version"].default
        if version > known:
            raise ValueError(
                f"schema version {version}, but this program reads versions up to {known}: the artifact was "
                "written by a newer program; upgrade this one"
            )
        return version


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


def any_of(schema: dict[str, Any]) -> None:
    """Let the JSON schema of a union take a value that does not name its type, as the model does.

    Where only one type may fit (`oneOf`), such a value is refused as soon as it fits two.

    Args:
        schema: Of the union; changed in place.
    """
    schema["anyOf"] = schema.pop("oneOf")
