"""Charts of the updates: what the policy did, and whether sampler and learner agree."""

from collections.abc import Sequence

from schemas.report import StepReport
from zppo.report.model import Chart
from zppo.report.series import line, mean_update, of_update, over_rounds, part


def divergence(reports: Sequence[StepReport]) -> Chart:
    """What distillation makes smaller; nothing of the other methods."""
    reports = [report for report in reports if report.positive_advantage_rollouts is None]
    return over_rounds(
        "divergence",
        "Divergence from the teacher",
        "The loss: Jensen–Shannon divergence of student and teacher, mean over tokens, in nats.",
        reports,
        [line("divergence", reports, of_update("loss"))],
        "value",
    )


def entropy(reports: Sequence[StepReport]) -> Chart:
    """Of the student."""
    return over_rounds(
        "entropy",
        "Entropy of the student",
        "In nats, mean over the tokens that were learned from. A fall to nothing ends exploration.",
        reports,
        [line("entropy", reports, lambda report: mean_update(report, "entropy"))],
        "value",
    )


def clipping(reports: Sequence[StepReport]) -> Chart:
    """Shares of clipped tokens."""
    fields = (
        ("clip_low_fraction", "clipped below"),
        ("clip_high_fraction", "clipped above"),
        ("dual_clip_fraction", "dual clip"),
        ("importance_capped", "importance weight capped"),
    )
    return over_rounds(
        "clipping",
        "Clipped tokens",
        "Share of the response tokens whose ratio left the clipping range; mean over the round's updates.",
        reports,
        [line(label, reports, of_update(name)) for name, label in fields],
        "share",
    )


def gradient_norm(reports: Sequence[StepReport]) -> Chart:
    """Before clipping."""
    return over_rounds(
        "gradient-norm",
        "Gradient norm",
        "Before it is clipped; mean and largest of the round's updates.",
        reports,
        [
            line("mean", reports, lambda report: mean_update(report, "grad_norm")),
            line("largest", reports, _largest_norm),
        ],
        "value",
    )


def drift(reports: Sequence[StepReport]) -> Chart:
    """Sampler against learner."""
    return over_rounds(
        "drift",
        "Sampler against learner",
        "Absolute difference of a token's log-probability between the two, on a sample of tokens.",
        reports,
        [
            line("mean", reports, part("drift", "mean")),
            line("largest", reports, part("drift", "max")),
        ],
        "value",
    )


def _largest_norm(report: StepReport) -> float | None:
    return max((update.grad_norm for update in report.updates if update.active_tokens), default=None)
