"""The gates of a promotion: each a pure function from its evidence to passed or not, with the figures."""

from collections.abc import Callable, Sequence

from schemas.config.evaluation import PromotionConfig
from schemas.evaluation import EvaluationAnswer
from schemas.promotion import Contamination, Difference, Gate
from zppo.core.evaluation import question_accuracies

MIN_COMPARABLE = 0.95
"""Least share of the questions that both sides must have valid responses to: failures say nothing about a
model, but a comparison on what they leave over could be one-sided."""
_ROUNDING = 1e-9
"""Differences of means are compared with limits up to this much."""

Answers = Sequence[EvaluationAnswer]


def comparable_gate(new: Answers, old: Answers) -> Gate:
    """Both sides have valid answers to nearly all questions."""
    asked = {answer.question_id for answer in (*new, *old)}
    common = question_accuracies(new).keys() & question_accuracies(old).keys()
    share = len(common) / len(asked) if asked else 0.0
    return Gate(
        name="comparable",
        passed=share >= MIN_COMPARABLE,
        evidence=f"both answered {len(common)} of {len(asked)} questions, needed {MIN_COMPARABLE:.0%}",
    )


def gain_gate(held_out: Difference | None, config: PromotionConfig) -> Gate:
    """The held-out accuracy rises by at least the asked amount, and rises at all."""
    if held_out is None:
        return Gate(name="gain", passed=False, evidence="no held-out question was answered by both")
    gain = held_out.difference
    return Gate(
        name="gain",
        passed=gain > _ROUNDING and gain >= config.min_gain - _ROUNDING,
        evidence=(
            f"held-out accuracy {held_out.incumbent:.3f} -> {held_out.challenger:.3f} ({gain:+.3f}), needed "
            f"more than 0 and at least {config.min_gain:+.3f}"
        ),
    )


def interval_gate(held_out: Difference | None, config: PromotionConfig, confidence: float) -> Gate:
    """The interval of the gain, paired over questions, lies above zero."""
    if held_out is None:
        return Gate(name="interval", passed=False, evidence="no held-out question was answered by both")
    low, high = held_out.interval.low, held_out.interval.high
    wanted = (
        "needed to lie above 0"
        if config.interval_excludes_zero
        else "which decides nothing (promotion.interval_excludes_zero: false)"
    )
    return Gate(
        name="interval",
        passed=low > _ROUNDING or not config.interval_excludes_zero,
        evidence=(
            f"the {confidence:.0%} interval of the gain is {low:+.3f} to {high:+.3f} over "
            f"{held_out.questions} questions, {wanted}"
        ),
    )


def source_loss_gate(sources: Sequence[Difference], config: PromotionConfig) -> Gate:
    """No source, trained on or only evaluated, loses more than allowed."""
    if not sources:
        return Gate(name="source_loss", passed=False, evidence="no source was answered by both")
    worst = min(sources, key=lambda each: each.difference)
    return Gate(
        name="source_loss",
        passed=worst.difference >= -config.max_source_loss - _ROUNDING,
        evidence=(
            f"the least change of any source is {worst.difference:+.3f} on {worst.source!r}, allowed "
            f"{-config.max_source_loss:+.3f}"
        ),
    )


def truncated_gate(new: Answers, old: Answers, config: PromotionConfig) -> Gate:
    """The share of truncated answers does not rise more than allowed."""
    before, after = (_share(side, lambda each: each.outcome == "truncated") for side in (old, new))
    return Gate(
        name="truncated",
        passed=_rises_little(before, after, config),
        evidence=f"truncated answers {_rise(before, after, config)}",
    )


def no_answer_gate(new: Answers, old: Answers, config: PromotionConfig) -> Gate:
    """The share of complete answers without a parsable final answer does not rise more than allowed."""
    before, after = (_share(side, lambda each: each.outcome == "no_answer") for side in (old, new))
    return Gate(
        name="no_answer",
        passed=_rises_little(before, after, config),
        evidence=f"answers without a final answer that can be read {_rise(before, after, config)}",
    )


def contamination_gate(found: Contamination, config: PromotionConfig) -> Gate:
    """No test question is among the questions that the challenger learned from."""
    how = (
        "equal questions only"
        if found.near_threshold is None
        else f"similarity {found.near_threshold:g} and above"
    )
    ignored = (
        "" if config.contamination_check else ", which decides nothing (promotion.contamination_check: false)"
    )
    return Gate(
        name="contamination",
        passed=not found.in_training or not config.contamination_check,
        evidence=(
            f"{found.in_training} of {found.test_questions} test questions are among the training questions"
            f"{ignored}; preparation removed {found.removed} ({how})"
        ),
    )


def _share(answers: Answers, counts: Callable[[EvaluationAnswer], bool]) -> float:
    valid = [answer for answer in answers if answer.valid]
    return sum(map(counts, valid)) / len(valid) if valid else 0.0


def _rises_little(before: float, after: float, config: PromotionConfig) -> bool:
    return after - before <= config.max_unreadable_rise + _ROUNDING


def _rise(before: float, after: float, config: PromotionConfig) -> str:
    return f"{before:.1%} -> {after:.1%}, allowed {config.max_unreadable_rise:+.1%}"
