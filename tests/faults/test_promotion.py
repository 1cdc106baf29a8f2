"""Promotions that are killed between any two of their steps, or race: the alias moves once, for a reason."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from schemas.config.run import Runtime
from schemas.promotion import ChampionMove, PromotionDecision
from tests.pipelines import ROOT, tracked
from zppo.layout import RunPaths
from zppo.stores.local import LocalStore
from zppo.wiring.champions import Champions
from zppo.wiring.registry import open_registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
MODEL = "zppo-student"
POINTS = (
    "after register",
    "before tag",  # decided
    "after tag",
    "before crown",  # in the history, the alias has not moved
    "after crown",  # moved, not marked as moved
    "before finish",  # all done but the page and the summary
)
"""One process dies at each, in this order."""


@dataclass(frozen=True)
class Home:
    """What the processes left."""

    path: Path
    lives: list[list[str]]
    lives_of_rollback: list[list[str]]

    @property
    def moves(self) -> list[ChampionMove]:
        """The champion's history."""
        return Champions(LocalStore(self.path), open_registry(Runtime(home=self.path)), MODEL).history()

    def decision(self, name: str) -> PromotionDecision:
        """Of a run."""
        file = LocalStore(self.path).file(RunPaths(name).promotion, "decision.json")
        return PromotionDecision.model_validate_json(file.read_bytes())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Home:
    path = tmp_path_factory.mktemp("promoters")
    shutil.copy(mlflow_database, path / "mlflow.db")
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults.promoters", str(path), *POINTS],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return Home(path, *map(json.loads, ended.stdout.splitlines()))


def test_a_promotion_killed_between_any_two_steps_happens_once(home: Home) -> None:
    assert [life[-1].rpartition(": ")[2] for life in home.lives[:-1]] == list(POINTS)
    decision = home.decision("strong")
    assert (decision.promoted, decision.incumbent.model) == (True, f"models:/{MODEL}/1")
    first, second, *_ = home.moves
    assert (first.kind, first.version, first.previous, first.reason) == (
        "forced", f"models:/{MODEL}/1", None, "it is the first",
    )  # fmt: skip
    assert (second.kind, second.version, second.previous) == (
        "promotion", f"models:/{MODEL}/2", f"models:/{MODEL}/1",
    )  # fmt: skip
    assert second.decision == decision


def test_every_life_of_the_promotion_goes_on_where_the_last_one_died(home: Home) -> None:
    calls = [point.rpartition(": ")[2] for life in home.lives for point in life]
    # Begun anew by the life after the one that died in between; never by a later one.
    assert calls.count("after crown") == 1 + 1
    assert len([move for move in home.moves if move.version == f"models:/{MODEL}/2"]) == 1


def test_a_version_carries_its_decision_and_its_history_as_tags(home: Home) -> None:
    found = tracked(home.path)
    tag = f"tag {MODEL} 2 zppo."
    assert found[f"{tag}decision"] == "passed"
    assert found[f"{tag}gate.interval"].startswith("passed: the 95% interval of the gain is +0.")
    assert found[f"{tag}champion.00002"].startswith("promotion: the challenger replaces the champion: ")
    assert found[f"{tag}champion.00003"] == "rolled back: slow"
    assert found[f"tag {MODEL} 1 zppo.champion.00003"] == "rollback: slow"


def test_a_rollback_killed_before_the_alias_moved_is_finished_by_the_next_command(home: Home) -> None:
    third = home.moves[2]
    assert (third.kind, third.version, third.previous) == (
        "rollback", f"models:/{MODEL}/1", f"models:/{MODEL}/2",
    )  # fmt: skip


def test_of_two_promoters_at_once_each_decides_against_the_champion_that_it_replaces(home: Home) -> None:
    moves = home.moves
    assert [move.number for move in moves] == list(range(1, len(moves) + 1))
    for before, move in pairwise(moves):
        assert move.previous == before.version
        assert move.decision is None or move.decision.incumbent.model == move.previous
    racing = moves[3:]
    assert racing
    assert racing[0].previous == f"models:/{MODEL}/1"
    assert tracked(home.path)[f"alias {MODEL} champion"] == moves[-1].version.rpartition("/")[2]
    assert [home.decision(name).incumbent.model for name in ("left", "right")].count(
        f"models:/{MODEL}/1"
    ) == 1
