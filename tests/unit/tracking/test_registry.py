import shutil
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from schemas.promotion import Lineage
from zppo.errors import InputError, StoreError
from zppo.ports import TrackedRun
from zppo.tracking.mlflow import MlflowTracker
from zppo.tracking.registry import ModelRegistry, RegisteredVersion, model_files

LINEAGE = Lineage(
    run="a", round=80, student="pocket/student@sha256:0", run_fingerprint="1" * 64,
    checkpoint_fingerprint="2" * 64, evaluation_fingerprint="3" * 64, weights_sha256="4" * 64,
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Path:
    directory = tmp_path_factory.mktemp("registry")
    shutil.copy(mlflow_database, directory / "mlflow.db")
    return directory


@pytest.fixture(scope="module")
def uri(home: Path) -> str:
    return f"sqlite:///{home / 'mlflow.db'}"


@pytest.fixture(scope="module")
def run_id(home: Path, uri: str) -> str:
    tracker = MlflowTracker(uri, home / "mlartifacts", pytest.fail)
    tracker.start(TrackedRun("a", "key", {}))
    return tracker.run_id


@pytest.fixture
def registry(home: Path, uri: str) -> ModelRegistry:
    return ModelRegistry(uri, home / "models")


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """A registered model of its own for each test."""
    return f"student-{request.node.name}"


def _files(directory: Path, weights: bytes = b"weights") -> list[Path]:
    (directory / "model.safetensors").write_bytes(weights)
    (directory / "config.json").write_bytes(b"{}")
    return [directory / "model.safetensors", directory / "config.json"]


def test_a_registered_version_holds_the_checkpoint_and_its_lineage(
    registry: ModelRegistry, model: str, run_id: str, tmp_path: Path
) -> None:
    version = registry.register(model, _files(tmp_path), LINEAGE, run_id)
    assert version.reference == f"models:/{model}/1"
    directory = registry.directory(version)
    assert sorted(path.name for path in directory.iterdir()) == ["config.json", "model.safetensors"]
    assert (directory / "model.safetensors").read_bytes() == b"weights"
    assert version.tags["zppo.round"] == "80"
    assert version.tags["zppo.weights_sha256"] == LINEAGE.weights_sha256


def test_registering_the_same_again_registers_nothing(
    registry: ModelRegistry, model: str, run_id: str, tmp_path: Path, uri: str
) -> None:
    first = registry.register(model, _files(tmp_path), LINEAGE, run_id)
    assert registry.register(model, _files(tmp_path), LINEAGE, run_id) == first
    other = registry.register(model, _files(tmp_path, b"others"), LINEAGE, run_id)
    assert other.version == 2
    assert len(MlflowClient(uri).search_model_versions(f"name = '{model}'")) == 2


def test_champion_resolves_to_the_pinned_version_it_points_to(
    registry: ModelRegistry, model: str, run_id: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="has no champion yet"):
        registry.resolve("champion", model)
    versions: list[RegisteredVersion] = []
    for weights in (b"1", b"2"):
        versions.append(registry.register(model, _files(tmp_path, weights), LINEAGE, run_id))
        registry.crown(versions[-1])
        assert registry.resolve("champion", model) == versions[-1]
    assert registry.resolve(versions[0].reference, model) == versions[0]
    assert (registry.directory(versions[0]) / "model.safetensors").read_bytes() == b"1"


def test_a_version_that_does_not_exist_is_named_with_those_that_do(
    registry: ModelRegistry, model: str, run_id: str, tmp_path: Path
) -> None:
    registry.register(model, _files(tmp_path), LINEAGE, run_id)
    with pytest.raises(InputError, match=r"versions of .*: 1$"):
        registry.resolve(f"models:/{model}/7", model)
    with pytest.raises(InputError, match="expected 'champion' or 'models:/NAME/VERSION'"):
        registry.resolve("models:/x@latest", model)


def test_a_card_is_kept_beside_the_checkpoint_and_checked_when_it_is_read(
    registry: ModelRegistry, model: str, run_id: str, tmp_path: Path, home: Path
) -> None:
    version = registry.register(model, _files(tmp_path, b"with card"), LINEAGE, run_id, b'{"a": 1}')
    assert registry.card(version) == b'{"a": 1}'
    assert len(list(registry.directory(version).iterdir())) == 2
    for file in (home / "mlartifacts").glob("*/artifacts/model-card/*/card.json"):
        file.write_text("{}")
    with pytest.raises(StoreError, match=r"the card of .* is damaged"):
        registry.card(version)


def test_a_version_registered_without_a_card_has_none(
    registry: ModelRegistry, model: str, run_id: str, tmp_path: Path
) -> None:
    assert registry.card(registry.register(model, _files(tmp_path), LINEAGE, run_id)) is None


def test_tags_are_set_once_and_cut_to_what_the_registry_keeps(
    registry: ModelRegistry, model: str, run_id: str, tmp_path: Path
) -> None:
    version = registry.register(model, _files(tmp_path), LINEAGE, run_id)
    for _ in range(2):
        registry.tag(version, {"decision.reason": "x" * 6000})
        version = registry.resolve(version.reference, model)
    assert version.tags["zppo.decision.reason"] == "x" * 5000


def test_what_a_killed_upload_left_does_no_harm_to_a_version(
    registry: ModelRegistry, model: str, run_id: str, tmp_path: Path
) -> None:
    version = registry.register(model, _files(tmp_path), LINEAGE, run_id)
    left = registry.directory(version) / ".artifact.uploading.abc"
    left.write_bytes(b"half of a file")
    assert left not in model_files(registry.directory(version))


def test_a_damaged_version_is_refused(
    registry: ModelRegistry, model: str, run_id: str, tmp_path: Path
) -> None:
    version = registry.register(model, _files(tmp_path), LINEAGE, run_id)
    (registry.directory(version) / "config.json").write_bytes(b"[]")
    with pytest.raises(StoreError, match="is damaged: expected SHA-256"):
        registry.directory(version)
