"""What is wrong with a run: small checks, each with a threshold that is stated beside what was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from schemas.config.method import PolicyGradient, Replay
from schemas.config.run import RunConfig
from schemas.evaluation import Evaluation, Score
from schemas.report import KindReport, StepReport
from zppo.report.model import Finding, Level
from zppo.report.series import mean_update

LAST = 10
"""Rounds that speak for the present."""


@dataclass(frozen=True)
class Evidence:
    """What the checks look at."""

    recipe: RunConfig
    reports: Sequence[StepReport]
    evaluation: Evaluation | None

    @property
    def last(self) -> Sequence[StepReport]:
        """The rounds at the end."""
        return self.reports[-LAST:]


Check = Callable[[Evidence], Finding]


def run_checks(evidence: Evidence) -> tuple[Finding, ...]:
    """Every check, the worst first."""
    order: tuple[Level, ...] = ("problem", "notice", "unknown", "fine")
    return tuple(sorted((check(evidence) for check in CHECKS), key=lambda found: order.index(found.level)))


def held_out_loss(its: Evidence) -> Finding:
    """The student must not be worse than it was."""
    title, threshold = "Held-out accuracy", "a problem when it is below the base student's, on either set"
    base, student = (_scores(its.evaluation, role) for role in ("base", "student"))
    if base is None or student is None:
        return _unknown(title, threshold, "not evaluated yet")
    pairs = [
        (name, before.accuracy, after.accuracy)
        for name, before, after in zip(("in", "out of"), base, student, strict=True)
        if before.accuracy is not None and after.accuracy is not None
    ]
    text = "; ".join(f"{name} distribution {old:.3f} → {new:.3f}" for name, old, new in pairs)
    return _found("problem" if any(new < old for _, old, new in pairs) else "fine", title, text, threshold)


def sampler_drift(its: Evidence) -> Finding:
    """Sampler and learner must agree on log-probabilities."""
    limit = its.recipe.sampler_drift_limit
    title = "Sampler drift"
    threshold = f"worth a look above half of the limit {limit:g}, at which a run stops"
    drifts = [(report.drift.max, report.round) for report in its.reports if report.drift]
    if not drifts:
        return _unknown(title, threshold, "no round has compared sampler and learner yet")
    worst, round_ = max(drifts)
    text = f"largest difference of a log-probability {worst:.2g}, in round {round_}"
    return _found("notice" if worst > limit / 2 else "fine", title, text, threshold)


def truncations(its: Evidence) -> Finding:
    """Responses that are cut off cannot be right."""
    return _share_check(
        its, "Truncated responses", 0.05, 0.25, "of the rollouts", lambda kind: kind.truncated
    )


def unparsable(its: Evidence) -> Finding:
    """Responses that end, but without a final answer in a box."""
    return _share_check(
        its,
        "Unparsable answers",
        0.05,
        0.25,
        "of the rollouts ended without a parsable answer",
        lambda kind: (kind.no_answer or 0.0) - (kind.truncated or 0.0),
    )


def failures(its: Evidence) -> Finding:
    """Rollouts that could not be drawn or graded."""
    graded = sum(kind.grader_errors for report in its.reports for kind in report.kinds)
    drawn = sum(kind.engine_errors for report in its.reports for kind in report.kinds)
    total = graded + drawn + sum(kind.rollouts for report in its.reports for kind in report.kinds)
    share = (graded + drawn) / total if total else 0.0
    text = f"{graded} grader errors and {drawn} engine errors among {total:,} rollouts ({share:.2%})"
    level: Level = "problem" if share > 0.01 else "notice" if graded + drawn else "fine"
    return _found(level, "Grader and engine errors", text, "worth a look from the first, a problem above 1%")


def shrinking_entropy(its: Evidence) -> Finding:
    """A student that is certain of everything explores nothing."""
    title = "Shrinking entropy"
    threshold = f"worth a look below 30%, a problem below 10% of the first {LAST} rounds' mean"
    values = [value for report in its.reports if (value := mean_update(report, "entropy")) is not None]
    if len(values) < 2 * LAST:
        return _unknown(title, threshold, f"needs {2 * LAST} rounds with an update, there are {len(values)}")
    before, now = sum(values[:LAST]) / LAST, sum(values[-LAST:]) / LAST
    share = now / before if before else 1.0
    level: Level = "problem" if share < 0.1 else "notice" if share < 0.3 else "fine"
    return _found(level, title, f"{before:.3f} → {now:.3f} nats ({share:.0%})", threshold)


def no_signal(its: Evidence) -> Finding:
    """Groups whose rewards are all equal teach nothing."""
    title, threshold = "Groups without a signal", f"worth a look above 80% over the last {LAST} rounds"
    if not isinstance(its.recipe.method, PolicyGradient):
        return _unknown(title, threshold, "distillation has no advantages")
    shares = [share for report in its.last if (share := report.zero_advantage_groups) is not None]
    if not shares:
        return _unknown(title, threshold, "no round yet")
    mean = sum(shares) / len(shares)
    return _found(
        "notice" if mean > 0.8 else "fine", title, f"{mean:.0%} of the groups have zero advantage", threshold
    )


def pool_dry(its: Evidence) -> Finding:
    """Hard questions that found the teacher's pool empty, or used again."""
    title = "Teacher pool running dry"
    threshold = (
        f"worth a look from the first visit that got nothing over the last {LAST} rounds, a problem above 10%"
    )
    visits = sum(report.teacher.questions for report in its.last)
    if not visits:
        return _unknown(title, threshold, "the teacher was not asked")
    dry, reused = (sum(getattr(report.teacher, name) for report in its.last) for name in ("dry", "reused"))
    level: Level = "problem" if dry > 0.1 * visits else "notice" if dry else "fine"
    again = f"; {reused} responses were used again" if reused else ""
    return _found(level, title, f"{dry} of {visits} visits got no response{again}", threshold)


