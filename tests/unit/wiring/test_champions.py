from pathlib import Path

import pytest

from tests.unit.wiring.registries import MODEL, Registry, open_test_registry, small_files
from zppo.errors import InputError, StoreError
from zppo.stores.local import LocalStore
from zppo.tracking.registry import ModelRegistry
from zppo.wiring.champions import Champions
from zppo.wiring.rollback import roll_back


@pytest.fixture
def registry(tmp_path: Path, mlflow_database: Path) -> Registry:
    """With three versions, the second of them champion after the first."""
    found = open_test_registry(tmp_path / "home", mlflow_database)
    for number in (b"1", b"2", b"3"):
        found.register(small_files(tmp_path / number.decode(), number))
    for number in (1, 2):
        found.promote(found.versions.resolve(_reference(number), MODEL))
    return found


def _reference(number: int) -> str:
    return f"models:/{MODEL}/{number}"


def _back(registry: Registry, to: str | None = None) -> str:
    return roll_back(registry.runtime, MODEL, to, "slow").version


def test_a_rollback_goes_to_the_champion_before_and_refuses_before_the_first(registry: Registry) -> None:
    assert _back(registry) == registry.champion() == _reference(1)
    with pytest.raises(InputError, match="is the first champion that is known"):
        _back(registry)
    assert [(move.kind, move.version) for move in registry.champions.history()] == [
        ("promotion", _reference(1)),
        ("promotion", _reference(2)),
        ("rollback", _reference(1)),
    ]
    tags = registry.versions.resolve(_reference(2), MODEL).tags
    assert tags["zppo.champion.00002"] == "promotion: better"
    assert tags["zppo.champion.00003"] == "rolled back: slow"


def test_a_rollback_goes_to_a_named_version_by_number_or_reference(registry: Registry) -> None:
    assert _back(registry, "3") == registry.champion() == _reference(3)
    assert _back(registry, _reference(1)) == registry.champion()
    with pytest.raises(InputError, match="is the champion already"):
        _back(registry, "1")
    with pytest.raises(InputError, match="versions of 'zppo-student': 1, 2, 3"):
        _back(registry, "9")


def test_a_rollback_without_a_reason_or_a_champion_is_refused(registry: Registry) -> None:
    with pytest.raises(InputError, match="needs a reason"):
        roll_back(registry.runtime, MODEL, None, " ")
    with pytest.raises(InputError, match="'other' has no champion"):
        roll_back(registry.runtime, "other", None, "slow")


def test_a_rollback_to_a_damaged_version_is_refused(registry: Registry) -> None:
    first = registry.versions.resolve(_reference(1), MODEL)
    (registry.versions.directory(first) / "model.safetensors").write_bytes(b"x")
    with pytest.raises(StoreError, match="is damaged"):
        _back(registry)
    assert registry.champion() == _reference(2)


@pytest.mark.parametrize(
    ("owner", "step"), [(ModelRegistry, "tag"), (ModelRegistry, "crown"), (LocalStore, "write_file")]
)
def test_whoever_comes_next_finishes_a_move_that_died_in_between(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, owner: type, step: str
) -> None:
    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, die)
        with pytest.raises(KeyboardInterrupt):
            _back(registry)
    current = registry.champions.current()
    assert current is not None
    assert current.reference == registry.champion() == _reference(1)
    assert len(registry.champions.history()) == 3


def test_a_rollback_that_is_repeated_after_it_died_goes_back_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    registry.promote(registry.versions.resolve(_reference(3), MODEL))
    with monkeypatch.context() as patch:
        patch.setattr(ModelRegistry, "crown", die)
        with pytest.raises(KeyboardInterrupt):
            _back(registry)
    assert _back(registry) == registry.champion() == _reference(2)
    assert len(registry.champions.history()) == 4
    assert _back(registry) == _reference(1)


def test_a_finished_move_does_not_undo_what_somebody_did_by_other_means(registry: Registry) -> None:
    registry.versions.crown(registry.versions.resolve(_reference(3), MODEL))
    current = registry.champions.current()
    assert current is not None
    assert current.reference == _reference(3)
    assert _back(registry) == _reference(2)


def test_two_moves_cannot_both_be_the_next_one(registry: Registry) -> None:
    other = Champions(LocalStore(registry.runtime.home), registry.versions, MODEL)
    move = registry.champions.history()[-1]
    with pytest.raises(StoreError, match="was made from something else"), other.turn():
        other.move(move.model_copy(update={"version": _reference(3)}))
    assert registry.champion() == _reference(2)
