"""What became of every question, round by round."""

from collections import defaultdict
from dataclasses import dataclass

from schemas.buffer import BufferEvent
from schemas.report import StepReport
from schemas.rollout import PromptKind, ServedResponses
from zppo.report.model import Fate
from zppo.report.outline import RoundOutline


@dataclass(frozen=True)
class Visit:
    """One round in which a question was rolled out."""

    round: int
    replayed: bool
    accuracy: float | None
    """Of the plain group; None where no rollout was valid."""
    kinds: tuple[PromptKind, ...]
    """Of the prompts besides the plain one."""
    served_before: int
    """Teacher responses that earlier visits had taken from the pool."""
    served: ServedResponses | None
    """What this visit got from the teacher; None where it was not asked."""


class Lives:
    """The lives of all questions that were rolled out; rounds are added in order."""

    def __init__(self) -> None:
        self.visits: dict[str, list[Visit]] = defaultdict(list)
        self.events: dict[str, list[tuple[int, BufferEvent]]] = defaultdict(list)
        """By question: what the buffer did with it, and in which round."""
        self._served: dict[str, int] = defaultdict(int)

    def add(self, outline: RoundOutline, report: StepReport) -> None:
        """Take in one round."""
        served = {each.question_id: each for each in outline.served}
        kinds: dict[str, list[PromptKind]] = defaultdict(list)
        for group in outline.groups:
            kinds[group.question_id].append(group.kind)
        for group in outline.groups:
            if group.kind != "plain":
                continue
            question = group.question_id
            others = tuple(kind for kind in kinds[question] if kind != "plain")
            self.visits[question].append(
                Visit(
                    outline.index, group.replayed, group.accuracy, others,
                    self._served[question], served.get(question),
                )
            )  # fmt: skip
            if question in served:
                self._served[question] += served[question].served
        for event in report.buffer.events:
            self.events[event.question_id].append((outline.index, event))

    def entry_accuracy(self, question: str) -> float | None:
        """Plain accuracy when it was first admitted; None for one that never was."""
        events = self.events.get(question)
        return events[0][1].entry_accuracy if events else None

    def fate(self, question: str, tau: float) -> Fate:
        """What became of it; it may have entered the buffer several times, the last one counts."""
        if events := self.events.get(question):
            match events[-1][1].event:
                case "graduate":
                    return "graduated"
                case "evict":
                    return "evicted"
                case _:
                    return "waiting"
        if not (visits := self.visits.get(question)):
            return "not drawn"
        hard = any(visit.accuracy is not None and visit.accuracy < tau for visit in visits)
        return "hard" if hard else "easy"

    def hopeless(self, question: str, tau: float) -> bool:
        """Whether it entered at zero, was right in no visit since, and came back at least once."""
        visits = self.visits.get(question, ())
        return (
            self.fate(question, tau) in ("waiting", "evicted", "hard")
            and len(visits) > 1
            and not any(visit.accuracy for visit in visits)
        )
