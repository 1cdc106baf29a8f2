"""The picture of a run: held-out accuracy over rounds."""

from collections.abc import Sequence
from pathlib import Path

from schemas.report import StepReport, ValidationReport
from schemas.rollout import PromptKind

_LABELS: tuple[tuple[PromptKind, str, str], ...] = (
    ("plain", "plain rollouts in training", "#7f9fbf"),
    ("bcq", "BCQ rollouts (hard questions)", "#d9a441"),
    ("ncq", "NCQ rollouts (hard questions)", "#b07aa1"),
)
_HELD_OUT = "#1b4f8a"


def draw_accuracy(
    base: ValidationReport | None, reports: Sequence[StepReport], title: str, path: Path
) -> None:
    """Write a PNG of held-out accuracy and of the accuracy of each kind of rollout, by round.

    Args:
        base: Validation before training.
        reports: Of the committed rounds, in order.
        title: Such as the run's name and method.
        path: Where the picture goes.
    """
    # Here, not above: matplotlib takes a second to import.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.subplots()
    for kind, label, colour in _LABELS:
        points = [
            (report.round, found.accuracy)
            for report in reports
            if (found := report.of_kind(kind)) is not None and found.accuracy is not None
        ]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=0.9, alpha=0.8, label=label)
    held_out = [(0, base.accuracy)] if base else []
    held_out += [(report.round, report.validation.accuracy) for report in reports if report.validation]
    if held_out:
        axes.plot(
            *zip(*held_out, strict=True),
            color=_HELD_OUT,
            linewidth=2.2,
            marker="o",
            label="held out (validation)",
        )
    axes.set(xlabel="round", ylabel="accuracy", ylim=(0, 1), title=title)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(frameon=False, loc="best")
    figure.savefig(path)
