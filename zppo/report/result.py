"""Did it work? The held-out accuracies of a run, before and after, and what was decided about it."""

from collections.abc import Callable, Iterator, Sequence

from schemas.evaluation import Evaluation, ModelScores, Score
from schemas.promotion import PromotionDecision
from schemas.report import StepReport, ValidationReport
from zppo.report.model import AccuracyRow, Bar, Result

ScoreOf = Callable[[ModelScores], Score]
WHO = {"base": "before", "student": "after", "teacher": "teacher"}


def run_result(
    evaluation: Evaluation | None,
    decision: PromotionDecision | None,
    base: ValidationReport | None,
    reports: Sequence[StepReport],
) -> Result:
    """What is known so far.

    Args:
        evaluation: Of the held-out questions, which comes after training.
        decision: About the champion, which comes last.
        base: Validation before training.
        reports: Of the committed rounds, in order.
    """
    if evaluation is None:
        return _in_training(base, reports)
    before, after = evaluation.of_role("base"), evaluation.of_role("student")
    assert before is not None, "an evaluation compares with the base student"
    assert after is not None, "an evaluation is of the student"
    rows = [_row("held out, in distribution", evaluation, lambda model: model.in_distribution)]
    if before.out_of_distribution.questions:
        rows.append(_row("out of distribution", evaluation, lambda model: model.out_of_distribution))
    return Result(
        sentence=_sentence(before, after),
        rows=(*rows, *_champion(decision)),
        sources=tuple(_sources(evaluation)),
        notes=tuple(_notes(evaluation, decision)),
        gates=tuple(
            f"{'passed' if gate.passed else 'failed'}: {gate.evidence}"
            for gate in (decision.gates if decision else ())
        ),
    )


def _in_training(base: ValidationReport | None, reports: Sequence[StepReport]) -> Result:
    validated = [(report.round, report.validation) for report in reports if report.validation]
    if not validated:
        return Result(sentence="Not known yet: no round has a validation.")
    round_, last = validated[-1]
    since = f" from {base.accuracy:.3f}" if base else ""
    bars = [Bar(who="before", accuracy=base.accuracy)] if base else []
    return Result(
        sentence=f"In training: validation accuracy went{since} to {last.accuracy:.3f} by round {round_}.",
        rows=(
            AccuracyRow(
                label="validation",
                questions=last.questions,
                bars=(*bars, Bar(who=f"round {round_}", accuracy=last.accuracy)),
            ),
        ),
        notes=("The test questions are answered after the last round; intervals come with them.",),
    )


def _sentence(before: ModelScores, after: ModelScores) -> str:
    old, new = before.in_distribution, after.in_distribution
    if old.accuracy is None or new.accuracy is None:
        return "Not known: no held-out question has a valid answer."
    gain = new.accuracy - old.accuracy
    moved = "rose" if gain > 0 else "fell" if gain < 0 else "stayed"
    sentence = f"Held-out accuracy {moved} from {old.accuracy:.3f} to {new.accuracy:.3f} ({gain:+.3f})"
    if not _apart(old, new):
        sentence += ", within the intervals' overlap"
    far_old, far_new = before.out_of_distribution.accuracy, after.out_of_distribution.accuracy
    if far_old is not None and far_new is not None:
        sentence += f"; out of distribution {far_old:.3f} to {far_new:.3f} ({far_new - far_old:+.3f})"
    return f"{sentence}."


def _apart(one: Score, other: Score) -> bool:
    """Whether two intervals do not overlap; coarse, but what a reader sees in the picture."""
    if one.interval is None or other.interval is None:
        return True
    return one.interval.high < other.interval.low or other.interval.high < one.interval.low


def _row(label: str, evaluation: Evaluation, score: ScoreOf) -> AccuracyRow:
    bars = tuple(_bar(WHO[model.role], score(model)) for model in evaluation.models)
    return AccuracyRow(label=label, questions=score(evaluation.models[0]).questions, bars=bars)


def _bar(who: str, score: Score) -> Bar:
    interval = score.interval
    return Bar(
        who=who,
        accuracy=score.accuracy,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
    )


def _champion(decision: PromotionDecision | None) -> Iterator[AccuracyRow]:
    """Against whom the run was promoted or not; the base stands in the first row already."""
    if decision is None or decision.incumbent.role != "champion":
        return
    for each in decision.differences:
        if each.source is None:
            bars = (
                Bar(who="champion", accuracy=each.incumbent),
                Bar(who="challenger", accuracy=each.challenger),
            )
            yield AccuracyRow(label="against the champion", questions=each.questions, bars=bars)


def _sources(evaluation: Evaluation) -> Iterator[AccuracyRow]:
    """One row a source, and one a kind within it."""
    first = evaluation.models[0].sources
    for index, source in enumerate(first):
        label = source.source if source.kind is None else f"{source.source}: {source.kind}"
        yield _row(label, evaluation, lambda model, index=index: model.sources[index].score)  # type: ignore[misc]


def _notes(evaluation: Evaluation, decision: PromotionDecision | None) -> Iterator[str]:
    yield (
        f"Intervals: {evaluation.confidence:.0%}, bootstrap over questions; {evaluation.samples} "
        f"response{'s' * (evaluation.samples != 1)} a question."
    )
    if evaluation.baselines:
        parts = [f"“{each.answer}” {each.accuracy:.3f} on {each.source}" for each in evaluation.baselines]
        yield f"For comparison, always giving one answer: {', '.join(parts)}."
    if decision is not None:
        verdict = "passed" if decision.promoted else "not passed"
        yield f"Promotion of {decision.challenger.model}: {verdict}; it met {_rival(decision)}."


def _rival(decision: PromotionDecision) -> str:
    whole = next((each for each in decision.differences if each.source is None), None)
    rival = (
        "the champion"
        if decision.incumbent.role == "champion"
        else "the base student, for want of a champion"
    )
    if whole is None:
        return rival
    low, high = whole.interval.low, whole.interval.high
    return f"{rival}, with a difference of {whole.difference:+.3f} [{low:+.3f}, {high:+.3f}]"
