"""The life of single questions in full: every visit's prompts, responses, advantages and audits."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from schemas.clipping import ClippedTokens
from schemas.config.method import PolicyGradient
from schemas.question import Question
from schemas.report import StepReport
from schemas.rollout import AvailableResponse, Candidate, Failure, Group, Prompt, Rollout, Round
from zppo.core.answers import normalise_boxed
from zppo.errors import InputError, StoreError
from zppo.methods.choose import choose_method
from zppo.ports import PolicyRow
from zppo.report.available import available_responses, teacher_note
from zppo.report.history import RunHistory
from zppo.report.lives import Visit
from zppo.report.model import (
    GroupDetail,
    PromptDetail,
    QuestionDetail,
    RolloutDetail,
    Segment,
    VisitDetail,
)
from zppo.report.series import mean_update
from zppo.report.tokens import TokenTexts


class UnknownQuestion(InputError):
    """The run has no such training question, or none at all yet."""


@dataclass(frozen=True)
class _Round:
    """What is known of a round besides its groups."""

    tokens: TokenTexts
    advantages: Mapping[str, float] | None
    """By rollout (`<group id>#<index>`), as the next."""
    clipped: Mapping[str, tuple[ClippedTokens, ...]] | None
    available: Mapping[str, tuple[AvailableResponse, ...]]
    """By question."""
    demonstrated: Collection[str]
    """Origins of the teacher responses that the update learned from."""


def question_details(history: RunHistory, ids: Iterable[str]) -> dict[str, QuestionDetail]:
    """The lives of some questions, by id; of the rounds only their groups are read in full.

    Raises:
        UnknownQuestion: An id is not among the training questions.
    """
    wanted = list(dict.fromkeys(ids))
    tokens = TokenTexts(history.checkpoint_file("tokenizer.json"))
    visits: dict[str, list[VisitDetail]] = defaultdict(list)
    by_round: dict[int, list[tuple[str, Visit]]] = defaultdict(list)
    for id in wanted:
        for visit in history.lives.visits.get(id, ()):
            by_round[visit.round].append((id, visit))
    for index in sorted(by_round):
        asked = {id for id, _ in by_round[index]}
        all_groups = history.groups(index, asked)
        round_ = _Round(
            tokens=tokens,
            advantages=round_advantages(history.weightless_round(index), history),
            clipped=history.clipped(index, [name for group in all_groups for name in _names(group)]),
            available=history.available(index, asked),
            demonstrated=history.demonstrated(index, [group.id for group in all_groups]),
        )
        for id, visit in by_round[index]:
            groups = [group for group in all_groups if group.question_id == id]
            visits[id].append(_visit(history, id, visit, groups, round_))
    return {id: _question(history, id, visits[id]) for id in wanted}


def round_advantages(round_: Round, history: RunHistory) -> Mapping[str, float] | None:
    """The advantage of each rollout (`<group id>#<index>`) as the update had it; None in distillation.

    A round in which no group had a spread made no update: all are 0.
    """
    recipe = history.record.recipe
    if not isinstance(recipe.method, PolicyGradient):
        return None
    advantages = {f"{group.id}#{rollout.index}": 0.0 for group in round_.groups for rollout in group.rollouts}
    for batch in choose_method(recipe.method).batches(round_, recipe.seed):
        for row in batch.rows:
            assert isinstance(row, PolicyRow)
            advantages[row.rollout] = row.advantage
    return advantages


def segments(prompt: Prompt) -> tuple[Segment, ...]:
    """The prompt's text, with the candidates, or the hint, marked by their authors.

    They are looked for from the end, where they stand: the question may hold the same words.
    """
    found: list[Segment] = []
    rest = prompt.text
    for candidate in reversed(prompt.candidates or _as_candidate(prompt)):
        if candidate.text and candidate.text in rest:
            before, text, after = rest.rpartition(candidate.text)
            found += [
                Segment(text=after),
                Segment(text=text, author=candidate.author, correct=candidate.correct),
            ]
            rest = before
    found.append(Segment(text=rest))
    return tuple(each for each in reversed(found) if each.text)


def audit(group: Group, rollout: Rollout, teacher_answers: Sequence[str]) -> str:
    """Whose answer a rollout on a reformulated prompt gives; empty for the others."""
    match group.prompt.kind:
        case "bcq":
            same = [each for each in group.prompt.candidates if _same(rollout.answer, each.answer)]
            kinds = {each.correct for each in same}
            if kinds == {True}:
                return "the correct candidate’s answer"
            if kinds == {False}:
                return "a wrong candidate’s answer"
            return "both candidates’ answer" if kinds else "neither candidate’s answer"
        case "ncq":
            if any(_same(rollout.answer, each) for each in group.prompt.wrong_answers):
                return "repeats a listed wrong answer"
            matches = any(_same(rollout.answer, each) for each in teacher_answers)
            other = "no answer" if rollout.answer is None else "a new answer"
            return "the teacher’s answer, not shown" if matches else other
        case _:
            return ""


def _question(history: RunHistory, id: str, visits: Sequence[VisitDetail]) -> QuestionDetail:
    question = _text(history, id)
    return QuestionDetail(
        id=id,
        source=question.source,
        kind=question.kind,
        text=question.text,
        answer=question.answer,
        choices=question.choices,
        reference_solution=question.reference_solution,
        fate=history.lives.fate(id, history.record.recipe.method.tau),
        entry_accuracy=history.lives.entry_accuracy(id),
        visits=tuple(visits),
    )


def _text(history: RunHistory, id: str) -> Question:
    if history.questions is not None:
        with suppress(StoreError):
            return history.questions.by_id(id)
    raise UnknownQuestion(f"{history.name} has no training question {id!r}; its page lists them all")


def _visit(
    history: RunHistory,
    id: str,
    visit: Visit,
    groups: Sequence[Group],
    round_: _Round,
) -> VisitDetail:
    answers = visit.served.correct_answers if visit.served else ()
    recorded = round_.available.get(id, ())
    teacher = available_responses(history, id, visit, groups, recorded, round_.demonstrated)
    return VisitDetail(
        round=visit.round,
        replayed=visit.replayed,
        accuracy=visit.accuracy,
        teacher=teacher,
        teacher_note=teacher_note(visit.served, len(teacher)),
        groups=tuple(_group(group, answers, round_) for group in groups),
        events=tuple(event for index, event in history.lives.events.get(id, ()) if index == visit.round),
        update_note=update_note(history.reports[visit.round - 1], round_.clipped is not None),
    )


def update_note(report: StepReport, told: bool) -> str:
    """What is recorded of clipping: shares of the round's tokens, and where `told` which ones."""
    low, high, dual = (
        mean_update(report, f"{name}_fraction") for name in ("clip_low", "clip_high", "dual_clip")
    )
    if low is None or high is None or dual is None:
        return "Nothing was clipped: the round made no update, or its loss has no clipping."
    which = "is marked in the responses" if told else "is not recorded token by token by this run"
    return (
        f"Clipping {which}. Of all tokens of the round’s updates {low:.2%} were clipped below, {high:.2%} "
        f"above and {dual:.2%} by the dual clip."
    )


