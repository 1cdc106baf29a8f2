"""Short runs of real models, and the plans that `zppo check` makes for them with their mean lengths given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.config.run import RunConfig, Runtime
from schemas.report import StepReport
from tests.pipelines import run_without_prefect
from zppo.layout import RunPaths
from zppo.plan import Plan, find_shape, make_plan
from zppo.plan.estimates import Estimate
from zppo.plan.hardware import Hardware
from zppo.plan.lengths import Expected
from zppo.recipes import load_recipe
from zppo.stages.timings import read_timings
from zppo.stages.train import read_reports
from zppo.stores.local import LocalStore

NAME = "measured"
ROUNDS = 3
_KEPT = "checkpoints={every: 1, keep_last: 1, keep_best: 1}"
SMALL: Mapping[str, Sequence[str]] = {
    "pocket": (
        f"rounds={ROUNDS}",
        "questions_per_round=16",
        "data.sources.0.count=160",
        "data.sources.1.count=10",
        "data.validation_questions=20",
        "data.test_questions=20",
        "teacher.visits=2",
        _KEPT,
        "evaluation.samples=1",
        "evaluation.bootstrap_resamples=100",
    ),
    "smollm2": (
        f"rounds={ROUNDS}",
        "questions_per_round=8",
        "data.sources.0.count=60",
        "data.validation_questions=2",
        "data.test_questions=2",
        _KEPT,
        "evaluation.samples=1",
        "evaluation.bootstrap_resamples=100",
    ),
}
"""What makes a recipe's run short."""


@dataclass(frozen=True)
class Measured:
    """A run of three rounds, and the plan made with its mean lengths."""

    config: RunConfig
    home: Path
    made: Plan
    reports: tuple[StepReport, ...]
    seconds: dict[str, float]
    """Of all rounds, by phase."""

    def bytes_of(self, pattern: str) -> int:
        """Of the run's files."""
        return sum(file.stat().st_size for file in self.home.glob(f"{NAME}/{pattern}") if file.is_file())


def value(estimates: Sequence[Estimate], what: str) -> float:
    """Of the estimate with this name."""
    return next(estimate.value for estimate in estimates if estimate.what == what)


def measure(recipe: str, home: Path, hardware: Hardware | None = None) -> Measured:
    """Make a short run of a recipe, and its plan.

    Args:
        recipe: One in `SMALL`.
        home: Of the run.
        hardware: What the plan is made for.
    """
    config = load_recipe(recipe, SMALL[recipe])
    run_without_prefect(config, home, NAME, Runtime(home=home, threads=1))
    store, paths = LocalStore(home), RunPaths(NAME)
    reports = tuple(read_reports(store, paths))
    teacher = config.teacher.model if config.teacher.type == "model" else None
    made = make_plan(
        config,
        find_shape(config.student),
        find_shape(teacher) if teacher else None,
        hardware,
        _means(reports),
    )
    return Measured(config, home, made, reports, _seconds(store, paths))


def _means(reports: Sequence[StepReport]) -> Expected:
    kinds = [kind for report in reports for kind in report.kinds]
    plain = [kind for kind in kinds if kind.kind == "plain"]
    updates = [update for report in reports for update in report.updates]
    return Expected(
        prompt=sum(kind.prompt_tokens for kind in plain) / sum(kind.groups for kind in plain),
        response=sum(kind.response_tokens for kind in kinds) / sum(kind.rollouts for kind in kinds),
        spread=sum(each.active_tokens for each in updates) / sum(each.tokens for each in updates),
    )


def _seconds(store: LocalStore, paths: RunPaths) -> dict[str, float]:
    rounds = [read_timings(store, paths, index).seconds for index in range(1, ROUNDS + 1)]
    return {phase: sum(each.get(phase, 0.0) for each in rounds) for phase in rounds[0]}
