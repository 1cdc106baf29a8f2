"""Adapters of the port `Teacher`: a precomputed pool, and responses drawn online."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from schemas.rollout import Provenance, Serving
from schemas.teacher import PooledResponse
from zppo.core.randomness import derive_seed, generator
from zppo.core.values import TeacherResponse
from zppo.errors import InputError
from zppo.ports import Grader, TeacherAnswer, Visit
from zppo.teachers.hints import HintWriter
from zppo.teachers.pool import PoolTable
from zppo.teachers.sources import Ask, ResponseSource, grade_drawn

WhenDry = Literal["plain", "reuse", "online"]


@dataclass(frozen=True)
class TeacherName:
    """Whose responses these are."""

    name: str
    revision: str | None = None

    def served(self, how: Serving, response: TeacherResponse) -> TeacherResponse:
        """The response, with where it comes from."""
        provenance = Provenance(served=how, teacher=self.name, revision=self.revision)
        return replace(response, provenance=provenance)


class OnlineTeacher:
    """Draws every response when it is asked, and has it graded by the student's grader."""

    def __init__(
        self, source: ResponseSource, grader: Grader, name: TeacherName, hints: HintWriter | None = None
    ):
        """Keep where responses come from.

        Args:
            source: Draws them.
            grader: The student's.
            name: Whose they are.
            hints: Writes a hint from each correct response; None where none are wanted.
        """
        self._source = source
        self._grader = grader
        self._name = name
        self._hints = hints

    def respond(self, visits: Sequence[Visit]) -> list[TeacherAnswer]:
        """Fresh responses; those that could not be drawn or graded are left out."""
        asks = [Ask(visit.question, _seeds(visit)) for visit in visits]
        drawn = self._source.draw(asks) if asks else []
        graded = grade_drawn(asks, drawn, self._grader)
        if self._hints is not None:
            seeds = [derive_seed(visit.seed, "hint") for visit in visits]
            graded = self._hints.add([visit.question for visit in visits], graded, seeds)
        return [
            TeacherAnswer(
                responses=tuple(
                    self._name.served("online", _online(visit, response))
                    for response in pooled
                    if not response.outcome.endswith("_error")
                ),
                served=0,
                drawn=len(pooled),
                tokens=sum(response.tokens_drawn for response in pooled),
            )
            for visit, pooled in zip(visits, graded, strict=True)
        ]


@dataclass(frozen=True)
class PoolTeacher:
    """Serves precomputed responses: each visit of a question takes the next unused ones.

    When they run out, `when_dry` decides: `plain` gives what is left, `reuse` adds responses of earlier
    visits at random (never one twice in a visit), `online` has the rest drawn by `online`.
    """

    table: PoolTable
    name: TeacherName
    """Whose responses the pool holds."""
    when_dry: WhenDry = "plain"
    online: OnlineTeacher | None = None

    def __post_init__(self) -> None:
        if self.when_dry == "online" and self.online is None:
            raise InputError("teacher.when_dry 'online' needs a teacher model; choose 'plain' or 'reuse'")

    def respond(self, visits: Sequence[Visit]) -> list[TeacherAnswer]:
        """Unused responses first."""
        answers = [self._serve(visit) for visit in visits]
        if self.online is None or self.when_dry != "online":
            return answers
        short = [index for index, visit in enumerate(visits) if answers[index].served < visit.count]
        drawn = self.online.respond(
            [replace(visits[i], count=visits[i].count - answers[i].served) for i in short]
        )
        for index, more in zip(short, drawn, strict=True):
            responses = answers[index].responses + more.responses
            answers[index] = replace(
                answers[index], responses=responses, drawn=more.drawn, tokens=more.tokens
            )
        return answers

    def _serve(self, visit: Visit) -> TeacherAnswer:
        fresh = self.table.responses(visit.question.id, visit.served, visit.count)
        missing = visit.count - len(fresh) if self.when_dry == "reuse" else 0
        used = self.table.responses(visit.question.id, 0, visit.served) if missing else ()
        again = generator(visit.seed, "reuse").sample(used, min(missing, len(used)))
        responses = [
            *(self.name.served("pool", response) for response in fresh),
            *(self.name.served("reused", response) for response in again),
        ]
        return TeacherAnswer(tuple(responses), served=len(fresh), reused=len(again))


def _seeds(visit: Visit) -> tuple[int, ...]:
    return tuple(derive_seed(visit.seed, "online", index) for index in range(visit.count))


def _online(visit: Visit, response: PooledResponse) -> TeacherResponse:
    return TeacherResponse(
        origin=f"online/{visit.seed}/{visit.question.id}#{response.index}",
        text=response.text,
        answer=response.answer,
        correct=response.outcome == "correct",
        hint=response.hint,
        token_ids=response.token_ids,
    )
