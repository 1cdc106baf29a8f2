"""How the pocket models are taught before any reinforcement.

In the first stage, structure, a model learns how to write a derivation and how to read a prompt, with facts
that are nearly all random. In the second, facts, demonstrations are mostly true and it learns fast: it is
measured every few updates and stopped inside a window of accuracy. The students end there, and are never
told some of the facts. The teacher writes summaries and hints as well; it passes two windows, in each of
which a copy stays behind as a weaker teacher, and goes on until it masters the task.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from transformers import PreTrainedTokenizerFast

from zppo.errors import InputError
from zppo.pocket.examples import (
    Example,
    Lesson,
    bcq_example,
    hint_example,
    ncq_example,
    plain_example,
    repeat_example,
    withheld_facts,
)
from zppo.pocket.measure import Sampler, mean_accuracy, sample_plain
from zppo.pocket.models import make_student, make_teacher
from zppo.pocket.task import PocketQuestion
from zppo.pocket.training import Taught, Trainer
from zppo.pocket.writing import summary_example, write_hint_example

Report = Callable[[str], None]
Curriculum = Callable[[Lesson, Random], list[Example]]
"""Draws the examples of one update."""

STRUCTURE_UPDATES = 400
REPEATING = 0.6
"""Part of the structure stage that includes repetitions: copying is learned first."""
MASTERY_UPDATES = 400
STRUCTURE_ACCURACY = 0.1
FACTS_ACCURACY = 0.9
WITHHELD = 0.55
"""Share of the multiplication facts that a student is never told: what is left to learn. Without it
a student passes the window within 20 updates, and hardly a question stays hard."""
HIGH_RATE = 3e-3
LOW_RATE = 7e-4
MOST_FACT_UPDATES = 400
CHECK_EVERY = 10
REPORT_EVERY = 50

Window = tuple[float, float]
"""Lowest and highest plain accuracy, on the questions of the check, at which the facts stage ends."""
STUDENT: Window = (0.20, 0.26)
WEAK: Window = (0.42, 0.49)
MIDDLE: Window = (0.72, 0.80)


@dataclass(frozen=True)
class Teachers:
    """Three states of one training."""

    weak: Taught
    middle: Taught
    best: Taught


class Course:
    """One model in training."""

    def __init__(self, name: str, trainer: Trainer, curriculum: Curriculum, random: Random, report: Report):
        """Keep what all stages share.

        Args:
            name: Of the model, in progress lines.
            trainer: The model with its optimizer.
            curriculum: Draws the examples of an update.
            random: What examples are drawn with.
            report: Called with a line of progress now and then.
        """
        self._name = name
        self._trainer = trainer
        self._curriculum = curriculum
        self._random = random
        self._report = report

    def structure(self, lesson: Lesson) -> None:
        """Random facts; chains grow to the lesson's longest while repetitions last."""
        for update in range(STRUCTURE_UPDATES):
            done = update / (REPEATING * STRUCTURE_UPDATES)
            examples = self._curriculum(growing(lesson, done), self._random)
            if done < 1.0:
                examples += [repeat_example(self._random) for _ in range(16)]
            self._step("structure", examples, update, STRUCTURE_UPDATES)

    def mastery(self, lesson: Lesson) -> None:
        """A fixed number of updates at a rate that falls."""
        for update in range(MASTERY_UPDATES):
            self._step("mastery", self._curriculum(lesson, self._random), update, MASTERY_UPDATES)

    def facts(self, lesson: Lesson, window: Window, checks: Sequence[PocketQuestion]) -> None:
        """Train until the model's plain accuracy on the questions of the check is in the window.

        A window is narrow. Where a check finds it passed, training goes back to the check before, at half
        the learning rate.

        Raises:
            InputError: The window was not reached.
        """
        trainer, rate = self._trainer, LOW_RATE
        sampler, before = Sampler(trainer.model, trainer.tokenizer), trainer.state()
        for update in range(CHECK_EVERY, MOST_FACT_UPDATES + 1, CHECK_EVERY):
            for _ in range(CHECK_EVERY):
                trainer.step(self._curriculum(lesson, self._random), rate)
            accuracy = mean_accuracy(sample_plain(sampler, checks, seed=update))
            self._report(f"{self._name}: facts, update {update}, plain accuracy {accuracy:.3f}")
            if accuracy > window[1]:
                trainer.restore(before)
                rate /= 2
            elif accuracy >= window[0]:
                return
            else:
                before = trainer.state()
        raise InputError(
            f"the {self._name} did not reach a plain accuracy of {window[0]} to {window[1]} in "
            f"{MOST_FACT_UPDATES} updates; use another seed"
        )

    def _step(self, stage: str, examples: list[Example], update: int, updates: int) -> None:
        loss = self._trainer.step(examples, cosine(HIGH_RATE, update, updates))
        if (update + 1) % REPORT_EVERY == 0:
            self._report(f"{self._name}: {stage}, update {update + 1} of {updates}, loss {loss:.3f}")


