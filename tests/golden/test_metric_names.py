"""The metrics of every method: `python -m tests.golden.test_metric_names` rewrites the names."""

from dataclasses import replace
from pathlib import Path

import pytest

from schemas.buffer import BufferEvent, ReplayBuffer
from schemas.config.method import Replay
from schemas.report import WAITS, DriftReport, JudgeReport, RoundTimings, UpdateReport, ValidationReport
from schemas.spend import EndpointSpend, Spend
from tests.build import entry
from tests.reference.product import CONFIGS, play
from tests.reference.world import DISTILLATION, METHODS, NAMED, make_world
from zppo.core.metrics import round_metrics
from zppo.core.report import step_report
from zppo.ports import PolicyRow

GOLDEN = Path(__file__).with_name("metric_names")
PHASES = ("collect", "student", "teacher", "compression", "grading", "judge", "update", "drift", "validation")
TIMINGS = RoundTimings(round=9, seconds=dict.fromkeys((*PHASES, "checkpoint", *WAITS), 1.0))
JUDGE = JudgeReport(
    judged=1, malformed=0, spend=EndpointSpend(role="judge", used=Spend(), money=0.0, currency="USD")
)
CASES = [(accuracy, visits) for accuracy in (0.0, 0.125, 0.25, 0.375) for visits in (2, 3, 8)]
"""Entry accuracies and visits of what leaves a buffer."""


def metric_names(method: str) -> list[str]:
    """Of rounds in which everything happens that can."""
    names: set[str] = set()
    clipped = None if method in DISTILLATION else 0.1
    replays = issubclass(CONFIGS[method], Replay)
    profile = replace(NAMED["every question hard"], method=method, teacher_skill=1.0, hinted=1.0)
    for index in range(1, 9):
        played = play(replace(make_world(profile), round=index))
        update = UpdateReport(
            loss=0.1,
            grad_norm=1.0,
            entropy=1.0,
            clip_low_fraction=clipped,
            clip_high_fraction=clipped,
            dual_clip_fraction=clipped,
            tokens=9,
            active_tokens=9,
            importance_weight=None if clipped is None else 1.0,
            importance_capped=clipped,
        )
        rows = [row for batch in played.batches for row in batch.rows]
        report = step_report(
            played.round,
            0.5,
            _buffer() if replays else ReplayBuffer(),
            _events() if replays else (),
            (update,),
            None if clipped is None else [row.advantage for row in rows if isinstance(row, PolicyRow)],
            DriftReport(tokens=1, mean=0.0, max=0.0),
            ValidationReport(questions=1, accuracy=0.5, out_of_distribution=0.5),
        )
        judged = report.model_copy(update={"judge": JUDGE})
        names |= round_metrics(judged, TIMINGS).keys()
    return sorted(names)


def _buffer() -> ReplayBuffer:
    return ReplayBuffer(entries=tuple(entry(f"q{accuracy}", accuracy) for accuracy, _ in CASES[::3]))


def _events() -> tuple[BufferEvent, ...]:
    return tuple(
        BufferEvent(
            event=event,
            question_id="q",
            entry_accuracy=accuracy,
            accuracy=None,
            visits=1 if event == "admit" else visits,
            admitted_round=1,
        )
        for event in ("admit", "graduate", "evict")
        for accuracy, visits in CASES
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_metrics_of_a_method_keep_their_names(method: str) -> None:
    assert metric_names(method) == (GOLDEN / f"{method}.txt").read_text().splitlines()


if __name__ == "__main__":
    for each in METHODS:
        (GOLDEN / f"{each}.txt").write_text("\n".join(metric_names(each)) + "\n")
