"""Exact and near duplicates, and contamination of training by evaluation."""

from collections.abc import Collection
from typing import Literal

from schemas.config.data import NearDuplicates
from schemas.prepared import Rule
from zppo.data.near import NearIndex
from zppo.data.rows import Entry
from zppo.data.rules import Verdict
from zppo.data.staging import Staged, Staging

Role = Literal["train", "evaluate"]


class Admission:
    """Lets each question in once.

    Evaluation sources must come first: a training question that is the same as an evaluation question
    is then found on its way in, whatever the order of the recipe, and so test and training stay apart.
    Validation and test questions of the training sources are drawn from what was let in, so they have no
    double in training either.
    """

    def __init__(
        self, staging: Staging, near: NearDuplicates, evaluation_sources: Collection[str], memory_bytes: int
    ) -> None:
        self._staging = staging
        self._near = NearIndex(staging.connection, near.threshold, memory_bytes) if near.enabled else None
        self._evaluation_sources = frozenset(evaluation_sources)

    def admit(self, entry: Entry, role: Role) -> Verdict | None:
        """Stage a question, or say which staged question it repeats."""
        same = self._staging.find(entry.content)
        if same is not None:
            return self._verdict("duplicate", same, role)
        if self._near is None or not entry.near_comparable:
            self._stage(entry, role)
            return None
        search = self._near.search(entry.content)
        if search.position is not None:
            return self._verdict("near_duplicate", self._staging.at(search.position), role)
        self._near.add(self._stage(entry, role), search)
        return None

    def forget_the_gone(self) -> None:
        """Let in again what repeats a question that has left the database, with a pass over those in it."""
        if self._near is not None:
            self._near.forget_the_gone()

    def _stage(self, entry: Entry, role: Role) -> int:
        return self._staging.add(entry, "test" if role == "evaluate" else "train")

    def _verdict(self, rule: Rule, same: Staged, role: Role) -> Verdict:
        how = "nearly the same as" if rule == "near_duplicate" else "same as"
        if role == "train" and same.source in self._evaluation_sources:
            rule = "contamination"
        return Verdict(rule, f"{how} {same.id}")
