"""Who is champion, over three runs that share one registry."""

from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from schemas.config.run import Runtime
from schemas.promotion import Approval, PromotionDecision
from tests.pipelines import recipe, run_without_prefect
from zppo.errors import InputError
from zppo.layout import RunPaths
from zppo.progress import Lines
from zppo.runs import finished_summary, read_run
from zppo.stores.local import LocalStore
from zppo.tracking.registry import ModelRegistry, RegisteredVersion
from zppo.wiring.champions import Champions
from zppo.wiring.context import open_run
from zppo.wiring.promote import Wish, require_approval, run_promote
from zppo.wiring.pull import pull
from zppo.wiring.registry import open_registry
from zppo.wiring.rollback import roll_back
from zppo.wiring.tracking import tracking

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

    def ask(self, name: str, *overrides: str, force: str | None = None) -> str:
        """A person asks for the promotion of a finished run; what they are told."""
        return self.wish(Wish(force), name, *overrides)

    def wish(self, wish: Wish, name: str, *overrides: str) -> str:
        """What is said of a person's wish."""
        said, config = StringIO(), recipe(self.path, *SHORT, *overrides)
        with (
            open_run(config, name, Runtime(home=self.path), Lines(said)) as run,
            tracking(run) as tracker,
        ):
            run_promote(run, tracker.run_id, wish)
        return said.getvalue()

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


def test_a_person_sees_every_gate_and_who_is_champion(home: Home) -> None:
    said = home.ask("weak", "promotion.min_gain=0.9")
    assert f"models:/{MODEL}/1 against the champion models:/{MODEL}/2" in said
    assert "  FAILED  gain " in said
    assert "  passed  contamination  0 of 16 test questions are among the training questions" in said
    assert f"the champion models:/{MODEL}/2 stays; --force --reason TEXT overrules the gates" in said
    assert home.champion() == f"models:/{MODEL}/2"
    said = home.ask("strong", "student.model=pocket/teacher")
    assert f"models:/{MODEL}/2 is the champion already; nothing was changed" in said


def test_a_summary_says_what_became_of_the_version(home: Home) -> None:
    assert f"Registered: models:/{MODEL}/2 (made champion)" in str(finished_summary(home.path, "strong"))
    assert (
        str(finished_summary(home.path, "weak"))
        .partition("Registered: ")[2]
        .startswith(f"models:/{MODEL}/1\n")
    )


def test_a_person_overrules_the_gates_with_a_reason_that_is_kept(home: Home) -> None:
    said = home.ask("weak", "promotion.min_gain=0.9", force="the other is slow")
    assert f"models:/{MODEL}/1 is the champion now (before: models:/{MODEL}/2" in said
    assert home.champion() == f"models:/{MODEL}/1"
    last = Champions(LocalStore(home.path), home.registry, MODEL).history()[-1]
    assert (last.kind, last.reason) == ("forced", "the other is slow")
    assert last.decision is not None
    assert not last.decision.promoted
    assert roll_back(Runtime(home=home.path), MODEL, None, "it is not").version == f"models:/{MODEL}/2"


def test_a_version_that_was_rolled_back_comes_back_only_when_somebody_insists(home: Home) -> None:
    roll_back(Runtime(home=home.path), MODEL, "1", "wrong in production")
    run_without_prefect(recipe(home.path, *SHORT, "student.model=pocket/teacher"), home.path, "strong")
    assert home.champion() == f"models:/{MODEL}/1"
    said = home.ask("strong", "student.model=pocket/teacher")
    assert "was rolled back (wrong in production), and its evaluation is the same" in said
    assert home.champion() == f"models:/{MODEL}/1"
    home.ask("strong", "student.model=pocket/teacher", force="repaired")
    assert home.champion() == f"models:/{MODEL}/2"


def test_a_pulled_student_has_a_card_that_its_run_filled_in(home: Home, tmp_path: Path) -> None:
    pulled = pull(Runtime(home=home.path), "champion", MODEL, tmp_path / "out")
    card = (pulled.directory / "README.md").read_text()
    assert "| held out | 1.000 [1.000, 1.000], n = 8 | 1.000 [1.000, 1.000], n = 8 |" in card
    assert "post-trained from `pocket/teacher` by `grpo`" in card
    assert "rolled back: wrong in production" in card
    assert "license: apache-2.0" in card


