"""Whether a challenger replaces the champion."""

from collections.abc import Sequence

from schemas.config.evaluation import EvaluationConfig, PromotionConfig
from schemas.evaluation import EvaluationAnswer
from schemas.promotion import Contamination, Contender, Difference, PromotionDecision
from zppo.core.evaluation import question_accuracies
from zppo.core.gates import (
    comparable_gate,
    contamination_gate,
    gain_gate,
    interval_gate,
    no_answer_gate,
    source_loss_gate,
    truncated_gate,
)
from zppo.core.randomness import derive_seed
from zppo.core.statistics import difference_interval, mean


def decide(
    challenger: tuple[Contender, Sequence[EvaluationAnswer]],
    incumbent: tuple[Contender, Sequence[EvaluationAnswer]],
    config: PromotionConfig,
    evaluation: EvaluationConfig,
    contamination: Contamination,
    seed: int,
) -> PromotionDecision:
    """Promote if all gates pass.

    Args:
        challenger: The trained student and its answers.
        incumbent: The champion, or the base where there is none, and its answers to the same questions.
        config: The limits.
        evaluation: Level and resamples of the intervals.
        contamination: Of the data that the challenger learned from and both are compared on.
        seed: Of the bootstrap.
    """
    (new, new_answers), (old, old_answers) = challenger, incumbent
    differences = _differences(new_answers, old_answers, evaluation, seed)
    held_out = next((each for each in differences if each.source is None), None)
    sources = [each for each in differences if each.source is not None]
    gates = (
        comparable_gate(new_answers, old_answers),
        gain_gate(held_out, config),
        interval_gate(held_out, config, evaluation.confidence),
        source_loss_gate(sources, config),
        truncated_gate(new_answers, old_answers, config),
        no_answer_gate(new_answers, old_answers, config),
        contamination_gate(contamination, config),
    )
    failed = [gate for gate in gates if not gate.passed]
    verdict = "does not replace" if failed else "replaces"
    evidence = "; ".join(gate.evidence for gate in failed or gates[1:3])
    return PromotionDecision(
        registered_model=config.registered_model,
        challenger=new,
        incumbent=old,
        confidence=evaluation.confidence,
        differences=differences,
        gates=gates,
        promoted=not failed,
        reason=f"the challenger {verdict} the {old.role}: {evidence}",
        contamination=contamination,
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


def _inside(answers: Sequence[EvaluationAnswer]) -> list[EvaluationAnswer]:
    return [answer for answer in answers if answer.in_distribution]


def _of(answers: Sequence[EvaluationAnswer], source: str) -> list[EvaluationAnswer]:
    return [answer for answer in answers if answer.source == source]
