"""Updates in one process against updates in two, which `learner: {type: fsdp, processes: N}` makes."""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from schemas.config.learner import FsdpLearnerConfig, TorchLearnerConfig
from schemas.config.models import ModelConfig
from tests.benchmarks.measuring import Spread, in_turn
from tests.benchmarks.models import MODELS, SMOLLM2, save_endless, words
from tests.benchmarks.table import Table
from tests.benchmarks.update import Work, rows_of
from zppo.core.objective import ClipBounds
from zppo.learners.fsdp.job import Source
from zppo.learners.fsdp.job import Work as Ranks
from zppo.learners.fsdp.learner import FsdpLearner
from zppo.learners.objectives import PolicyObjective
from zppo.learners.torch import TorchLearner
from zppo.ports import Learner, MiniBatch

WORKS = (
    Work("pocket student, 32 x 8, 16 + 25", "pocket", 32, 16, 25, 1024),
    Work(f"{SMOLLM2}, 4 x 8, 64 + 32", SMOLLM2, 4, 64, 32, 1024),
)
COLUMNS = (
    "update",
    "torch",
    "fsdp, 1 process",
    "fsdp, 2 processes",
    "1 / 2 processes",
    "torch / 2 processes",
)
NOTES = (
    "Seconds of the clock for one update, the weights' way back to the sampler included: median (least–most) "
    "of updates taken in turn, after one of each. Every process has one thread, so that two have two cores; "
    "what else runs on the machine takes from them. The ranks split the rows and add up gradients (gloo); "
    "then they write the whole weights to disk, where the training process reads them, which a round of "
    "several updates needs once.",
)


def main(arguments: Sequence[str]) -> list[Table]:
    """Measure.

    Args:
        arguments: Of the command line; `--help` tells.
    """
    parser = argparse.ArgumentParser(prog="processes", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="leave SmolLM2's shape out")
    given = parser.parse_args(arguments)
    rows = tuple(_measured(work, given.repeats) for work in WORKS[: 1 if given.small else None])
    return [Table("An update in one process and in two", COLUMNS, rows, NOTES)]


def _measured(work: Work, repeats: int) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        student = Path(directory) / "student"
        save_endless(MODELS[work.model](), student)
        learners: dict[str, Learner] = {"torch": _torch(student, work)}
        for processes in (1, 2):
            scratch = Path(directory) / str(processes)
            scratch.mkdir()
            learner = stack.enter_context(closing(_fsdp(student, scratch, work, processes)))
            learners[str(processes)] = learner
        vocabulary = _load(student).config.vocab_size
        batch = MiniBatch(tuple(rows_of(work, vocabulary)))
        taken = in_turn({name: _timed(each, batch) for name, each in learners.items()}, repeats)
    middle = {name: median(each) for name, each in taken.items()}
    spreads = [Spread.of(taken[name]).text() for name in ("torch", "1", "2")]
    return work.name, *spreads, f"{middle['1'] / middle['2']:.2f}", f"{middle['torch'] / middle['2']:.2f}"


def _timed(learner: Learner, batch: MiniBatch) -> Callable[[], float]:
    def take() -> float:
        start = time.perf_counter()
        learner.update(batch)
        learner.publish()
        return time.perf_counter() - start

    return take


def _torch(student: Path, work: Work) -> TorchLearner:
    model = _load(student)
    config = TorchLearnerConfig(max_batch_tokens=work.max_batch_tokens)
    return TorchLearner(model, words(model.config.vocab_size), config, PolicyObjective(ClipBounds(), 1.0))


def _fsdp(student: Path, scratch: Path, work: Work, processes: int) -> FsdpLearner:
    model = _load(student)
    ranks = Ranks(
        student=Source(config=ModelConfig(model="student"), directory=student),
        config=FsdpLearnerConfig(processes=processes, max_batch_tokens=work.max_batch_tokens),
        temperature=1.0,
        bounds=ClipBounds(),
        threads=1,
    )
    return FsdpLearner(model, words(model.config.vocab_size), ranks, scratch)


def _load(student: Path) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)
    return model
