"""The teacher responses that a visit of a question could use, and what was made of them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from schemas.rollout import AvailableResponse, Group, PromptKind, ServedResponses
from zppo.core.values import TeacherResponse
from zppo.report.history import RunHistory
from zppo.report.lives import Visit
from zppo.report.model import TeacherDetail


def available_responses(
    history: RunHistory,
    id: str,
    visit: Visit,
    groups: Sequence[Group],
    recorded: Sequence[AvailableResponse],
    learned: Collection[str],
) -> tuple[TeacherDetail, ...]:
    """What the teacher gave, in its order.

    Where the round does not record it, as those of earlier programs do not, it is what the pool served and
    what stands in the visit's prompts.

    Args:
        history: The run.
        id: The question.
        visit: Its visit.
        groups: Those of the visit.
        recorded: What the round records of the visit.
        learned: Origins of those that the round's update learned from.
    """
    pool = {each.origin: each for each in history.pool.responses(id)} if history.pool else {}
    found = recorded or tuple(_reconstructed(list(pool.values()), visit, groups))
    uses = _uses(groups)
    return tuple(
        _detail(each, pool.get(each.origin), uses.get(each.origin, ()), each.origin in learned)
        for each in found
    )


def teacher_note(served: ServedResponses | None, shown: int) -> str:
    """How many responses a visit got, from where, and how many of them the report can show."""
    if served is None:
        return "The teacher was not asked."
    given = served.served + served.drawn + served.reused
    parts = [f"{served.correct} correct of {given}"]
    if served.served:
        parts.append(f"{served.served} unused from the pool")
    if served.drawn:
        parts.append(f"{served.drawn} drawn in the round")
    if served.reused:
        parts.append(f"{served.reused} used before")
    if shown < given:
        parts.append(f"{given - shown} not shown, because they failed or the round does not keep them")
    return "; ".join(parts) + "."


def _reconstructed(
    pool: Sequence[TeacherResponse], visit: Visit, groups: Iterable[Group]
) -> Iterator[AvailableResponse]:
    """What a round without records of it can tell."""
    start = visit.served_before
    fresh = pool[start : start + visit.served.served] if visit.served else ()
    for each in fresh:
        yield AvailableResponse(origin=each.origin, correct=each.correct, answer=each.answer)
    candidates = {each.origin: each for group in groups for each in group.prompt.candidates}
    for each in fresh:
        candidates.pop(each.origin, None)
    for shown in candidates.values():
        if shown.author == "teacher":
            yield AvailableResponse(
                origin=shown.origin, correct=shown.correct, answer=shown.answer, provenance=shown.provenance
            )


def _uses(groups: Iterable[Group]) -> Mapping[str, tuple[PromptKind, ...]]:
    """By origin of a response, the kinds of prompt that show it."""
    uses: dict[str, tuple[PromptKind, ...]] = {}
    for group in groups:
        for origin in (*(each.origin for each in group.prompt.candidates), group.prompt.origin):
            uses[origin] = (*uses.get(origin, ()), group.prompt.kind)
    return uses


def _detail(
    each: AvailableResponse, pooled: TeacherResponse | None, used: tuple[PromptKind, ...], learned: bool
) -> TeacherDetail:
    source = each.provenance
    return TeacherDetail(
        origin=each.origin,
        correct=each.correct,
        answer=each.answer,
        text=pooled.text if pooled else each.text,
        summary=pooled.summary if pooled else None,
        hint=pooled.hint if pooled else each.hint,
        served=source.served if source else None,
        teacher=source.teacher if source else None,
        used=used,
        learned=learned,
    )
