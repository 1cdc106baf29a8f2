"""The charts of one run, and those of their series that runs are compared by."""

from zppo.report.charts import PHASES, run_charts
from zppo.report.history import RunHistory
from zppo.report.model import Chart

SHARED_CHARTS = (
    ("accuracy", "validation"),
    ("accuracy", "validation, out of distribution"),
    ("accuracy", "plain"),
    ("accuracy", "BCQ"),
    ("accuracy", "NCQ"),
    ("signal", "groups with zero advantage"),
    ("signal", "rollouts with positive advantage"),
    ("buffer-flow", "graduated"),
    ("buffer-flow", "evicted"),
    ("ncq-audit", "repeats a listed wrong answer"),
    ("entropy", "entropy"),
    ("gradient-norm", "mean"),
    ("clipping", "clipped above"),
    ("lengths", "plain"),
    ("seconds", PHASES["student"]),
    ("seconds", PHASES["update"]),
)
"""Key of the chart and label of the series."""


def history_charts(history: RunHistory) -> tuple[Chart, ...]:
    """Every chart of a run."""
    return run_charts(history.base, history.reports, history.timings)