def hopeless_buffer(its: Evidence) -> Finding:
    """A buffer full of questions that never get easier."""
    title = "Buffer full of the hopeless"
    threshold = (
        "worth a look when the buffer is 90% full and 80% of it entered with every rollout wrong, or when it "
        f"is full and more is evicted than graduates over the last {LAST} rounds"
    )
    method = its.recipe.method
    if not isinstance(method, Replay) or not its.reports:
        return _unknown(title, threshold, "no replay buffer")
    buffer = its.reports[-1].buffer
    zero = sum(count for entry, count in buffer.by_entry_accuracy if entry == 0.0)
    events = [event.event for report in its.last for event in report.buffer.events]
    graduated, evicted = events.count("graduate"), events.count("evict")
    full = buffer.size >= 0.9 * method.buffer_capacity
    hopeless = full and (zero >= 0.8 * buffer.size or evicted > graduated)
    text = (
        f"{buffer.size:,} of {method.buffer_capacity:,} places taken, {zero:,} of them entered at 0%; lately "
        f"{graduated} graduated, {evicted} evicted"
    )
    return _found("notice" if hopeless else "fine", title, text, threshold)


def gradient_spikes(its: Evidence) -> Finding:
    """Updates far out of line."""
    title, threshold = "Gradient spikes", "worth a look above 20 times the median norm"
    norms = [
        (update.grad_norm, report.round)
        for report in its.reports
        for update in report.updates
        if update.active_tokens
    ]
    if not norms:
        return _unknown(title, threshold, "no update yet")
    middle, (worst, round_) = median(norm for norm, _ in norms), max(norms)
    text = f"largest {worst:.3g} in round {round_}, median {middle:.3g}"
    return _found("notice" if worst > 20 * middle else "fine", title, text, threshold)


def parroting(its: Evidence) -> Finding:
    """NCQ rollouts that repeat what the prompt says is wrong."""
    title, threshold = "Parroting in NCQ", f"worth a look above 80% over the last {LAST} rounds"
    shares = [r.ncq.repeats_listed for r in its.last if r.ncq and r.ncq.repeats_listed is not None]
    if not shares:
        return _unknown(title, threshold, "no NCQ in these rounds")
    mean = sum(shares) / len(shares)
    text = f"{mean:.0%} of the NCQ rollouts repeat a listed wrong answer"
    return _found("notice" if mean > 0.8 else "fine", title, text, threshold)


def given_away(its: Evidence) -> Finding:
    """BCQ candidates that can be told apart without solving anything."""
    title, threshold = "BCQ giving itself away", f"worth a look above 90% over the last {LAST} rounds"
    shares = [r.bcq.correct_candidate for r in its.last if r.bcq and r.bcq.correct_candidate is not None]
    if not shares:
        return _unknown(title, threshold, "no BCQ in these rounds")
    mean = sum(shares) / len(shares)
    text = f"{mean:.0%} of the BCQ rollouts give the correct candidate's answer"
    return _found("notice" if mean > 0.9 else "fine", title, text, threshold)


def malformed_verdicts(its: Evidence) -> Finding:
    """Judgements that cannot be read count as wrong."""
    title, threshold = "Unreadable verdicts of the judge", "worth a look above 2%, a problem above 10%"
    judged = sum(report.judge.judged for report in its.reports if report.judge)
    malformed = sum(report.judge.malformed for report in its.reports if report.judge)
    if not judged:
        return _unknown(title, threshold, "no judge was asked")
    share = malformed / judged
    level: Level = "problem" if share > 0.1 else "notice" if share > 0.02 else "fine"
    return _found(level, title, f"{malformed:,} of {judged:,} ({share:.1%})", threshold)


CHECKS: tuple[Check, ...] = (
    held_out_loss,
    sampler_drift,
    truncations,
    unparsable,
    failures,
    shrinking_entropy,
    no_signal,
    pool_dry,
    hopeless_buffer,
    gradient_spikes,
    parroting,
    given_away,
    malformed_verdicts,
)


def _share_check(
    its: Evidence,
    title: str,
    notice: float,
    problem: float,
    what: str,
    value: Callable[[KindReport], float | None],
) -> Finding:
    """A share of the last rounds' rollouts, all kinds together."""
    threshold = f"worth a look above {notice:.0%}, a problem above {problem:.0%} over the last {LAST} rounds"
    kinds = [kind for report in its.last for kind in report.kinds if kind.rollouts]
    total = sum(kind.rollouts for kind in kinds)
    if not total:
        return _unknown(title, threshold, "no rollout yet")
    share = sum((value(kind) or 0.0) * kind.rollouts for kind in kinds) / total
    level: Level = "problem" if share > problem else "notice" if share > notice else "fine"
    return _found(level, title, f"{share:.1%} {what}", threshold)


def _scores(evaluation: Evaluation | None, role: str) -> tuple[Score, Score] | None:
    found = [model for model in (evaluation.models if evaluation else ()) if model.role == role]
    return (found[0].in_distribution, found[0].out_of_distribution) if found else None


def _found(level: Level, title: str, evidence: str, threshold: str) -> Finding:
    return Finding(level=level, title=title, evidence=evidence, threshold=threshold)


def _unknown(title: str, threshold: str, why: str) -> Finding:
    return _found("unknown", title, why, threshold)
