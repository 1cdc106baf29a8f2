"""A ZPPO round against a GRPO round with as many rollouts, on the pocket recipe, its teacher asked before."""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

import yaml

from schemas.config.run import RunConfig, Runtime
from schemas.report import StepReport
from tests.benchmarks.measuring import Spread, in_turn, parts_timed
from tests.benchmarks.sides import ROOT
from tests.benchmarks.table import Table
from zppo.environment import prepare_environment

if TYPE_CHECKING:
    from zppo.wiring.context import RunContext

TARGET = 1.3
TakeRound = Callable[[], dict[str, float]]
"""Takes the next round of a run; seconds of CPU, of the clock, and of CPU by part."""
GRPO = {"type": "grpo", "group_size": 8, "iterations": 4}
COLUMNS = (
    "rounds of",
    "rollouts",
    "prompt tokens",
    "response tokens",
    "groups without a spread",
    "a round, s of CPU",
    "generation",
    "updates",
    "of the clock",
)


def main(arguments: Sequence[str]) -> list[Table]:
    """Measure.

    Args:
        arguments: Of the command line; `--help` tells.
    """
    parser = argparse.ArgumentParser(prog="rounds", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--warm", type=int, default=4, help="rounds that fill the buffer, not counted")
    parser.add_argument("--questions", type=int, default=560)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as home:
        prepare_environment(Path(home))
        return [_compare(Path(home), given.questions, given.rounds, given.warm)]


def _compare(home: Path, questions: int, rounds: int, warm: int) -> Table:
    from zppo.engines.transformers import TransformersEngine
    from zppo.learners.torch import TorchLearner
    from zppo.stages.train import read_report

    configs = {"zppo": pocket_config(questions), "grpo": pocket_config(questions, GRPO, new=48)}
    rows = []
    with ExitStack() as stack:
        spent = stack.enter_context(parts_timed((TransformersEngine, "generate"), (TorchLearner, "update")))
        open_ = {
            name: stack.enter_context(_opened(name, config, home, spent)) for name, config in configs.items()
        }
        taken = in_turn({name: take for name, (_, take) in open_.items()}, rounds, warm)
        for name, (run, _) in open_.items():
            indices = range(warm + 1, warm + rounds + 1)
            reports = [read_report(run.store, run.paths, index) for index in indices]
            rows.append((name, *_described(reports, taken[name])))
    cpu, wall = (
        median(each[kind] for each in taken["zppo"]) / median(each[kind] for each in taken["grpo"])
        for kind in ("cpu", "wall")
    )
    return Table("A ZPPO round against a GRPO round", COLUMNS, tuple(rows), _notes(cpu, wall, rounds, warm))


def _notes(cpu: float, wall: float, rounds: int, warm: int) -> tuple[str, ...]:
    return (
        f"A ZPPO round takes **{cpu:.2f}** of the CPU of a GRPO round, and {wall:.2f} of the clock. "
        f"Target: at most {TARGET:g}.",
        "Two whole runs of the pocket recipe, a round of one and of the other in turn: the median "
        f"(least–most) of {rounds} after {warm} that fill the buffer, with everything that a run does in a "
        "round, its artifacts and MLflow included. ZPPO takes 32 new questions, 8 from the buffer and up "
        "to 8 reformulated prompts; GRPO 48 new questions. Generation and updates are of the CPU "
        "seconds, medians; tokens and groups are means. Groups without a spread are not learned "
        "from, so a method that leaves fewer of them has a longer update.",
    )


def pocket_config(questions: int, method: object = None, new: int = 32, rounds: int = 1000) -> RunConfig:
    """The pocket recipe with fewer questions and one checkpoint; with another method, without its teacher."""
    recipe = yaml.safe_load((ROOT / "deployments" / "recipes" / "pocket.yaml").read_text())
    recipe["data"] |= {"validation_questions": 8, "test_questions": 8}
    recipe["data"]["sources"] = [{**recipe["data"]["sources"][0], "count": questions}]
    recipe |= {"questions_per_round": new, "rounds": rounds, "checkpoints": {"every": 1000}}
    if method is not None:
        recipe["method"] = method
        del recipe["teacher"]
    return RunConfig.model_validate(recipe)


@contextmanager
def _opened(
    name: str, config: RunConfig, home: Path, spent: dict[str, float]
) -> "Iterator[tuple[RunContext, TakeRound]]":
    """A run whose training has begun, and what takes its next round; its parts' seconds are in `spent`."""
    from zppo.wiring.context import open_run
    from zppo.wiring.tracking import tracking
    from zppo.wiring.train import open_training

    with (
        open_run(config, name, Runtime(home=home, threads=1)) as run,
        tracking(run) as tracker,
        open_training(run, tracker) as trainer,
    ):
        trainer.validate_base()
        remaining = iter(trainer.remaining())

        def take() -> dict[str, float]:
            spent.clear()
            index = next(remaining)
            cpu, wall = time.process_time(), time.perf_counter()
            trainer.collect(index)
            trainer.update(index)
            return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, **spent}

        yield run, take


def _described(reports: list[StepReport], taken: list[dict[str, float]]) -> tuple[str, ...]:
    def per_round(count: Callable[[StepReport], float]) -> str:
        return f"{mean(map(count, reports)):,.0f}"

    return (
        per_round(lambda report: sum(kind.rollouts for kind in report.kinds)),
        per_round(lambda report: sum(kind.prompt_tokens for kind in report.kinds)),
        per_round(lambda report: sum(kind.response_tokens for kind in report.kinds)),
        f"{mean(report.zero_advantage_groups or 0.0 for report in reports):.0%}",
        Spread.of([each["cpu"] for each in taken]).text(),
        *(f"{median(each[part] for each in taken):.2f}" for part in ("generate", "update")),
        Spread.of([each["wall"] for each in taken]).text(),
    )
