"""Two trainers as processes that take a round when told to, so that their rounds can alternate.

This module and `trl_side` run in TRL's environment too, which lacks this project.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Work:
    """What both sides do in a round: the same prompts through the same model."""

    model: str
    """Directory of a checkpoint whose chat template adds nothing."""
    prompts: list[str]
    """As they stand before a response."""
    answers: list[str] | None
    """Gold answers, one a prompt; None where every other response of a group counts as right."""
    group: int
    response_tokens: int
    updates: int
    """Mini-batches of a round, one optimizer step each."""
    micro_batch: int
    """Rollouts that TRL computes together; a part of a mini-batch that divides it."""
    threads: int = 1


def rewards_of(prompts: Sequence[str], texts: Sequence[str], work: Work) -> list[int]:
    """Of responses to these prompts, those of a group in a row."""
    if work.answers is None:
        return [place % work.group % 2 for place in range(len(prompts))]
    gold = dict(zip(work.prompts, work.answers, strict=True))
    boxes = [re.findall(r"\\boxed\{([^{}]*)\}", text) for text in texts]
    return [int(found[-1:] == [gold[prompt]]) for prompt, found in zip(prompts, boxes, strict=True)]


class Side:
    """A trainer in a process of its own; it works only while a round is awaited."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ready(self) -> dict[str, str]:
        """Wait until it has loaded; the versions that it runs."""
        versions: dict[str, str] = self._answer()
        return versions

    def round(self) -> dict[str, float]:
        """Take one; its seconds of CPU and of the clock, whole and by part."""
        assert self._process.stdin is not None
        self._process.stdin.write("round\n")
        self._process.stdin.flush()
        taken: dict[str, float] = self._answer()
        return taken

    def _answer(self) -> dict:  # type: ignore[type-arg]
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended; its errors are above")
        answer: dict = json.loads(line)  # type: ignore[type-arg]
        return answer


@contextmanager
def started(python: Path, module: str, work: Work) -> Iterator[Side]:
    """A side, which ends with the block."""
    threads = str(work.threads)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "HF_HUB_OFFLINE": "1",
    }
    command = [str(python), "-m", module, json.dumps(asdict(work))]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Side(process)
        finally:
            process.kill()


class Told:
    """The side's own end: it answers on what was the standard output, which now shows errors instead."""

    def __init__(self) -> None:
        self._answers: IO[str] = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def answer(self, values: Mapping[str, object]) -> None:
        """One line."""
        self._answers.write(json.dumps(values) + "\n")
        self._answers.flush()

    def wait(self) -> None:
        """Until a round is wanted; ends the process when nobody wants one any more."""
        if not sys.stdin.readline():
            sys.exit()


def work_of(arguments: Sequence[str]) -> Work:
    """The one that `started` passed on."""
    return Work(**json.loads(arguments[1]))
