"""The replay buffer: uniform draws, admission and graduation by plain rollouts, FIFO eviction."""

from collections.abc import Sequence, Set
from random import Random
from typing import Literal

from schemas.buffer import BufferEntry, BufferEvent, ReplayBuffer
from schemas.rollout import Group
from zppo.core.zone import is_hard


def draw(buffer: ReplayBuffer, count: int, exclude: Set[str], random: Random) -> tuple[str, ...]:
    """Question ids drawn uniformly without repeats; fewer than `count` while the buffer is smaller.

    Args:
        buffer: The buffer before this round's admissions.
        count: `rho_replay * |X_new|`.
        exclude: The round's new questions: a question is never twice in one round.
        random: Generator named for this draw.
    """
    eligible = [entry.question_id for entry in buffer.entries if entry.question_id not in exclude]
    return tuple(random.sample(eligible, min(count, len(eligible))))


def after_round(
    buffer: ReplayBuffer, plain: Sequence[Group], tau: float, capacity: int, round_index: int
) -> tuple[ReplayBuffer, tuple[BufferEvent, ...]]:
    """The buffer after a round's plain groups, and what happened to it.

    A buffered question that stays hard keeps its place; one whose group has no valid rollout is left
    as it was. Admissions come before evictions, so a full buffer makes room for the newest.
    """
    entries = {entry.question_id: entry for entry in buffer.entries}
    events: list[BufferEvent] = []
    for group in plain:
        accuracy, question_id = group.accuracy, group.question_id
        if accuracy is None:
            continue
        known = entries.get(question_id)
        if known is not None:
            known = known.model_copy(update={"visits": known.visits + 1})
            entries[question_id] = known
            if not is_hard(accuracy, tau):
                del entries[question_id]
                events.append(_event("graduate", known, accuracy))
        elif is_hard(accuracy, tau):
            entry = BufferEntry(
                question_id=question_id, admitted_round=round_index, entry_accuracy=accuracy, visits=1
            )
            entries[question_id] = entry
            events.append(_event("admit", entry, accuracy))
    kept = list(entries.values())
    excess = max(0, len(kept) - capacity)
    events.extend(_event("evict", entry, None) for entry in kept[:excess])
    return ReplayBuffer(entries=tuple(kept[excess:])), tuple(events)


def _event(
    event: Literal["admit", "graduate", "evict"], entry: BufferEntry, accuracy: float | None
) -> BufferEvent:
    return BufferEvent(
        event=event,
        question_id=entry.question_id,
        entry_accuracy=entry.entry_accuracy,
        accuracy=accuracy,
        visits=entry.visits,
        admitted_round=entry.admitted_round,
    )
