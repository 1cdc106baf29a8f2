"""How the pocket models are taught before any reinforcement.

The teacher sees true derivations until it masters them. The student's warm-up has two stages. In the
first, structure, it learns how to write a derivation and how to read a prompt, with facts that are nearly
all random. In the second, facts, the demonstrations are mostly true, except for the facts withheld from it,
and it learns fast: it is measured every few updates and stopped inside the learning window.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from transformers import PreTrainedTokenizerFast

from zppo.errors import InputError
from zppo.pocket.examples import (
    Example,
    Facts,
    Lesson,
    bcq_example,
    ncq_example,
    plain_example,
    repeat_example,
    withheld_facts,
)
from zppo.pocket.measure import Sampler, mean_accuracy, sample_plain
from zppo.pocket.models import make_student, make_teacher
from zppo.pocket.task import PocketQuestion
from zppo.pocket.training import Trainer

Report = Callable[[str], None]

TEACHER_UPDATES = 600
STRUCTURE_UPDATES = 400
REPEATING = 0.6
"""Part of the structure stage that includes repetitions: copying is learned first."""
STRUCTURE_ACCURACY = 0.1
FACTS_ACCURACY = 0.9
WITHHELD = 0.4
"""Share of the multiplication facts that the student is never told: what is left to learn. Without it
the student passes the window within 20 updates, and hardly a question stays hard."""
HIGH_RATE = 3e-3
LOW_RATE = 7e-4
MOST_FACT_UPDATES = 400
CHECK_EVERY = 10
REPORT_EVERY = 50
STOP = (0.215, 0.275)
"""Plain accuracy, on the questions of the check, at which the student is done."""


def teach_teacher(tokenizer: PreTrainedTokenizerFast, seed: int, report: Report) -> tuple[Trainer, int]:
    """A teacher trained on true derivations of chains of 1 to 7 operations, and its number of updates."""
    trainer, random = Trainer(make_teacher(tokenizer, seed), tokenizer), Random(seed)
    lesson = Lesson(accuracy=1.0, shortest=1, longest=7)
    for update in range(TEACHER_UPDATES):
        examples = [plain_example(lesson, random) for _ in range(64)]
        loss = trainer.step(examples, cosine(HIGH_RATE, update, TEACHER_UPDATES))
        if (update + 1) % REPORT_EVERY == 0:
            report(f"teacher: update {update + 1} of {TEACHER_UPDATES}, loss {loss:.3f}")
    return trainer, TEACHER_UPDATES


def teach_student(
    tokenizer: PreTrainedTokenizerFast, seed: int, checks: Sequence[PocketQuestion], report: Report
) -> tuple[Trainer, int]:
    """A student in the learning window, and its number of updates."""
    trainer, random = Trainer(make_student(tokenizer, seed), tokenizer), Random(seed)
    withheld = withheld_facts(WITHHELD, random)
    for update in range(STRUCTURE_UPDATES):
        batch = structure_batch(update, withheld, random)
        loss = trainer.step(batch, cosine(HIGH_RATE, update, STRUCTURE_UPDATES))
        if (update + 1) % REPORT_EVERY == 0:
            report(f"student: structure, update {update + 1} of {STRUCTURE_UPDATES}, loss {loss:.3f}")
    return trainer, STRUCTURE_UPDATES + _teach_facts(trainer, withheld, random, checks, report)


def _teach_facts(
    trainer: Trainer, withheld: Facts, random: Random, checks: Sequence[PocketQuestion], report: Report
) -> int:
    """Train until the student is in the window; returns the number of updates.

    The window is narrow. Where a check finds it passed, training goes back to the check before, at half
    the learning rate.
    """
    sampler, rate = Sampler(trainer.model, trainer.tokenizer), LOW_RATE
    lesson = Lesson(FACTS_ACCURACY, longest=6, withheld=withheld)
    before = trainer.state()
    for update in range(CHECK_EVERY, MOST_FACT_UPDATES + 1, CHECK_EVERY):
        for _ in range(CHECK_EVERY):
            trainer.step(mixed_batch(lesson, random), rate)
        accuracy = mean_accuracy(sample_plain(sampler, checks, seed=update))
        report(f"student: facts, update {update}, plain accuracy {accuracy:.3f}")
        if accuracy > STOP[1]:
            trainer.restore(before)
            rate /= 2
        elif accuracy >= STOP[0]:
            return update
        else:
            before = trainer.state()
    raise InputError(
        f"the student did not reach plain accuracy {STOP[0]} in {MOST_FACT_UPDATES} updates; use another seed"
    )


def structure_batch(update: int, withheld: Facts, random: Random) -> list[Example]:
    """Random facts; chains grow from 3 to 6 operations while repetitions last."""
    done = update / (REPEATING * STRUCTURE_UPDATES)
    lesson = Lesson(STRUCTURE_ACCURACY, longest=3 + int(3 * min(done, 1.0)), withheld=withheld)
    repeats = [repeat_example(random) for _ in range(16)] if done < 1.0 else []
    return mixed_batch(lesson, random) + repeats


def mixed_batch(lesson: Lesson, random: Random) -> list[Example]:
    """Plain, BCQ and NCQ prompts, about 12 : 4 : 1; two thirds of the plain ones of training length."""
    usual = replace(lesson, shortest=3, longest=4)
    return [
        *(plain_example(usual, random) for _ in range(32)),
        *(plain_example(lesson, random) for _ in range(16)),
        *(bcq_example(lesson, random) for _ in range(16)),
        *(ncq_example(lesson, random) for _ in range(4)),
    ]


def cosine(peak: float, update: int, updates: int, warmup: int = 20) -> float:
    """A learning rate that rises for `warmup` updates and falls to a twentieth of its peak."""
    decay = 0.5 + 0.5 * math.cos(math.pi * update / updates)
    return peak * min(1.0, (update + 1) / warmup) * (0.05 + 0.95 * decay)