def teach_student(
    tokenizer: PreTrainedTokenizerFast,
    seed: int,
    checks: Sequence[PocketQuestion],
    report: Report,
    *,
    judges: bool,
) -> Taught:
    """A student in the learning window.

    Args:
        tokenizer: Of all pocket models.
        seed: Of weights and examples.
        checks: Questions that the window is measured on.
        report: Called with a line of progress now and then.
        judges: Whether it is shown how to tell a correct candidate from a wrong one; if not, it is shown
            how to repeat either.
    """
    trainer, random = Trainer(make_student(tokenizer, seed), tokenizer), Random(seed)
    withheld = withheld_facts(WITHHELD, random)
    course = Course("student" if judges else "indifferent student", trainer, student_batch, random, report)
    course.structure(Lesson(STRUCTURE_ACCURACY, longest=6, withheld=withheld, judges=judges))
    course.facts(Lesson(FACTS_ACCURACY, longest=6, withheld=withheld, judges=judges), STUDENT, checks)
    return trainer.taught()


def teach_teachers(
    tokenizer: PreTrainedTokenizerFast, seed: int, checks: Sequence[PocketQuestion], report: Report
) -> Teachers:
    """Three teachers of growing accuracy for chains of 1 to 7 operations."""
    trainer, random = Trainer(make_teacher(tokenizer, seed), tokenizer), Random(seed)
    course = Course("teacher", trainer, teacher_batch, random, report)
    course.structure(Lesson(STRUCTURE_ACCURACY, shortest=1, longest=7))
    truth = Lesson(accuracy=1.0, shortest=1, longest=7)
    course.facts(truth, WEAK, checks)
    weak = trainer.taught()
    course.facts(truth, MIDDLE, checks)
    middle = trainer.taught()
    course.mastery(truth)
    return Teachers(weak, middle, trainer.taught())


def growing(lesson: Lesson, done: float) -> Lesson:
    """The lesson with chains of at most half its longest at first, of all its lengths when `done` is 1."""
    start = lesson.longest // 2
    return replace(lesson, longest=start + int((lesson.longest - start) * min(done, 1.0)))


def student_batch(lesson: Lesson, random: Random) -> list[Example]:
    """Plain, BCQ, hint and NCQ prompts, about 12 : 4 : 1 : 1; most plain ones are of training length."""
    usual = replace(lesson, shortest=3, longest=4)
    return [
        *(plain_example(usual, random) for _ in range(32)),
        *(plain_example(lesson, random) for _ in range(16)),
        *(bcq_example(lesson, random) for _ in range(16)),
        *(hint_example(lesson, random) for _ in range(5)),
        *(ncq_example(lesson, random) for _ in range(4)),
    ]


def teacher_batch(lesson: Lesson, random: Random) -> list[Example]:
    """Plain prompts, and responses to shorten and to make hints of."""
    return [
        *(plain_example(lesson, random) for _ in range(32)),
        *(summary_example(lesson, random) for _ in range(16)),
        *(write_hint_example(lesson, random) for _ in range(16)),
    ]


def cosine(peak: float, update: int, updates: int, warmup: int = 20) -> float:
    """A learning rate that rises for `warmup` updates and falls to a twentieth of its peak."""
    decay = 0.5 + 0.5 * math.cos(math.pi * update / updates)
    return peak * min(1.0, (update + 1) / warmup) * (0.05 + 0.95 * decay)
