"""Builds the pocket models: teaches both, measures them, and refuses a pair that would not do."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save
from transformers.utils import logging

from schemas.pocket import ModelCard, PocketCard, StudentCard
from zppo.errors import InputError
from zppo.pocket.card import card_markdown
from zppo.pocket.curriculum import teach_student, teach_teacher
from zppo.pocket.measure import Sampler, mean_accuracy, read_candidates, sample_plain
from zppo.pocket.task import PocketQuestion, make_questions
from zppo.pocket.tokenizer import make_tokenizer
from zppo.pocket.training import Trainer
from zppo.pocket.window import violations

LENGTHS, LONGER = (3, 4), (5, 6)
QUESTIONS = 400
CHECK_QUESTIONS = 120


def build(out: Path, seed: int, report: Callable[[str], None]) -> PocketCard:
    """Train student and teacher from scratch and write them, with their card, into `out`.

    Takes five to fifteen minutes, on one thread, so that the same seed gives the same weights on the same
    kind of machine with the same library versions.

    Args:
        out: Directory that gets `student/`, `teacher/`, `card.json` and `CARD.md`.
        seed: Of weights, examples and measurements.
        report: Called with a line of progress now and then.

    Raises:
        InputError: The pair is not fit for training by reinforcement; nothing was written.
    """
    with _one_thread():
        tokenizer = make_tokenizer()
        checks, usual, longer = _held_out(seed)
        student, student_updates = teach_student(tokenizer, seed, checks, report)
        teacher, teacher_updates = teach_teacher(tokenizer, seed, report)
        report("measuring")
        student_card = _measure_student(student, student_updates, usual, longer, seed)
        teacher_card = _measure(teacher, teacher_updates, usual, longer, seed)
    if broken := violations(student_card, teacher_card):
        raise InputError(
            f"seed {seed} gave a pair that is not fit for use: {'; '.join(broken)}; use another seed"
        )
    card = PocketCard(
        seed=seed,
        questions=QUESTIONS,
        lengths=LENGTHS,
        longer_lengths=LONGER,
        student=student_card,
        teacher=teacher_card,
    )
    _write(out, student, teacher, card)
    return card


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _held_out(seed: int) -> tuple[list[PocketQuestion], list[PocketQuestion], list[PocketQuestion]]:
    """Questions for the stopping rule, for the card, and longer ones for the card."""
    stream = list(make_questions(CHECK_QUESTIONS + QUESTIONS, LENGTHS, seed))
    return stream[:CHECK_QUESTIONS], stream[CHECK_QUESTIONS:], list(make_questions(QUESTIONS, LONGER, seed))


def _measure(
    trained: Trainer, updates: int, usual: list[PocketQuestion], longer: list[PocketQuestion], seed: int
) -> ModelCard:
    sampler = Sampler(trained.model, trained.tokenizer)
    return ModelCard(
        parameters=trained.model.num_parameters(),
        weights_sha256=hashlib.sha256(_weights(trained)).hexdigest(),
        accuracy=mean_accuracy(sample_plain(sampler, usual, seed)),
        longer_accuracy=mean_accuracy(sample_plain(sampler, longer, seed)),
        updates=updates,
    )


def _measure_student(
    trained: Trainer, updates: int, usual: list[PocketQuestion], longer: list[PocketQuestion], seed: int
) -> StudentCard:
    sampler = Sampler(trained.model, trained.tokenizer)
    groups = sample_plain(sampler, usual, seed)
    return StudentCard(
        **_measure(trained, updates, usual, longer, seed).model_dump(),
        all_wrong=sum(group.accuracy == 0.0 for group in groups) / len(groups),
        reading=read_candidates(sampler, groups, seed),
    )


def _weights(trained: Trainer) -> bytes:
    """The bytes that `save_pretrained` writes as `model.safetensors`."""
    return save(trained.model.state_dict(), metadata={"format": "pt"})


def _write(out: Path, student: Trainer, teacher: Trainer, card: PocketCard) -> None:
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for name, trained in (("student", student), ("teacher", teacher)):
        trained.model.save_pretrained(out / name)
        make_tokenizer().save_pretrained(out / name)  # a used one remembers how it padded last
    (out / "card.json").write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (out / "CARD.md").write_text(card_markdown(card), encoding="utf-8")
