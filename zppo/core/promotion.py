"""Whether a challenger replaces the champion."""

from collections.abc import Sequence

from schemas.config.evaluation import EvaluationConfig, PromotionConfig
from schemas.evaluation import EvaluationAnswer
from schemas.promotion import Contender, Difference, Gate, PromotionDecision
from zppo.core.evaluation import question_accuracies
from zppo.core.randomness import derive_seed
from zppo.core.statistics import difference_interval, mean

MIN_COMPARABLE = 0.95
"""Least share of the questions that both sides must have valid responses to: failures say nothing about a
model, but a comparison on what they leave over could be one-sided."""
_ROUNDING = 1e-9
"""Differences of means are compared with limits up to this much."""


def decide(
    challenger: tuple[Contender, Sequence[EvaluationAnswer]],
    incumbent: tuple[Contender, Sequence[EvaluationAnswer]],
    config: PromotionConfig,
    evaluation: EvaluationConfig,
    seed: int,
) -> PromotionDecision:
    """Promote if all gates pass: enough questions in common, a gain on the held-out ones, no source lost.

    Args:
        challenger: The trained student and its answers.
        incumbent: The champion, or the base where there is none, and its answers to the same questions.
        config: The limits.
        evaluation: Level and resamples of the intervals.
        seed: Of the bootstrap.
    """
    (new, new_answers), (old, old_answers) = challenger, incumbent
    differences = _differences(new_answers, old_answers, evaluation, seed)
    gates = (
        _comparable(new_answers, old_answers),
        _gain(differences, config),
        _source_loss(differences, config),
    )
    failed = [gate for gate in gates if not gate.passed]
    verdict = "does not replace" if failed else "replaces"
    evidence = "; ".join(gate.evidence for gate in failed or gates)
    return PromotionDecision(
        registered_model=config.registered_model,
        challenger=new,
        incumbent=old,
        confidence=evaluation.confidence,
        differences=differences,
        gates=gates,
        promoted=not failed,
        reason=f"the challenger {verdict} the {old.role}: {evidence}",
    )


def _differences(
    new: Sequence[EvaluationAnswer],
    old: Sequence[EvaluationAnswer],
    evaluation: EvaluationConfig,
    seed: int,
) -> tuple[Difference, ...]:
    """Over the held-out questions of all training sources (source None), then per source."""
    sources = sorted({answer.source for answer in (*new, *old)})
    held_out = _difference(None, _inside(new), _inside(old), evaluation, seed)
    each = [_difference(source, _of(new, source), _of(old, source), evaluation, seed) for source in sources]
    return tuple(difference for difference in (held_out, *each) if difference is not None)


def _difference(
    source: str | None,
    new: Sequence[EvaluationAnswer],
    old: Sequence[EvaluationAnswer],
    evaluation: EvaluationConfig,
    seed: int,
) -> Difference | None:
    ours, theirs = question_accuracies(new), question_accuracies(old)
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        return None
    after, before = [ours[question] for question in common], [theirs[question] for question in common]
    interval = difference_interval(
        after,
        before,
        evaluation.confidence,
        evaluation.bootstrap_resamples,
        derive_seed(seed, "promotion"),
    )
    return Difference(
        source=source,
        questions=len(common),
        challenger=mean(after),
        incumbent=mean(before),
        difference=mean(after) - mean(before),
        interval=interval,
    )


def _comparable(new: Sequence[EvaluationAnswer], old: Sequence[EvaluationAnswer]) -> Gate:
    asked = {answer.question_id for answer in (*new, *old)}
    common = question_accuracies(new).keys() & question_accuracies(old).keys()
    share = len(common) / len(asked) if asked else 0.0
    return Gate(
        name="comparable",
        passed=share >= MIN_COMPARABLE,
        evidence=f"both answered {len(common)} of {len(asked)} questions, needed {MIN_COMPARABLE:.0%}",
    )


def _gain(differences: Sequence[Difference], config: PromotionConfig) -> Gate:
    held_out = next((each for each in differences if each.source is None), None)
    if held_out is None:
        return Gate(name="gain", passed=False, evidence="no held-out question was answered by both")
    gain = held_out.difference
    return Gate(
        name="gain",
        passed=gain > _ROUNDING and gain >= config.min_gain - _ROUNDING,
        evidence=(
            f"held-out accuracy {held_out.incumbent:.3f} -> {held_out.challenger:.3f} ({gain:+.3f}, "
            f"interval {held_out.interval.low:+.3f} to {held_out.interval.high:+.3f}), needed more than 0 "
            f"and at least {config.min_gain:+.3f}"
        ),
    )


def _source_loss(differences: Sequence[Difference], config: PromotionConfig) -> Gate:
    sources = [each for each in differences if each.source is not None]
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


def _inside(answers: Sequence[EvaluationAnswer]) -> list[EvaluationAnswer]:
    return [answer for answer in answers if answer.in_distribution]


def _of(answers: Sequence[EvaluationAnswer], source: str) -> list[EvaluationAnswer]:
    return [answer for answer in answers if answer.source == source]
