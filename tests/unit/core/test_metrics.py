from schemas.buffer import BufferEvent, ReplayBuffer
from schemas.report import (
    DriftReport,
    RoundTimings,
    StepReport,
    UpdateReport,
    ValidationReport,
)
from tests.build import a_round, candidate, group
from zppo.core.metrics import round_metrics, table_rows
from zppo.core.report import step_report

PAIR = (candidate("7", correct=True), candidate("8", correct=False))
TIMINGS = RoundTimings(round=1, seconds={"update": 1.5})


def update(loss: float, active_tokens: int = 5, clipped: float | None = 0.0) -> UpdateReport:
    return UpdateReport(
        loss=loss, grad_norm=2.0, entropy=0.5, clip_low_fraction=clipped, clip_high_fraction=clipped,
        dual_clip_fraction=clipped, tokens=10, active_tokens=active_tokens,
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


def test_means_are_over_the_updates_that_changed_the_weights_and_tokens_are_those_of_all() -> None:
    updates = (update(1.0), update(9.0, active_tokens=0), update(3.0))
    metrics = round_metrics(report(full=True).model_copy(update={"updates": updates}), TIMINGS)
    assert (metrics["update/count"], metrics["update/loss"]) == (2.0, 2.0)
    assert (metrics["update/tokens"], metrics["update/active_tokens"]) == (30.0, 10.0)


def test_where_nothing_is_clipped_no_clip_fraction_is_shown() -> None:
    updates = (update(1.0, clipped=None),)
    metrics = round_metrics(report(full=True).model_copy(update={"updates": updates}), TIMINGS)
    assert not any("clip" in name for name in metrics)
    assert metrics["update/entropy"] == 0.5


def event(what: str, accuracy: float, visits: int) -> BufferEvent:
    return BufferEvent(
        event=what,
        question_id="q",
        entry_accuracy=accuracy,
        accuracy=None,
        visits=visits,
        admitted_round=1,
    )


def test_the_buffer_is_told_apart_by_entry_accuracy_and_by_visits() -> None:
    events = (
        event("admit", 0.0, 1),
        event("admit", 0.0, 1),
        event("admit", 0.375, 1),
        event("graduate", 0.125, 2),
        event("graduate", 0.0, 2),
        event("evict", 1 / 7, 8),
        event("evict", 0.25, 30),
    )
    full = report(full=True)
    changed = full.buffer.model_copy(
        update={"size": 3, "by_entry_accuracy": ((0.0, 1), (0.125, 1), (1 / 7, 1)), "events": events}
    )
    metrics = round_metrics(full.model_copy(update={"buffer": changed}), TIMINGS)
    assert {name: value for name, value in metrics.items() if name.startswith("buffer/")} == {
        "buffer/size": 3,
        "buffer/size_from_0_of_8": 1,
        "buffer/size_from_1_of_8": 2,
        "buffer/admit": 3,
        "buffer/admit_from_0_of_8": 2,
        "buffer/admit_from_3_of_8": 1,
        "buffer/graduate": 2,
        "buffer/graduate_from_0_of_8": 1,
        "buffer/graduate_from_1_of_8": 1,
        "buffer/graduate_after_2_visits": 2,
        "buffer/evict": 2,
        "buffer/evict_from_1_of_8": 1,
        "buffer/evict_from_2_of_8": 1,
        "buffer/evict_after_8_or_more_visits": 2,
    }


def test_a_row_of_the_table_shows_a_dash_for_what_a_round_lacks() -> None:
    row, other = table_rows([report(full=False), report(full=True)])
    assert (row["plain"], row["bcq"], row["held out"], row["gradient norm"]) == ("0.500", "-", "-", "-")
    assert (other["held out"], other["bcq"]) == ("0.600", "0.500")
    assert row.keys() == other.keys()
    assert "ncq" not in row
