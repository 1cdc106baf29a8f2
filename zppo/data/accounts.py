"""The books of one source: what its rules removed, and its bad rows in quarantine."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import get_args

from schemas.prepared import QuarantinedRow, Removal, RemovedQuestion, Rule
from zppo.data.rows import BadRow, Entry, excerpt
from zppo.data.rules import Verdict
from zppo.data.staging import Discarded

EXAMPLES = 3
"""Examples kept of every rule, and of bad rows."""


class Tally:
    """What each rule removed from one source."""

    def __init__(self) -> None:
        self._counts: Counter[Rule] = Counter()
        self._examples: defaultdict[Rule, list[RemovedQuestion]] = defaultdict(list)

    def add(self, entry: Entry, verdict: Verdict) -> None:
        """Count a question that breaks a rule."""
        self._counts[verdict.rule] += 1
        if len(self._examples[verdict.rule]) < EXAMPLES:
            removed = RemovedQuestion(
                file=entry.place.file,
                line=entry.place.line,
                detail=verdict.detail,
                excerpt=excerpt(entry.question.text),
            )
            self._examples[verdict.rule].append(removed)

    def add_discarded(self, rule: Rule, discarded: Discarded) -> None:
        """Count the questions that a limit took out of the staging database."""
        self._counts[rule] += discarded.count
        self._examples[rule].extend(discarded.examples)

    def removals(self) -> tuple[Removal, ...]:
        """The rules that removed something, in their fixed order."""
        rules: tuple[Rule, ...] = get_args(Rule)
        return tuple(
            Removal(rule=rule, count=self._counts[rule], examples=tuple(self._examples[rule]))
            for rule in rules
            if self._counts[rule]
        )


class Quarantine:
    """Bad rows of one source, in a JSONL file that exists once there is one."""

    def __init__(self, folder: Path, source: str) -> None:
        self._path = folder / f"{source}.jsonl"
        self.source = source
        self.count = 0
        self.examples: list[QuarantinedRow] = []

    def put(self, bad: BadRow) -> None:
        """Write a bad row down."""
        row = QuarantinedRow(
            source=self.source,
            file=bad.place.file,
            line=bad.place.line,
            reason=bad.reason,
            excerpt=bad.excerpt,
        )
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(row)
        self._path.parent.mkdir(exist_ok=True)
        # Opened for each row: bad rows are few, and a file that is always closed needs no care.
        with self._path.open("a", encoding="utf-8") as file:
            file.write(row.model_dump_json() + "\n")
