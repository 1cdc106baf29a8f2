"""What a second group does for its own question: a natural experiment in the runs of the study `pocket`.

Of the questions without a right answer in a round (0 of 8), only some fit under the cap, and the draw among
them is random. So the plain accuracy at a question's next visit, with against without a second group,
compared within a round, is the effect of that group on its own question.

    python deployments/studies/pocket/transfer.py HOME      (where `zppo study pocket --home HOME` ran)
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from schemas.rollout import Group, Round
from zppo.core.study.estimates import Bootstrap
from zppo.stores.rounds import read_round

VARIANTS = {
    "zppo": "ZPPO",
    "grpo-replay-bcq": "GRPO†+BCQ",
    "grpo-replay-ncq": "GRPO†+NCQ",
    "wrong-pair": "BCQ of two wrong candidates",
    "extra-plain": "Extra plain groups",
    "no-gradient": "BCQ and NCQ without gradient",
}
STUDENTS = {"86b78d": "tells candidates apart", "237f3d": "barely tells candidates apart"}
"""As the factor's values are named in the runs' directories."""
BOOTSTRAP = Bootstrap(confidence=0.95, resamples=10_000)


@dataclass
class Visits:
    """Next plain accuracies of questions that were at 0 of 8 in one round."""

    helped: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Effects:
    """What one run shows."""

    spread: float
    """Share of the second groups whose rewards differ, so that they have a gradient."""
    helped: float
    alone: float
    difference: float
    """Mean over rounds of helped minus alone, each round weighted by how much it can tell."""


def main(home: Path) -> None:
    """Print one Markdown table a student."""
    for tag, title in STUDENTS.items():
        print(f"\n**student: {title}**\n")
        print("| variant | second groups with a gradient | next accuracy with one | without | difference |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for variant, label in VARIANTS.items():
            runs = sorted(home.glob(f"pocket.{variant}.{tag}.s*"))
            print(_row(label, [effects(run) for run in runs]))


def effects(run: Path) -> Effects:
    """Follow every question of a run from one visit to the next."""
    rounds: dict[int, Visits] = defaultdict(Visits)
    waiting: dict[str, tuple[int, bool]] = {}
    spreads: list[bool] = []
    for round_ in _rounds(run):
        second = [group for group in round_.groups if group.prompt.kind != "plain" and group.rollouts]
        spreads += [0.0 < _accuracy(group) < 1.0 for group in second]
        helped = {group.question_id for group in second}
        for group in round_.groups:
            if group.prompt.kind == "plain" and group.rollouts:
                if group.question_id in waiting:
                    index, had_one = waiting.pop(group.question_id)
                    visits = rounds[index]
                    (visits.helped if had_one else visits.alone).append(_accuracy(group))
                if _accuracy(group) == 0.0:
                    waiting[group.question_id] = (round_.index, group.question_id in helped)
    return _summary(list(rounds.values()), spreads)


def _summary(rounds: Sequence[Visits], spreads: Sequence[bool]) -> Effects:
    both = [each for each in rounds if each.helped and each.alone]
    # The inverse variance of a difference of two means, up to a factor.
    weights = [len(v.helped) * len(v.alone) / (len(v.helped) + len(v.alone)) for v in both]
    total = sum(weights)
    helped = sum(w * _mean(v.helped) for w, v in zip(weights, both, strict=True)) / total
    alone = sum(w * _mean(v.alone) for w, v in zip(weights, both, strict=True)) / total
    return Effects(sum(spreads) / len(spreads), helped, alone, helped - alone)


def _row(label: str, runs: Sequence[Effects]) -> str:
    difference = BOOTSTRAP.estimate([run.difference for run in runs])
    assert difference is not None
    assert difference.interval is not None
    interval = f"[{difference.interval.low:+.3f}, {difference.interval.high:+.3f}]"
    spread, helped, alone = (
        _mean([getattr(run, name) for run in runs]) for name in ("spread", "helped", "alone")
    )
    return f"| {label} | {spread:.2f} | {helped:.3f} | {alone:.3f} | {difference.mean:+.3f} {interval} |"


def _rounds(run: Path) -> Iterator[Round]:
    for directory in sorted(run.glob("rounds/*/collect")):
        yield read_round(directory)


def _accuracy(group: Group) -> float:
    return _mean([rollout.reward for rollout in group.rollouts])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
