"""The precompute stage: teacher responses for the training questions, graded, ahead of training.

Of correct ones the teacher also writes what the method asks for: summaries, hints.

Resumes by question: finished questions are lines of a journal in a directory of the caller's, synced to
disk batch by batch, or one by one as an endpoint answers them. The pool holds them in the order asked for,
and with a local engine the same seeds give the same responses, whichever session draws them.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from schemas.question import Question
from schemas.spend import EndpointSpend
from schemas.teacher import AnsweredQuestion, HintOutcome, PooledResponse, TeacherPool
from zppo.core.randomness import derive_seed
from zppo.core.values import Original
from zppo.endpoints.ledger import BudgetReached
from zppo.errors import InputError, ZppoError
from zppo.ports import Compressor, Grader
from zppo.stages.journal import Journal
from zppo.teachers.hints import HintWriter
from zppo.teachers.pool import RESPONSES, valid, write_pool
from zppo.teachers.sources import Ask, ResponseSource, SourceKind, grade_drawn

REPORT, SPEND = "report.json", "spend.jsonl"


@dataclass(frozen=True)
class Precomputation:
    """What is asked of whom."""

    source: ResponseSource
    grader: Grader
    """The student's."""
    responses: int
    """Responses a question: `teacher_group_size * visits`."""
    seed: int
    """The run's."""
    compressor: Compressor | None = None
    """Summarises correct responses, where candidates are compressed by the teacher."""
    hints: HintWriter | None = None
    """Writes hints from correct responses, where the method shows them."""
    batch_questions: int = 64
    """Questions asked at once; the engine splits them further by its memory. What a crash can lose."""
    side_by_side: int = 0
    """Questions that are asked one by one beside each other, for a teacher that answers many at a time and
    each in its own time; 0: in batches."""
    spent: Callable[[], EndpointSpend | None] = lambda: None
    """What the pool has cost so far, for the report."""


