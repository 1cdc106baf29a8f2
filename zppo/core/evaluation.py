"""From graded answers to accuracies with intervals."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from schemas.config.evaluation import EvaluationConfig
from schemas.evaluation import BaselineScore, EvaluationAnswer, ModelScores, Role, Score, SourceScore
from zppo.core.randomness import derive_seed
from zppo.core.statistics import mean, mean_interval


def score_model(
    role: Role,
    model: str,
    digest: str,
    answers: Sequence[EvaluationAnswer],
    config: EvaluationConfig,
    seed: int,
) -> ModelScores:
    """All scores of one model: in and out of distribution, per source, per kind within a source."""
    inside = [answer for answer in answers if answer.in_distribution]
    outside = [answer for answer in answers if not answer.in_distribution]
    return ModelScores(
        role=role,
        model=model,
        digest=digest,
        in_distribution=score(inside, config, seed),
        out_of_distribution=score(outside, config, seed),
        sources=tuple(_by_source(answers, config, seed)),
    )


def score(answers: Sequence[EvaluationAnswer], config: EvaluationConfig, seed: int) -> Score:
    """The score of a set of answers; failures leave it and are counted apart."""
    valid = [answer for answer in answers if answer.valid]
    accuracies = list(question_accuracies(valid).values())
    outcomes = Counter(answer.outcome for answer in answers)
    interval = None
    if accuracies:
        bootstrap_seed = derive_seed(seed, "bootstrap")
        interval = mean_interval(accuracies, config.confidence, config.bootstrap_resamples, bootstrap_seed)
    return Score(
        questions=len(accuracies),
        responses=len(valid),
        accuracy=mean(accuracies) if accuracies else None,
        interval=interval,
        truncated=_share(outcomes["truncated"], len(valid)),
        no_answer=_share(outcomes["truncated"] + outcomes["no_answer"], len(valid)),
        response_tokens=sum(answer.tokens for answer in valid),
        grader_errors=outcomes["grader_error"],
        engine_errors=outcomes["engine_error"],
        malformed_verdicts=sum(answer.verdict == "malformed" for answer in valid),
    )


def question_accuracies(answers: Iterable[EvaluationAnswer]) -> dict[str, float]:
    """Share of correct ones among the valid responses, by question id, in the order of first appearance."""
    rewards: dict[str, list[float]] = {}
    for answer in answers:
        if answer.valid:
            rewards.setdefault(answer.question_id, []).append(float(answer.outcome == "correct"))
    return {question: mean(values) for question, values in rewards.items()}


def baseline_scores(
    training_answers: Iterable[str], gold_answers: Mapping[str, Sequence[str]]
) -> tuple[BaselineScore, ...]:
    """What the most common training answer, given to every question, is worth on each source.

    Args:
        training_answers: Gold answers of the training questions; of equally common ones the first in
            alphabetical order counts.
        gold_answers: Gold answers of the evaluated questions by source; compared as text.
    """
    counts = Counter(training_answers)
    if not counts:
        return ()
    answer = min(counts, key=lambda text: (-counts[text], text))
    return tuple(
        BaselineScore(source=source, answer=answer, accuracy=mean([float(gold == answer) for gold in golds]))
        for source, golds in gold_answers.items()
        if golds
    )


def _by_source(
    answers: Sequence[EvaluationAnswer], config: EvaluationConfig, seed: int
) -> Iterable[SourceScore]:
    """Each source as a whole, then its kinds where it has several; in alphabetical order."""
    for source, inside in sorted({(answer.source, answer.in_distribution) for answer in answers}):
        own = [answer for answer in answers if (answer.source, answer.in_distribution) == (source, inside)]
        kinds = sorted({answer.kind for answer in own})
        for kind in (None, *(kinds if len(kinds) > 1 else ())):
            chosen = [answer for answer in own if kind in (None, answer.kind)]
            yield SourceScore(
                source=source, kind=kind, in_distribution=inside, score=score(chosen, config, seed)
            )


def _share(count: int, total: int) -> float | None:
    return count / total if total else None
