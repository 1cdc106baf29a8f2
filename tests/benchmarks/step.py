"""Seconds a round against TRL's GRPOTrainer, which runs in the environment of `make bench-env`."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.measuring import Spread, in_turn
from tests.benchmarks.models import (
    SMOLLM2,
    load_pocket,
    prompts_of,
    save_endless,
    save_pocket,
    smollm2_shape,
)
from tests.benchmarks.sides import ROOT, Work, started
from tests.benchmarks.table import Table
from zppo.pocket.prompts import TEMPLATES
from zppo.pocket.task import make_questions

TARGET = 2.0
UPDATES = 4
COLUMNS = ("a round", "TRL, s", "ours, s", "TRL / ours", "the same by the wall clock")
NOTES = (
    "A round is one generation for all prompts, its rewards, and four optimizer steps on a quarter of the "
    "groups each. Seconds of the processes' CPU: median (least–most) of rounds taken in turn, one of each "
    "side at a time. The same checkpoint, prompts, group size, limits, AdamW, float32 and no KL term. Of "
    "TRL's defaults, gradient checkpointing and bfloat16 are off, which makes it faster here; it computes "
    "a mini-batch at once, which was faster than parts of 16 rollouts (0.84 s against 0.97 s on the "
    "pocket student).",
    "In *equal lengths* nothing ends a response and every group has a spread, so that both sides compute "
    "the same number of tokens; what is left is the loop, the shared prompts and the sampler's "
    "log-probabilities, which TRL computes again. In *its own questions* responses end by themselves and "
    "rewards are real: ours then also leaves finished rows out of the batch and groups without a spread "
    "out of the update. Our rounds hold the check of eight rollouts against drift as well, of which those of "
    "the first update cost nothing; neither side's writes files.",
)


@dataclass(frozen=True)
class Case:
    """A round to compare."""

    name: str
    prepare: Callable[[Path], Work]
    """Writes the checkpoint into an empty directory."""
    rounds: int
    """Measured of each side, after one that is not."""


def equal_lengths(model: str, prompts: int, group: int, prompt: int, response: int) -> Callable[[Path], Work]:
    """Random words, and responses that only the limit ends."""

    def prepare(directory: Path) -> Work:
        module = smollm2_shape() if model == SMOLLM2 else load_pocket()
        save_endless(module, directory)
        texts = prompts_of(prompts, prompt, module.config.vocab_size)
        micro_batch = prompts * group // UPDATES
        return Work(str(directory), texts, None, group, response, UPDATES, micro_batch)

    return prepare


def own_questions(directory: Path) -> Work:
    """A round of the pocket recipe."""
    tokenizer = save_pocket(directory)
    questions = list(make_questions(32, (3, 4), seed=0))
    prompts = [
        str(
            tokenizer.apply_chat_template(
                [{"role": "user", "content": TEMPLATES.render_plain(each.text)}],
                add_generation_prompt=True,
                tokenize=False,
            )
        )
        for each in questions
    ]
    return Work(str(directory), prompts, [each.answer for each in questions], 8, 32, UPDATES, 64)


CASES = {
    "pocket-own": Case("pocket student, its own questions, 32 x 8, up to 32 tokens", own_questions, 12),
    "pocket": Case(
        "pocket student, equal lengths, 32 x 8, 16 + 25 tokens", equal_lengths("pocket", 32, 8, 16, 25), 12
    ),
    "smollm2-8": Case(
        f"{SMOLLM2}, equal lengths, 4 x 8, 48 + 32 tokens", equal_lengths(SMOLLM2, 4, 8, 48, 32), 3
    ),
    "smollm2-4": Case(
        f"{SMOLLM2}, equal lengths, 4 x 4, 48 + 32 tokens", equal_lengths(SMOLLM2, 4, 4, 48, 32), 3
    ),
}


def main(arguments: Sequence[str]) -> list[Table]:
    """Measure.

    Args:
        arguments: Of the command line; `--help` tells.
    """
    parser = argparse.ArgumentParser(prog="step", description=__doc__)
    parser.add_argument("--trl-python", type=Path, default=ROOT / ".venv-trl" / "bin" / "python")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, help="of each side; each case has its own by default")
    given = parser.parse_args(arguments)
    if not given.trl_python.exists():
        parser.error(f"{given.trl_python} is missing: run `make bench-env`")
    measured = [_measured(CASES[name], given.rounds, given.trl_python) for name in given.cases]
    rows = tuple(
        _row(CASES[name].name, taken) for name, (taken, _) in zip(given.cases, measured, strict=True)
    )
    versions = f"TRL {measured[0][1]['trl']} with the same torch and transformers. Target: {TARGET:g}."
    return [Table("A GRPO round against TRL's", COLUMNS, rows, (versions, *NOTES))]


Taken = dict[str, list[dict[str, float]]]


def _measured(case: Case, rounds: int | None, python: Path) -> tuple[Taken, dict[str, str]]:
    """Rounds of both sides in turn, and the versions of TRL's."""
    with tempfile.TemporaryDirectory() as directory:
        work = case.prepare(Path(directory))
        with (
            started(python, "tests.benchmarks.trl_side", work) as theirs,
            started(Path(sys.executable), "tests.benchmarks.our_side", work) as ours,
        ):
            versions = theirs.ready()
            ours.ready()
            return in_turn({"trl": theirs.round, "ours": ours.round}, rounds or case.rounds), versions


def _row(name: str, taken: Taken) -> tuple[str, ...]:
    by_clock = {
        kind: {side: [each[kind] for each in rounds] for side, rounds in taken.items()}
        for kind in ("cpu", "wall")
    }
    ratios = {kind: median(sides["trl"]) / median(sides["ours"]) for kind, sides in by_clock.items()}
    spreads = [Spread.of(by_clock["cpu"][side]).text() for side in ("trl", "ours")]
    return name, *spreads, f"{ratios['cpu']:.2f}", f"{ratios['wall']:.2f}"
