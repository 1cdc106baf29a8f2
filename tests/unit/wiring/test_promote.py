"""Who is champion, over three runs that share one registry."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.config.run import Runtime
from schemas.promotion import PromotionDecision
from tests.pipelines import recipe, run_without_prefect
from zppo.errors import InputError
from zppo.layout import RunPaths
from zppo.runs import read_run
from zppo.stores.local import LocalStore
from zppo.tracking.registry import ModelRegistry, RegisteredVersion
from zppo.wiring.registry import open_registry

MODEL = "zppo-student"
SHORT = ("rounds=1", "method={type: grpo, group_size: 4, iterations: 2}", "teacher={type: none}")


@dataclass(frozen=True)
class Home:
    """A home and its registry."""

    path: Path
    registry: ModelRegistry

    def run(self, name: str, *overrides: str) -> PromotionDecision:
        """A run of one round to its decision."""
        run_without_prefect(recipe(self.path, *SHORT, *overrides), self.path, name)
        return self.decision(name)

    def decision(self, name: str) -> PromotionDecision:
        """Of a finished run."""
        file = LocalStore(self.path).file(RunPaths(name).promotion, "decision.json")
        return PromotionDecision.model_validate_json(file.read_bytes())

    def champion(self) -> str | None:
        """The reference of the present champion."""
        found = self.registry.champion(MODEL)
        return found.reference if found else None


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Home:
    """Two runs are there: one that gained too little for a promotion, then one from a strong model."""
    path = tmp_path_factory.mktemp("registry")
    (path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    home = Home(path, open_registry(Runtime(home=path)))
    home.run("weak", "promotion.min_gain=0.9")
    assert home.champion() is None
    home.registry.crown(home.registry.resolve(f"models:/{MODEL}/1", MODEL))

    def die(registry: ModelRegistry, version: RegisteredVersion) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelRegistry, "crown", die)
        with pytest.raises(KeyboardInterrupt):
            home.run("strong", "student.model=pocket/teacher")
    assert home.decision("strong").promoted
    assert home.champion() == f"models:/{MODEL}/1"
    home.run("strong", "student.model=pocket/teacher")
    return home


def test_a_challenger_without_the_asked_gain_is_registered_but_not_promoted(home: Home) -> None:
    decision = home.decision("weak")
    assert (decision.promoted, decision.incumbent.role) == (False, "base")
    assert decision.challenger.model == f"models:/{MODEL}/1"


def test_a_challenger_that_beats_the_champion_becomes_it_also_after_a_crash_in_between(home: Home) -> None:
    decision = home.decision("strong")
    assert (decision.promoted, decision.incumbent.model) == (True, f"models:/{MODEL}/1")
    assert home.champion() == f"models:/{MODEL}/2"


def test_student_champion_is_pinned_to_the_version_of_that_moment(home: Home) -> None:
    decision = home.run("again", "student.model=champion", "promotion.min_gain=0.9")
    assert read_run(home.path, "again").student.reference == f"models:/{MODEL}/2"
    assert (decision.promoted, decision.incumbent.model) == (False, f"models:/{MODEL}/2")
    assert home.champion() == f"models:/{MODEL}/2"
    home.registry.crown(home.registry.resolve(f"models:/{MODEL}/1", MODEL))
    home.run("again", "student.model=champion", "promotion.min_gain=0.9")
    assert read_run(home.path, "again").student.reference == f"models:/{MODEL}/2"


def test_without_a_champion_student_champion_is_refused(tmp_path: Path, mlflow_database: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    with pytest.raises(InputError, match="has no champion yet"):
        run_without_prefect(recipe(tmp_path, *SHORT, "student.model=champion"), tmp_path, "first")
