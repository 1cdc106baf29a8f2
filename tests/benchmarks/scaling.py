"""How time and memory grow: with the questions of a round, with the data, and with the replay buffer."""

import argparse
import json
import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import median
from string import ascii_lowercase
from threading import Event, Thread

import torch

from schemas.buffer import BufferEntry, ReplayBuffer
from schemas.config.data import DataConfig
from schemas.state import TrainState
from tests.benchmarks.measuring import clock, in_turn, peak_memory, seconds
from tests.benchmarks.models import load_pocket, prompts_of, words
from tests.benchmarks.our_side import OurRounds
from tests.benchmarks.sides import Work
from tests.benchmarks.table import Table
from tests.build import group
from zppo.core import replay
from zppo.stages.prepare import prepare

SUBJECTS = ("a farmer", "the clerk", "our neighbour", "one pupil", "a driver", "the baker", "her cousin")
THINGS = ("apples", "boxes", "letters", "coins", "tickets", "stones", "lamps", "chairs", "bottles")
DEEDS = ("buys", "sells", "finds", "loses", "counts", "carries", "hides", "paints", "borrows")


def main(arguments: Sequence[str]) -> list[Table]:
    """Measure.

    Args:
        arguments: Of the command line; `--help` tells.
    """
    parser = argparse.ArgumentParser(prog="scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, nargs="*", default=[8, 32, 128, 512], help="questions")
    parser.add_argument("--data", type=int, nargs="*", default=[1_000, 10_000, 100_000], help="questions")
    parser.add_argument("--template", type=int, nargs="*", default=[1_000, 10_000, 100_000], help="questions")
    parser.add_argument("--buffer", type=int, nargs="*", default=[100, 10_000, 1_000_000], help="entries")
    given = parser.parse_args(arguments)
    return [
        _round_table(given.rounds),
        _data_table(given.data),
        _template_table(given.template),
        _buffer_table(given.buffer),
    ]


def _round_table(sizes: Sequence[int]) -> Table:
    columns = ("questions", "a round, s", "a question, ms")
    rows = []
    for size in sizes:
        model = load_pocket()
        model.generation_config.eos_token_id = 0
        vocabulary = model.config.vocab_size
        work = Work("", prompts_of(size, 16, vocabulary), None, 8, 25, 4, 8)
        ours = OurRounds(model, words(vocabulary), work)
        ours.round()
        taken = [seconds(ours.round) for _ in range(3)]
        rows.append((f"{size:,}", f"{median(taken):.2f}", f"{1e3 * median(taken) / size:.1f}"))
    note = "GRPO rounds of the pocket student, groups of 8, 16 + 25 tokens; CPU seconds, the median of three."
    return Table("Rounds", columns, tuple(rows), (note,))


def _data_table(sizes: Sequence[int]) -> Table:
    columns = (
        "questions",
        "near-duplicate removal",
        "time, s",
        "a thousand questions, s",
        "peak of memory, MiB",
        "peak of disk, MB",
        "of which the file read, MB",
        "questions kept",
    )
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "questions.jsonl"
            write_questions(file, size)
            for near in (False, True):
                taken, memory, disk, kept = _prepared_apart(file, near)
                switch = "on" if near else "off"
                read = file.stat().st_size
                numbers = (f"{memory:,.0f}", f"{(disk + read) / 1e6:,.0f}", f"{read / 1e6:,.0f}", f"{kept:,}")
                rows.append((f"{size:,}", switch, f"{taken:.1f}", f"{1e3 * taken / size:.2f}", *numbers))
    note = (
        "One JSONL file of questions of four sentences with numbers in them, 2% of them written twice; each "
        "preparation in a process of its own. The memory holds the process itself and its libraries; the "
        "bound is `data.memory_limit_mb`, 1024 beyond that. CPU seconds, one repetition."
    )
    return Table("Prepared data", columns, tuple(rows), (note,))


def _template_table(sizes: Sequence[int]) -> Table:
    columns = ("questions", "time, s", "a thousand questions, s", "questions kept")
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "questions.jsonl"
            write_template(file, size)
            taken, _, _, kept = _prepared_apart(file, near=True)
        rows.append((f"{size:,}", f"{taken:.1f}", f"{1e3 * taken / size:.2f}", f"{kept:,}"))
    note = (
        "Questions of one template of 40 words, three of them their own and none a number. They are too "
        "unlike to be near duplicates, so that each is compared with 64 others. CPU seconds, one repetition."
    )
    return Table("Prepared data of one template, near-duplicate removal on", columns, tuple(rows), (note,))


def write_template(file: Path, count: int) -> None:
    """So many rows that share most of their words."""
    random = Random(0)
    words = ["".join(random.choices(ascii_lowercase, k=6)) for _ in range(5_000)]
    with file.open("w") as lines:
        for index in range(count):
            moved, mover, asker = random.sample(words, 3)
            text = (
                "Read the following passage with care and then decide which of the answers below is the best "
                f"one. The {moved} was moved by the {mover} because the {asker} had asked for it. Explain "
                "your reasoning before you give the answer."
            )
            lines.write(json.dumps({"question": text, "answer": str(index)}) + "\n")


def write_questions(file: Path, count: int) -> None:
    """So many rows, every fiftieth a copy of the one before."""
    random = Random(0)

    def sentence() -> str:
        number = random.randrange(2, 1000)
        return f"{random.choice(SUBJECTS)} {random.choice(DEEDS)} {number} {random.choice(THINGS)}."

    row = ""
    with file.open("w") as lines:
        for index in range(count):
            if index % 50 or not index:
                text = f"{sentence()} {sentence()} {sentence()} How many are left, if {index} were there?"
                row = json.dumps({"question": text, "answer": str(random.randrange(10_000))})
            lines.write(f"{row}\n")


def _prepared_apart(file: Path, near: bool) -> tuple[float, float, int, int]:
    """`_prepared` in a process of its own, so that its peak of memory is no other's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_prepared, (file, near))


def _prepared(file: Path, near: bool) -> tuple[float, float, int, int]:
    """Seconds, MiB, bytes on disk at their peak, and questions kept of one preparation."""
    torch.set_num_threads(1)
    config = DataConfig.model_validate(
        {
            "sources": [
                {"name": "rows", "type": "files", "paths": [str(file)], "answer_kind": "numeric"},
            ],
            "validation_questions": 50,
            "test_questions": 50,
            "near_duplicates": {"enabled": near},
        }
    )
    out = file.parent / f"near-{near}"
    out.mkdir()
    disk, done = [0], Event()
    watcher = Thread(target=_watch, args=(out, disk, done))
    watcher.start()
    start = clock()
    report = prepare(config, 0, lambda text: len(text.split()), 4096, out)
    taken = clock() - start
    done.set()
    watcher.join()
    lost = sum(source.bad_rows + sum(each.count for each in source.removed) for source in report.sources)
    return taken, peak_memory(), disk[0], sum(source.rows for source in report.sources) - lost


def _watch(folder: Path, peak: list[int], done: Event) -> None:
    """Keep the largest size that the files below a folder have together."""
    while not done.wait(0.5):
        size = 0
        for directory, _, files in os.walk(folder):
            for name in files:
                path = Path(directory, name)
                size += path.stat().st_size if path.exists() else 0
        peak[0] = max(peak[0], size)


def _buffer_table(sizes: Sequence[int]) -> Table:
    columns = ("entries", "draw 8, ms", "a round's changes, ms", "write and read the state, ms")
    rows = tuple((f"{size:,}", *_buffer_times(size)) for size in sizes)
    note = (
        "A full buffer; the round brings 8 buffered groups back, of which 4 graduate, and admits 16 of 32 "
        "new ones. CPU, the median of five."
    )
    return Table("Replay buffer", columns, rows, (note,))


def _buffer_times(size: int) -> tuple[str, ...]:
    entries = (
        BufferEntry(question_id=f"q{index}", admitted_round=1, entry_accuracy=0.0, visits=1)
        for index in range(size)
    )
    buffer = ReplayBuffer(entries=tuple(entries))
    plain = [group([0, 0, place % 2, place % 2], f"q{place}") for place in range(8)]
    plain += [group([0, 0, place % 2, 1], f"new{place}") for place in range(32)]

    def store() -> None:
        written = TrainState(round=2, buffer=buffer).model_dump_json()
        TrainState.model_validate_json(written)

    taken = in_turn(
        {
            "draw": lambda: seconds(lambda: replay.draw(buffer, 8, set(), Random(0))),
            "after": lambda: seconds(lambda: replay.after_round(buffer, plain, 0.5, size, 2)),
            "store": lambda: seconds(store),
        },
        repeats=5,
    )
    return tuple(f"{1e3 * median(each):,.2f}" for each in taken.values())
