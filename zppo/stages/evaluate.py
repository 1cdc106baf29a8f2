"""Evaluation: a model answers held-out questions under the recipe's decoding."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from statistics import fmean

from schemas.config.models import DecodingConfig
from schemas.evaluation import EvaluationAnswer
from schemas.question import Question
from schemas.report import ValidationReport
from schemas.rollout import Failure, Group, Prompt, Rollout
from schemas.teacher import AnsweredQuestion
from zppo.core.prompts import Templates
from zppo.ports import Grader, RolloutEngine
from zppo.sampling import Draft, draw, grade

QUESTIONS_AT_ONCE = 256
"""Questions between two reports of progress."""


@dataclass(frozen=True)
class Examinee:
    """A model that answers, and how its answers are graded."""

    engine: RolloutEngine
    templates: Templates
    grader: Grader
    decoding: DecodingConfig
    samples: int
    """Responses a question."""
    seed: int


def answer_questions(
    questions: Sequence[Question],
    examinee: Examinee,
    training_sources: Set[str],
    advance: Callable[[int, str], None],
) -> list[EvaluationAnswer]:
    """Graded answers to all questions, in their order; every model draws with the same seeds.

    Args:
        questions: Held-out ones.
        examinee: Who answers.
        training_sources: Names of the sources that the student trains on.
        advance: Told how many questions are done, and the accuracy so far.
    """
    answers: list[EvaluationAnswer] = []
    done = 0
    for part in _batched(questions, QUESTIONS_AT_ONCE):
        for question, group in zip(part, examine(part, examinee, "evaluate"), strict=True):
            answers.extend(_answers(question, group, question.source in training_sources))
        done += len(part)
        advance(done, _accuracy_so_far(answers))
    return answers


def validate(
    questions: Sequence[Question], outside: Sequence[Question], examinee: Examinee
) -> ValidationReport | None:
    """Accuracy on the validation questions, None where there are none or no answer is valid.

    Args:
        questions: Of the training sources.
        outside: Of the sources that are only evaluated; may be empty.
        examinee: Who answers.
    """
    accuracies = _accuracies(questions, examinee)
    if not accuracies:
        return None
    return ValidationReport(
        questions=len(accuracies),
        accuracy=fmean(accuracies),
        out_of_distribution=fmean(of_outside) if (of_outside := _accuracies(outside, examinee)) else None,
    )


def _accuracies(questions: Sequence[Question], examinee: Examinee) -> list[float]:
    groups = examine(questions, examinee, "validation")
    return [group.accuracy for group in groups if group.accuracy is not None]


def examine(questions: Sequence[Question], examinee: Examinee, purpose: str) -> list[Group]:
    """One group of graded answers to the plain prompt of each question."""
    drafts = [_draft(question, examinee, purpose) for question in questions]
    drawn = draw(drafts, examinee.samples, examinee.decoding, examinee.seed, examinee.engine)
    return grade(drafts, drawn, examinee.grader)


def _draft(question: Question, examinee: Examinee, purpose: str) -> Draft:
    text = examinee.templates.render_plain(question.text)
    prompt = Prompt(kind="plain", text=text, token_ids=examinee.engine.encode(text))
    return Draft(f"{purpose}/{question.id}", question, "new", prompt)


def _answers(question: Question, group: Group, in_distribution: bool) -> Iterator[EvaluationAnswer]:
    responses: list[Rollout | Failure] = [*group.rollouts, *group.failures]
    for response in sorted(responses, key=lambda each: each.index):
        yield EvaluationAnswer(
            question_id=question.id,
            source=question.source,
            kind=question.kind,
            in_distribution=in_distribution,
            sample=response.index,
            outcome=response.outcome,
            answer=response.answer if isinstance(response, Rollout) else None,
            tokens=len(response.token_ids) if isinstance(response, Rollout) else 0,
            text=response.text,
            verdict=response.verdict if isinstance(response, Rollout) else None,
        )


def pooled_answers(
    questions: Sequence[Question], answered: Iterable[AnsweredQuestion], training_sources: Set[str]
) -> list[EvaluationAnswer]:
    """The answers of a teacher that was asked question by question, in the form of any other model's.

    Args:
        questions: Held-out ones.
        answered: Their graded responses, in the same order.
        training_sources: Names of the sources that the student trains on.
    """
    return [
        EvaluationAnswer(
            question_id=question.id,
            source=question.source,
            kind=question.kind,
            in_distribution=question.source in training_sources,
            sample=response.index,
            outcome="truncated"
            if response.outcome == "no_answer" and response.truncated
            else response.outcome,
            answer=response.answer,
            tokens=response.tokens,
            text=response.text,
            verdict=response.verdict,
        )
        for question, each in zip(questions, answered, strict=True)
        for response in each.responses
    ]


def _accuracy_so_far(answers: Sequence[EvaluationAnswer]) -> str:
    valid = [each.outcome == "correct" for each in answers if each.valid]
    return f"accuracy {sum(valid) / len(valid):.3f}" if valid else ""


def _batched(questions: Sequence[Question], size: int) -> Iterator[Sequence[Question]]:
    for start in range(0, len(questions), size):
        yield questions[start : start + size]
