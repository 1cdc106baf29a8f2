"""Charts of the replay buffer: who waits in it, who leaves it and how."""

from collections import Counter
from collections.abc import Iterator, Sequence

from schemas.buffer import BufferEvent
from schemas.report import StepReport
from zppo.report.model import Chart, Series
from zppo.report.series import Value, line, over_rounds


def buffer_occupancy(reports: Sequence[StepReport]) -> Chart:
    """Entries of the replay buffer by entry accuracy."""
    levels = sorted({level for report in reports for level, _ in report.buffer.by_entry_accuracy})
    return over_rounds(
        "buffer",
        "Replay buffer by entry accuracy",
        "Questions waiting after the round, by their plain accuracy when they were admitted.",
        reports,
        [line(f"entered at {100 * level:.3g}%", reports, _waiting(level)) for level in levels],
        "count",
        stacked=True,
    )


def buffer_flow(reports: Sequence[StepReport]) -> Chart:
    """Admissions, graduations and evictions so far."""
    names = (("admit", "admitted"), ("graduate", "graduated"), ("evict", "evicted"))
    happened = any(report.buffer.events for report in reports)
    return over_rounds(
        "buffer-flow",
        "Admitted, graduated and evicted so far",
        "Graduated: rolled out again and not hard any more. Evicted: the oldest go when the buffer is full.",
        reports,
        [Series(label=label, values=tuple(_summed(reports, name))) for name, label in names]
        if happened
        else [],
        "count",
    )


def fate_by_visits(reports: Sequence[StepReport]) -> Chart:
    """How often a question was rolled out before it left the buffer."""
    counts = Counter((event.visits, event.event) for event in _left(reports))
    return _fates(
        "fate-by-visits",
        "Fate by number of visits",
        "Rounds in which a question was rolled out until it left the buffer, the admitting one included.",
        "visits",
        {(float(visits), event): count for (visits, event), count in counts.items()},
    )


def fate_by_entry(reports: Sequence[StepReport]) -> Chart:
    """From which entry accuracy questions left the buffer how."""
    counts = Counter((event.entry_accuracy, event.event) for event in _left(reports))
    return _fates(
        "fate-by-entry",
        "Fate by entry accuracy",
        "Questions that left the buffer, by their plain accuracy in percent when they were admitted.",
        "entry accuracy in percent",
        {(round(100 * entry, 1), event): count for (entry, event), count in counts.items()},
    )


def _waiting(level: float) -> Value:
    return lambda report: dict(report.buffer.by_entry_accuracy).get(level, 0)


def _summed(reports: Sequence[StepReport], name: str) -> Iterator[float]:
    total = 0
    for report in reports:
        total += sum(event.event == name for event in report.buffer.events)
        yield total


def _left(reports: Sequence[StepReport]) -> Iterator[BufferEvent]:
    return (event for report in reports for event in report.buffer.events if event.event != "admit")


def _fates(key: str, title: str, note: str, x_label: str, counts: dict[tuple[float, str], int]) -> Chart:
    places = tuple(sorted({place for place, _ in counts}))
    return Chart(
        key=key,
        title=title,
        note=note,
        x_label=x_label,
        x=places,
        series=tuple(
            Series(label=label, values=tuple(float(counts.get((place, event), 0)) for place in places))
            for event, label in (("graduate", "graduated"), ("evict", "evicted"))
        ),
        style="bars",
        unit="count",
    )