def test_student_champion_is_pinned_to_the_version_of_that_moment(home: Home) -> None:
    decision = home.run("again", "student.model=champion", "promotion.min_gain=0.9")
    assert read_run(home.path, "again").student.reference == f"models:/{MODEL}/2"
    assert (decision.promoted, decision.incumbent.model) == (False, f"models:/{MODEL}/2")
    assert home.champion() == f"models:/{MODEL}/2"
    home.registry.crown(home.registry.resolve(f"models:/{MODEL}/1", MODEL))
    home.run("again", "student.model=champion", "promotion.min_gain=0.9")
    assert read_run(home.path, "again").student.reference == f"models:/{MODEL}/2"


def test_a_promotion_that_waits_for_approval_moves_by_a_yes_to_that_very_question_alone(home: Home) -> None:
    def said(wish: Wish) -> str:
        return home.wish(wish, "strong", "student.model=pocket/teacher").splitlines()[-1]

    def tag() -> str:
        return home.registry.resolve(f"models:/{MODEL}/2", MODEL).tags["zppo.approval"]

    first, second = f"models:/{MODEL}/1", f"models:/{MODEL}/2"
    assert said(Wish(ask=True)).startswith(f"{second} passed its gates and waits for approval")
    assert (home.champion(), tag()) == (first, "waited for")
    assert said(Wish(approval=Approval(approved=False, reason="too slow", against=first))) == (
        f"the champion {first} stays: refused: too slow"
    )
    assert (home.champion(), tag()) == (first, "refused: too slow")
    run_without_prefect(recipe(home.path, *SHORT, "student.model=pocket/teacher"), home.path, "strong")
    assert (home.champion(), tag()) == (first, "refused: too slow")
    assert "a challenge to the base" in said(
        Wish(approval=Approval(approved=True, reason="so", against=None))
    )
    assert home.champion() == first
    assert said(Wish(approval=Approval(approved=True, reason="fast now", against=first))).startswith(
        f"{second} is the champion now"
    )
    assert (home.champion(), tag()) == (second, "approved: fast now")
    last = Champions(LocalStore(home.path), home.registry, MODEL).history()[-1]
    assert last.decision is not None
    assert last.decision.approval == Approval(approved=True, reason="fast now", against=first)
    answers = LocalStore(home.path).committed(f"{RunPaths('strong').root}/answers")
    assert len(answers) == 3
    assert "is the champion already" in said(Wish(ask=True))
    assert tag() == "approved: fast now"


def test_a_run_that_needs_an_approval_is_never_promoted_by_its_pipeline_however_often_it_goes_on(
    tmp_path: Path, mlflow_database: Path
) -> None:
    (tmp_path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    home = Home(tmp_path, open_registry(Runtime(home=tmp_path)))
    home.run("weak", "promotion.min_gain=0.9")
    first, second = (f"models:/{MODEL}/{number}" for number in (1, 2))
    home.registry.crown(home.registry.resolve(first, MODEL))
    strong = recipe(tmp_path, *SHORT, "student.model=pocket/teacher")
    with open_run(strong, "strong", Runtime(home=tmp_path), Lines(StringIO())) as run:
        require_approval(run)
    for _ in range(2):
        run_without_prefect(strong, tmp_path, "strong")
        assert home.decision("strong").promoted
        assert home.champion() == first
        assert home.registry.resolve(second, MODEL).tags["zppo.approval"] == "waited for"
    assert f"Registered: {second} (left to somebody's approval)" in str(finished_summary(tmp_path, "strong"))
    assert home.ask("strong", "student.model=pocket/teacher").endswith(
        f"{second} is the champion now (before: {first}; zppo rollback goes back to it)\n"
    )


def test_without_a_champion_student_champion_is_refused(tmp_path: Path, mlflow_database: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    with pytest.raises(InputError, match="has no champion yet"):
        run_without_prefect(recipe(tmp_path, *SHORT, "student.model=champion"), tmp_path, "first")
