"""Runs and waste as text for the terminal."""

import math
from collections.abc import Iterable, Sequence

from schemas.report import RoundTimings, StepReport
from schemas.run import RunStatus
from zppo.core.metrics import table_rows
from zppo.plan.estimates import Unit
from zppo.progress import clock_text
from zppo.waste import Findings, Waste

_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")
_UNITS: dict[Unit, str] = {"tokens": "", "bytes": "B", "FLOP": "FLOP"}


def status_text(runs: Sequence[RunStatus]) -> str:
    """One line a run: how far it is and what it has reached."""
    heading = ("run", "state", "method", "student", "rounds", "left", "plain", "validation", "base", "final")
    return aligned([heading, *map(_status_row, runs)])


def rounds_text(rounds: Sequence[tuple[StepReport, RoundTimings]]) -> str:
    """One line a round, then how fast they were."""
    if not rounds:
        return "No round is committed yet."
    seconds = [timings.total for _, timings in rounds]
    rows = [
        row | {"seconds": f"{spent:.1f}"}
        for row, spent in zip(table_rows([report for report, _ in rounds]), seconds, strict=True)
    ]
    tokens = sum(kind.response_tokens for report, _ in rounds for kind in report.kinds)
    speed = f"{sum(seconds) / len(rounds):.1f} s a round"
    if sum(seconds) > 0:
        speed += f", {tokens / sum(seconds):,.0f} tokens of rollouts a second"
    return "\n".join([aligned([list(rows[0]), *(list(row.values()) for row in rows)]), f"Speed: {speed}."])


def waste_text(found: Findings) -> str:
    """What would go, why, and the bytes that each removal frees; then what was left alone."""
    rows = [(f"{each.size.freed:,}", each.path, _why(each)) for each in found.waste]
    lines = [f"left alone: {line}" for line in found.left_alone]
    if not rows:
        return "\n".join([*lines, f"Nothing {'else ' if lines else ''}is left over."])
    table = aligned([("bytes freed", "directory", "why"), *rows])
    total = f"{_directories(found)} would go, which frees {amount(found.freed, 'bytes')}."
    return "\n".join([table, *lines, total])


def removed_text(removed: Findings) -> str:
    """What went."""
    lines = [f"left alone: {line}" for line in removed.left_alone]
    total = f"{_directories(removed)} removed, which freed {amount(removed.freed, 'bytes')}."
    return "\n".join([*lines, total])


def amount(value: float, unit: Unit) -> str:
    """A figure with three digits and a decimal prefix, or a length of time."""
    if unit == "seconds":
        return clock_text(value) if value < 48 * 3600 else f"{value / 86400:,.1f} days"
    if unit == "money":
        return f"{value:,.2f}"
    power = min(len(_PREFIXES) - 1, int(math.log10(max(value, 1))) // 3)
    return f"{value / 1000**power:.3g} {_PREFIXES[power]}{_UNITS[unit]}".rstrip()


def _status_row(run: RunStatus) -> tuple[str, ...]:
    return (
        run.name,
        f"{run.state} ({run.process} on {run.host})" if run.process else run.state,
        run.method,
        run.student,
        f"{run.rounds_done}/{run.rounds}",
        "-" if run.seconds_left is None else clock_text(run.seconds_left),
        _accuracy(run.plain_accuracy),
        _accuracy(run.validation[-1][1] if run.validation else None),
        _accuracy(run.base_accuracy),
        _accuracy(run.student_accuracy),
    )


def _why(waste: Waste) -> str:
    shared = waste.size.total - waste.size.freed
    return f"{waste.why}; {shared:,} bytes are hard links that stay elsewhere" if shared else waste.why


def _directories(found: Findings) -> str:
    count = len(found.waste)
    return f"{count:,} {'directory' if count == 1 else 'directories'}"


def _accuracy(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Columns two spaces apart, each as wide as its widest cell."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
