"""The committed JSON Schemas are those of the models, to the byte."""

import importlib
import json
import pkgutil

import jsonschema
import pytest
from pydantic import ValidationError

import schemas
from schemas.base import Artifact, Config
from schemas.export import EXPORTED, FOLDER, export, stale
from zppo.recipes import load_recipe, shipped_recipes


def models(base):
    for module in pkgutil.walk_packages(schemas.__path__, "schemas."):
        importlib.import_module(module.name)
    found, queue = set(), [base]
    while queue:
        children = {
            child for child in queue.pop().__subclasses__() if child.__module__.startswith("schemas.")
        }
        queue.extend(children - found)
        found |= children
    return found


def test_every_artifact_refuses_a_newer_version_of_its_schema():
    for model in models(Artifact):
        newer = model.model_fields["schema_version"].default + 1
        with pytest.raises(ValidationError, match="upgrade this one"):
            model.model_validate({"schema_version": newer})


def test_the_committed_schemas_are_up_to_date():
    assert stale(FOLDER) == []


@pytest.mark.parametrize("artifact", sorted(models(Artifact), key=str), ids=lambda model: model.__name__)
def test_every_artifact_is_exported(artifact):
    whole = [json.dumps(model.model_json_schema()) for model in EXPORTED.values()]
    assert artifact in EXPORTED.values() or any(f"/{artifact.__name__}" in text for text in whole)


@pytest.mark.parametrize("name", sorted(EXPORTED))
def test_every_schema_is_a_valid_json_schema(name):
    jsonschema.Draft202012Validator.check_schema(json.loads((FOLDER / f"{name}.json").read_text()))


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_resolved_recipe_fits_the_exported_schema(name):
    schema = json.loads((FOLDER / "recipe.json").read_text())
    jsonschema.validate(load_recipe(name).model_dump(mode="json"), schema)


@pytest.mark.parametrize("config", sorted(models(Config), key=str), ids=lambda model: model.__name__)
def test_every_configuration_part_is_frozen_and_refuses_unknown_keys(config):
    assert config.model_config["frozen"]
    assert config.model_config["extra"] == "forbid"


def test_export_removes_what_no_model_stands_for(tmp_path):
    (tmp_path / "gone.json").write_text("{}")
    assert "gone" in stale(tmp_path)
    export(tmp_path)
    assert stale(tmp_path) == []


def test_a_changed_schema_is_found(tmp_path):
    export(tmp_path)
    (tmp_path / "round.json").write_text("{}")
    assert stale(tmp_path) == ["round"]
