"""Builds the pocket models: teaches them, measures them, and refuses what would not do."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from transformers.utils import logging

from schemas.pocket import ModelCard, PocketCard, StudentCard, TeacherCard
from zppo.errors import InputError
from zppo.pocket.card import card_markdown
from zppo.pocket.curriculum import teach_student, teach_teachers
from zppo.pocket.measure import (
    Sampler,
    is_hintable,
    mean_accuracy,
    measure_writing,
    read_candidates,
    sample_plain,
    share,
)
from zppo.pocket.task import PocketQuestion, make_questions
from zppo.pocket.tokenizer import make_tokenizer
from zppo.pocket.training import Taught
from zppo.pocket.window import violations

LENGTHS, LONGER = (3, 4), (5, 6)
QUESTIONS = 400
CHECK_QUESTIONS = 120


def build(out: Path, seed: int, report: Callable[[str], None]) -> PocketCard:
    """Train all students and teachers from scratch and write them, with their card, into `out`.

    Takes about ten minutes, on one thread, so that the same seed gives the same weights on the same
    kind of machine with the same library versions.

    Args:
        out: Directory that gets one checkpoint for each of `MODELS`, `card.json` and `CARD.md`.
        seed: Of weights, examples and measurements.
        report: Called with a line of progress now and then.

    Raises:
        InputError: The models are not fit for their use; nothing was written.
    """
    with _one_thread():
        held_out = _held_out(seed)
        models = _teach(seed, held_out.checks, report)
        report("measuring")
        card = _measure(models, held_out, seed)
    if broken := violations(card):
        raise InputError(
            f"seed {seed} gave models that are not fit for use: {'; '.join(broken)}; use another seed"
        )
    _write(out, models, card)
    return card


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class HeldOut:
    """Questions apart from the training examples."""

    checks: list[PocketQuestion]
    """For the rule that ends a stage of training."""
    usual: list[PocketQuestion]
    """For the card."""
    longer: list[PocketQuestion]
    """For the card."""


def _held_out(seed: int) -> HeldOut:
    stream = list(make_questions(CHECK_QUESTIONS + QUESTIONS, LENGTHS, seed))
    longer = list(make_questions(QUESTIONS, LONGER, seed))
    return HeldOut(stream[:CHECK_QUESTIONS], stream[CHECK_QUESTIONS:], longer)


def _teach(seed: int, checks: list[PocketQuestion], report: Callable[[str], None]) -> dict[str, Taught]:
    """By the name of their directory."""
    tokenizer = make_tokenizer()
    teachers = teach_teachers(tokenizer, seed, checks, report)
    return {
        "student": teach_student(tokenizer, seed, checks, report, judges=True),
        "student-indifferent": teach_student(tokenizer, seed, checks, report, judges=False),
        "teacher": teachers.best,
        "teacher-middle": teachers.middle,
        "teacher-weak": teachers.weak,
    }


def _measure(models: dict[str, Taught], held_out: HeldOut, seed: int) -> PocketCard:
    samplers = {name: Sampler(taught.model, make_tokenizer()) for name, taught in models.items()}
    cards = {name: _measure_model(taught, samplers[name], held_out, seed) for name, taught in models.items()}
    groups = {
        name: sample_plain(samplers[name], held_out.usual, seed)
        for name in ("student", "student-indifferent")
    }

    def student(name: str) -> StudentCard:
        return StudentCard(
            **cards[name].model_dump(),
            all_wrong=sum(group.accuracy == 0.0 for group in groups[name]) / len(groups[name]),
            reading=read_candidates(samplers[name], groups[name], seed),
        )

    def teacher(name: str) -> TeacherCard:
        writing = measure_writing(samplers[name], groups["student"], seed)
        return TeacherCard(**cards[name].model_dump(), writing=writing)

    return PocketCard(
        seed=seed,
        questions=QUESTIONS,
        lengths=LENGTHS,
        longer_lengths=LONGER,
        hintable=share(is_hintable(question) for question in held_out.usual),
        student=student("student"),
        student_indifferent=student("student-indifferent"),
        teacher=teacher("teacher"),
        teacher_middle=teacher("teacher-middle"),
        teacher_weak=teacher("teacher-weak"),
    )


def _measure_model(taught: Taught, sampler: Sampler, held_out: HeldOut, seed: int) -> ModelCard:
    weights = save(taught.model.state_dict(), metadata={"format": "pt"})  # As `save_pretrained` writes them.
    return ModelCard(
        parameters=taught.model.num_parameters(),
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        accuracy=mean_accuracy(sample_plain(sampler, held_out.usual, seed)),
        longer_accuracy=mean_accuracy(sample_plain(sampler, held_out.longer, seed)),
        updates=taught.updates,
    )


def _write(out: Path, models: dict[str, Taught], card: PocketCard) -> None:
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for name, taught in models.items():
        taught.model.save_pretrained(out / name)
        make_tokenizer().save_pretrained(out / name)  # a used one remembers how it padded last
    (out / "card.json").write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (out / "CARD.md").write_text(card_markdown(card), encoding="utf-8")
