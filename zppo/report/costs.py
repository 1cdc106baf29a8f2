"""What a run took: tokens, seconds and money of each part, as far as they are recorded."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.config.run import RunConfig
from schemas.config.teacher import EndpointTeacher
from schemas.evaluation import Evaluation, Role
from schemas.report import RoundTimings, StepReport
from schemas.spend import EndpointSpend, Spend
from schemas.teacher import TeacherPool
from zppo.report.model import CostRow


@dataclass(frozen=True)
class Expenses:
    """Where costs are recorded."""

    recipe: RunConfig
    reports: Sequence[StepReport]
    timings: Sequence[RoundTimings]
    pool: TeacherPool | None
    teacher: Spend
    """At the teacher's endpoint, by this run."""
    evaluation: Evaluation | None
    answering: Mapping[Role, float] = field(default_factory=dict)
    """Seconds of the evaluated models' answers, as far as they are known."""

    def seconds(self, *phases: str) -> float | None:
        """Of some phases, over all rounds; None where none of them is recorded."""
        found = [each.seconds[phase] for each in self.timings for phase in phases if phase in each.seconds]
        return sum(found) if found else None


def run_costs(its: Expenses) -> tuple[CostRow, ...]:
    """One row a part, in the order of the pipeline."""
    rows = (*_before(its), *_collecting(its), *_learning(its), *_afterwards(its))
    return tuple(row for row in rows if row.tokens or row.seconds or row.money)


def _before(its: Expenses) -> Iterator[CostRow]:
    if its.pool is not None:
        shared = "drawn before training; runs on the same data share it"
        yield CostRow(
            part="teacher, ahead of training",
            tokens=its.pool.tokens,
            seconds=its.pool.seconds,
            money=_money(its.pool.spend),
            note=shared,
        )


def _collecting(its: Expenses) -> Iterator[CostRow]:
    kinds = [kind for report in its.reports for kind in report.kinds]
    yield CostRow(
        part="student’s rollouts",
        tokens=sum(kind.response_tokens for kind in kinds),
        seconds=its.seconds("student"),
        note=f"{sum(kind.rollouts for kind in kinds):,} rollouts; their prompts have "
        f"{sum(kind.prompt_tokens for kind in kinds):,} tokens",
    )
    yield CostRow(
        part="teacher, in training",
        tokens=sum(report.teacher.tokens for report in its.reports),
        seconds=its.seconds("teacher"),
        money=_teacher_money(its),
        note="what the pool holds was drawn before",
    )
    yield CostRow(
        part="shortening of candidates",
        tokens=sum(report.teacher.compression_tokens for report in its.reports),
        seconds=its.seconds("compression"),
    )
    judged = [report.judge.spend for report in its.reports if report.judge]
    if judged:
        yield _judge(judged, its.seconds("judge"))
    yield CostRow(part="grading", seconds=its.seconds("grading"), note=_grading(its, bool(judged)))


def _grading(its: Expenses, judged: bool) -> str:
    """Rounds of before the judge was timed have its seconds among those of grading."""
    apart = sum("judge" in each.seconds for each in its.timings)
    if not judged or apart == len(its.timings):
        return ""
    return f"the judge’s time included in {len(its.timings) - apart} of {len(its.timings)} rounds"


def _judge(spends: Sequence[EndpointSpend], seconds: float | None) -> CostRow:
    used = sum((spend.used for spend in spends), Spend())
    money = [spend.money for spend in spends if spend.money is not None]
    total = f"{sum(money):,.2f} {spends[-1].currency}" if money else None
    note = f"{used.requests:,} requests"
    return CostRow(part="judge", tokens=used.tokens, seconds=seconds, money=total, note=note)


def _learning(its: Expenses) -> Iterator[CostRow]:
    updates = [update for report in its.reports for update in report.updates]
    yield CostRow(
        part="updates",
        tokens=sum(update.active_tokens for update in updates),
        seconds=its.seconds("update"),
        note=f"{sum(update.active_tokens > 0 for update in updates):,} updates; tokens with an advantage",
    )
    yield CostRow(part="check of the sampler", seconds=its.seconds("drift"))
    yield CostRow(part="validation", seconds=its.seconds("validation"))
    yield CostRow(part="checkpoints", seconds=its.seconds("checkpoint"))


def _afterwards(its: Expenses) -> Iterator[CostRow]:
    if its.evaluation is None:
        return
    scores = [
        score
        for model in its.evaluation.models
        for score in (model.in_distribution, model.out_of_distribution)
    ]
    yield CostRow(
        part="evaluation",
        tokens=sum(score.response_tokens for score in scores),
        seconds=sum(its.answering.values()) or None,
        note=_answering(its.evaluation, its.answering),
    )


def _answering(evaluation: Evaluation, seconds: Mapping[Role, float]) -> str:
    roles = [model.role for model in evaluation.models]
    known = f"; time of {', '.join(seconds)} alone" if 0 < len(seconds) < len(roles) else ""
    return f"of {', '.join(roles)}; runs that share a model share its answers{known}"


def _teacher_money(its: Expenses) -> str | None:
    teacher = its.recipe.teacher
    prices = teacher.prices if isinstance(teacher, EndpointTeacher) else None
    if prices is None or not its.teacher.requests:
        return None
    return f"{its.teacher.money(prices):,.2f} {prices.currency} in all by this run"


def _money(spend: EndpointSpend | None) -> str | None:
    return None if spend is None or spend.money is None else f"{spend.money:,.2f} {spend.currency}"
