import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.config.models import DecodingConfig
from schemas.config.run import Runtime
from schemas.evaluation import Interval
from schemas.promotion import AccuracyFact, DataFact, ModelFact, RegisteredCard
from tests.mlflow_servers import free_port, mlflow_server
from tests.unit.wiring.registries import LINEAGE, MODEL, Registry, open_test_registry, small_files
from zppo.errors import InputError, StoreError
from zppo.models.loading import checkpoint_files
from zppo.wiring.pull import pull

POCKET = Path(__file__).parents[3] / "zppo" / "pocket" / "student"
CARD = RegisteredCard(
    name=MODEL, lineage=LINEAGE, method="zppo", rounds=100,
    student=ModelFact(model="Qwen/Qwen3-0.6B", revision="c0ffee", digest="commit:c0ffee",
                      licence="apache-2.0"),
    teacher=ModelFact(model="big", revision="2026-11", digest=None, licence=None), teacher_type="endpoint",
    data=(
        DataFact(name="gsm", role="train", origin="openai/gsm8k", digest="commit:" + "a" * 40, questions=7000,
                 licence="mit"),
    ),
    data_fingerprint="5" * 64,
    accuracies=(
        AccuracyFact(model="base", questions_of="held out", questions=500, accuracy=0.3,
                     interval=Interval(low=0.26, high=0.34)),
        AccuracyFact(model="student", questions_of="held out", questions=500, accuracy=0.7,
                     interval=Interval(low=0.66, high=0.74)),
    ),
    confidence=0.95, decoding=DecodingConfig(),
)  # fmt: skip


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Registry:
    """A pocket student with a card is version 1, and the champion; files without a card are version 2."""
    path = tmp_path_factory.mktemp("pull")
    found = open_test_registry(path / "home", mlflow_database)
    first = found.register(checkpoint_files(POCKET), CARD.model_dump_json().encode())
    found.register(small_files(path / "small", b"2"))
    found.promote(first)
    return found


def test_a_pulled_champion_is_loaded_by_transformers_and_equals_what_was_registered(
    registry: Registry, tmp_path: Path
) -> None:
    pulled = pull(registry.runtime, "champion", MODEL, tmp_path / "deep" / "out")
    assert AutoTokenizer.from_pretrained(pulled.directory).chat_template
    assert AutoModelForCausalLM.from_pretrained(pulled.directory).num_parameters() > 0
    assert {"chat_template.jinja", "generation_config.json", "README.md"} < set(pulled.files)
    for file in checkpoint_files(POCKET):
        assert (pulled.directory / file.name).read_bytes() == file.read_bytes()
    assert [path.name for path in pulled.directory.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["champion", "1", f"models:/{MODEL}/1"])
def test_a_version_is_pulled_by_any_of_its_names(registry: Registry, tmp_path: Path, name: str) -> None:
    assert pull(registry.runtime, name, MODEL, tmp_path / "out").version.version == 1


def test_the_card_says_where_the_student_comes_from_and_what_is_unknown(
    registry: Registry, tmp_path: Path
) -> None:
    pulled = pull(registry.runtime, "1", MODEL, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    for said in (
        "license: apache-2.0", "| held out | 0.300 [0.260, 0.340], n = 500 | 0.700 [0.660, 0.740], n = 500 |",
        "`Qwen/Qwen3-0.6B` (revision c0ffee, commit:c0ffee)", "`big` (revision 2026-11)", "openai/gsm8k",
        "teacher `big`: unknown: fill in", "data `gsm`: mit", "run `a`",
        "champion, move 1: promotion: better",
        "vllm serve",
    ):  # fmt: skip
        assert said in card
    assert pulled.unknown == 1


def test_a_version_without_a_recorded_card_gets_one_to_fill_in(registry: Registry, tmp_path: Path) -> None:
    pulled = pull(registry.runtime, "2", MODEL, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "- run: a" in card
    assert pulled.unknown == card.count("unknown: fill in") > 4


def test_nothing_is_overwritten(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(InputError, match="is not empty, and nothing is overwritten"):
        pull(registry.runtime, "1", MODEL, tmp_path)
    with pytest.raises(InputError, match="no directory"):
        pull(registry.runtime, "1", MODEL, tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_unknown_version_is_named_with_those_that_there_are(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="versions of 'zppo-student': 1, 2"):
        pull(registry.runtime, "7", MODEL, tmp_path / "out")
    with pytest.raises(InputError, match="expected a version's number"):
        pull(registry.runtime, "latest", MODEL, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damaged", ["model", "model-card"])
def test_damaged_files_are_never_revealed(tmp_path: Path, mlflow_database: Path, damaged: str) -> None:
    registry = open_test_registry(tmp_path / "home", mlflow_database)
    registry.register(small_files(tmp_path / "files", b"1"), CARD.model_dump_json().encode())
    for file in (tmp_path / "home" / "mlartifacts").glob(f"*/artifacts/{damaged}/*/c*.json"):
        file.write_text(json.dumps({"damaged": True}))
    with pytest.raises(StoreError, match="is damaged"):
        pull(registry.runtime, "1", MODEL, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.deploy
def test_a_version_is_pulled_from_a_tracking_server_on_another_home(
    tmp_path: Path, mlflow_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, port = tmp_path / "server", free_port()
    served.mkdir()
    shutil.copy(mlflow_database, served / "mlflow.db")
    with mlflow_server(served, port):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        registry = open_test_registry(tmp_path / "home", mlflow_database, None)
        registry.promote(registry.register(checkpoint_files(POCKET), CARD.model_dump_json().encode()))
        pulled = pull(Runtime(home=tmp_path / "elsewhere"), "champion", MODEL, tmp_path / "out")
        assert registry.champion() == pulled.version.reference
    for file in checkpoint_files(POCKET):
        assert (pulled.directory / file.name).read_bytes() == file.read_bytes()
    assert "Qwen/Qwen3-0.6B" in (pulled.directory / "README.md").read_text()


def test_a_full_disk_leaves_nothing_behind(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(StoreError, match="the disk is full"):
        pull(registry.runtime, "1", MODEL, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