def precompute(
    questions: Sequence[Question],
    job: Precomputation,
    partial: Path,
    out: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TeacherPool:
    """Ask the teacher every question that the journal does not have, then write the pool.

    Args:
        questions: Training questions, each once.
        job: Teacher, grader and counts.
        partial: Directory of the journal; belongs to this job and these questions, and survives crashes.
        out: Empty directory; gets `responses.parquet` and `report.json`.
        progress: Told (questions done, all questions) at the start and after every batch.

    Raises:
        InputError: The teacher gave no usable response to any question.
        BudgetReached: The rest of the endpoint's budget does not cover another request.
    """
    journal = ask(questions, job, partial, progress)
    report = summarize(job.source.kind, journal.read(), journal.seconds, job.spent())
    if questions and not report.responses:
        raise InputError(_nothing(job.source.kind, journal.read()))
    write_pool(out / RESPONSES, journal.read_in_order([question.id for question in questions]))
    (out / REPORT).write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return report


def ask(
    questions: Sequence[Question],
    job: Precomputation,
    partial: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Journal:
    """Ask the teacher every question that the journal in `partial` does not have, and return the journal.

    Arguments are those of `precompute`.

    Raises:
        BudgetReached: The rest of the endpoint's budget does not cover another request.
    """
    journal = Journal(partial)
    finished = {answered.question_id for answered in journal.read()}
    waiting = [question for question in questions if question.id not in finished]
    done = len(questions) - len(waiting)
    progress(done, len(questions))
    try:
        for answered in _one_by_one(waiting, job) if job.side_by_side else _in_batches(waiting, job):
            journal.append(answered)
            done += len(answered)
            progress(done, len(questions))
    except BudgetReached as error:
        raise BudgetReached(f"{error}. {done:,} of {len(questions):,} questions are done and kept") from None
    return journal


def _in_batches(waiting: Sequence[Question], job: Precomputation) -> Iterator[list[AnsweredQuestion]]:
    for start in range(0, len(waiting), job.batch_questions):
        yield answer(waiting[start : start + job.batch_questions], job)


def _one_by_one(waiting: Sequence[Question], job: Precomputation) -> Iterator[list[AnsweredQuestion]]:
    """Each question as it is done. After an error no other begins; those begun are kept if they succeed."""
    left = iter(waiting)
    errors: list[ZppoError] = []
    threads = ThreadPoolExecutor(job.side_by_side, thread_name_prefix="teacher")
    running: set[Future[list[AnsweredQuestion]]] = set()
    try:
        while True:
            if not errors:
                begin = islice(left, job.side_by_side - len(running))
                running |= {threads.submit(answer, [question], job) for question in begin}
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                try:
                    yield each.result()
                except ZppoError as error:
                    errors.append(error)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    if errors:
        raise errors[0]


def answer(questions: Sequence[Question], job: Precomputation) -> list[AnsweredQuestion]:
    """Draw and grade the responses to a batch of questions, then summaries and hints of the correct ones."""
    start = time.perf_counter()
    asks = [
        Ask(
            question,
            tuple(derive_seed(job.seed, "teacher", question.id, index) for index in range(job.responses)),
        )
        for question in questions
    ]
    graded = grade_drawn(asks, job.source.draw(asks), job.grader)
    if job.compressor is not None:
        graded = _summarised(questions, graded, job.compressor, job.seed)
    if job.hints is not None:
        seeds = [derive_seed(job.seed, "hint", question.id) for question in questions]
        graded = job.hints.add(questions, graded, seeds)
    seconds = (time.perf_counter() - start) / max(len(questions), 1)
    return [
        AnsweredQuestion(question_id=question.id, responses=responses, seconds=seconds)
        for question, responses in zip(questions, graded, strict=True)
    ]


def only_hard(questions: Sequence[Question], accuracies: Mapping[str, float], tau: float) -> list[Question]:
    """The questions on which the base student's accuracy is below `tau`, or not known."""
    return [question for question in questions if accuracies.get(question.id, 0.0) < tau]


def summarize(
    teacher: SourceKind,
    answered: Iterable[AnsweredQuestion],
    seconds: float,
    spend: EndpointSpend | None = None,
) -> TeacherPool:
    """Count what the pool holds.

    Args:
        teacher: What it is.
        answered: Every question that it was asked.
        seconds: What that took.
        spend: At its endpoint.
    """
    questions = covered = responses = correct = failed = malformed = summaries = tokens = 0
    hints = Counter[HintOutcome | None]()
    for each in answered:
        usable = valid(each)
        right = [response for response in usable if response.outcome == "correct"]
        questions += 1
        covered += bool(right)
        responses += len(usable)
        correct += len(right)
        failed += len(each.responses) - len(usable)
        malformed += sum(response.verdict == "malformed" for response in usable)
        summaries += sum(response.summary is not None for response in right)
        hints.update(response.hint_outcome for response in right)
        tokens += sum(response.tokens_drawn for response in each.responses)
    return TeacherPool(
        teacher=teacher,
        questions=questions,
        covered=covered,
        coverage=covered / questions if questions else 0.0,
        responses=responses,
        correct=correct,
        failed=failed,
        malformed_verdicts=malformed,
        summaries=summaries,
        hints=hints["accepted"],
        hints_revealing=hints["reveals"],
        hints_missing=hints["missing"],
        tokens=tokens,
        seconds=seconds,
        spend=spend,
    )


def _nothing(teacher: SourceKind, answered: Iterable[AnsweredQuestion]) -> str:
    causes = (response.cause for each in answered for response in each.responses)
    cause = next(causes, None)
    remedy = {
        "model": "check the teacher's context window and its max_response_tokens",
        "endpoint": "check the model's context window and teacher.max_response_tokens",
        "reference": "map `reference_solution` to a field of the data, or choose another teacher",
        "recorded": "its `question_id` or `question` must be those of the prepared training questions",
    }[teacher]
    return (
        f"teacher '{teacher}' gave no usable response to any training question"
        f"{f' (the first failed: {cause})' if cause else ''}; {remedy}"
    )


def _summarised(
    questions: Sequence[Question],
    graded: Sequence[tuple[PooledResponse, ...]],
    compressor: Compressor,
    seed: int,
) -> list[tuple[PooledResponse, ...]]:
    """The same responses, the correct ones with the teacher's summary where it managed one."""
    correct = [
        (question.id, response)
        for question, responses in zip(questions, graded, strict=True)
        for response in responses
        if response.outcome == "correct"
    ]
    summaries = compressor.compress(
        [Original(text=response.text, answer=response.answer) for _, response in correct],
        [derive_seed(seed, "compress", question_id, response.index) for question_id, response in correct],
    )
    by_place = {
        (question_id, response.index): {"summary": summary.text, "summary_tokens": summary.tokens}
        for (question_id, response), summary in zip(correct, summaries, strict=True)
    }
    return [
        tuple(
            response.model_copy(update=by_place.get((question.id, response.index))) for response in responses
        )
        for question, responses in zip(questions, graded, strict=True)
    ]