def _names(group: Group) -> list[str]:
    """How updates name its rollouts."""
    return [f"{group.id}#{rollout.index}" for rollout in group.rollouts]


def _group(group: Group, answers: Sequence[str], its: _Round) -> GroupDetail:
    def rollout(name: str, each: Rollout) -> RolloutDetail:
        return RolloutDetail(
            index=each.index,
            outcome=each.outcome,
            reward=each.reward,
            answer=each.answer,
            advantage=None if its.advantages is None else its.advantages[name],
            text=each.text,
            tokens=len(each.token_ids),
            pieces=its.tokens.pieces(each.token_ids, after=group.prompt.prefix_ids),
            logprobs=tuple(round(value, 2) for value in each.logprobs),
            clipped=its.clipped.get(name, ()) if its.clipped else (),
            audit=audit(group, each, answers),
            verdict=each.verdict,
        )

    return GroupDetail(
        id=group.id,
        accuracy=group.accuracy,
        prompt=_prompt(group.prompt, its.tokens),
        rollouts=(*map(rollout, _names(group), group.rollouts), *map(_failure, group.failures)),
    )


def _failure(failure: Failure) -> RolloutDetail:
    return RolloutDetail(
        index=failure.index,
        outcome=failure.outcome,
        reward=None,
        answer=None,
        advantage=None,
        text=failure.text,
        tokens=0,
        cause=failure.cause,
    )


def _prompt(prompt: Prompt, tokens: TokenTexts) -> PromptDetail:
    origins = [candidate.origin for candidate in prompt.candidates]
    return PromptDetail(
        kind=prompt.kind,
        segments=segments(prompt),
        tokens=len(prompt.token_ids),
        wrong_answers=prompt.wrong_answers,
        origins=tuple(origins or ([prompt.origin] if prompt.origin else [])),
        forced_tokens=len(prompt.prefix_ids),
        forced_text="".join(tokens.pieces(prompt.prefix_ids)) or None,
    )


def _as_candidate(prompt: Prompt) -> tuple[Candidate, ...]:
    """A hint is marked as a candidate is."""
    if prompt.hint is None:
        return ()
    return (
        Candidate(
            text=prompt.hint,
            author="teacher",
            correct=True,
            answer=None,
            compression="teacher",
            origin=prompt.origin,
        ),
    )


def _same(answer: str | None, other: str | None) -> bool:
    """Compare boxed strings in their normalised form, as the audits do."""
    return answer is not None and other is not None and normalise_boxed(answer) == normalise_boxed(other)
