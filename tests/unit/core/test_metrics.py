from schemas.buffer import ReplayBuffer
from schemas.report import (
    DriftReport,
    RoundTimings,
    StepReport,
    UpdateReport,
    ValidationReport,
)
from tests.build import a_round, candidate, group
from zppo.core.metrics import round_metrics, table_row
from zppo.core.report import step_report

PAIR = (candidate("7", correct=True), candidate("8", correct=False))
TIMINGS = RoundTimings(round=1, seconds={"update": 1.5})


def update(loss: float) -> UpdateReport:
    return UpdateReport(
        loss=loss, grad_norm=2.0, entropy=0.5, clip_low_fraction=0.0, clip_high_fraction=0.0,
        dual_clip_fraction=0.0, tokens=10, active_tokens=5,
    )  # fmt: skip


def report(*, full: bool) -> StepReport:
    groups = [group([0, 1])]
    if full:
        groups += [group([1, 0], kind="bcq", answers=["7", "8"], candidates=PAIR)]
    return step_report(
        a_round(*groups),
        0.5,
        ReplayBuffer(),
        (),
        (update(1.0), update(3.0)) if full else (),
        (1.0, -1.0),
        DriftReport(tokens=4, mean=0.1, max=0.2) if full else None,
        ValidationReport(questions=3, accuracy=0.6) if full else None,
    )


def test_what_was_not_measured_is_left_out() -> None:
    metrics = round_metrics(report(full=False), TIMINGS)
    assert not {"validation/accuracy", "drift/max", "bcq/accuracy", "update/loss"} & metrics.keys()
    assert metrics["update/count"] == 0.0


def test_updates_are_averaged_and_every_name_is_a_finite_number() -> None:
    metrics = round_metrics(report(full=True), TIMINGS)
    assert metrics["update/loss"] == 2.0
    assert metrics["validation/accuracy"] == 0.6
    assert metrics["bcq/correct_candidate"] == 0.5
    assert metrics["seconds/update"] == 1.5
    assert all(isinstance(value, float) for value in metrics.values())


def test_a_row_of_the_table_shows_a_dash_for_what_a_round_lacks() -> None:
    row = table_row(report(full=False))
    assert (row["plain"], row["bcq"], row["held out"], row["gradient norm"]) == ("0.500", "-", "-", "-")
    assert table_row(report(full=True))["held out"] == "0.600"
