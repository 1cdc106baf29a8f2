"""What a run took: tokens, seconds and money of each part, as far as they are recorded.

The money of a part is that of its seconds, at the machine's price, and that of its tokens at an endpoint.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.config.grader import EndpointJudge
from schemas.config.machine import HourlyPrice
from schemas.config.run import RunConfig
from schemas.evaluation import AnsweringCost, Evaluation, Role
from schemas.report import RoundTimings, StepReport
from schemas.spend import EndpointSpend, Spend
from schemas.teacher import TeacherPool
from zppo.report.model import CostRow, Money

_PHASES = (
    "student", "teacher", "compression", "judge", "grading", "update", "drift", "validation", "checkpoint",
)  # fmt: skip
"""Those that have a row."""


@dataclass(frozen=True)
class Expenses:
    """Where costs are recorded."""

    recipe: RunConfig
    reports: Sequence[StepReport]
    timings: Sequence[RoundTimings]
    pool: TeacherPool | None
    judge: Spend
    """By this run, whatever it was asked for."""
    evaluation: Evaluation | None
    answering: Mapping[Role, AnsweringCost] = field(default_factory=dict)
    """Of the evaluated models' answers, as far as they are known."""
    price: HourlyPrice | None = None
    """Of the machine."""

    def seconds(self, *phases: str) -> float | None:
        """Of some phases, over all rounds; None where none of them is recorded."""
        found = [each.seconds[phase] for each in self.timings for phase in phases if phase in each.seconds]
        return sum(found) if found else None

    def row(
        self,
        part: str,
        tokens: int | None = None,
        seconds: float | None = None,
        spends: Iterable[EndpointSpend | None] = (),
        note: str = "",
    ) -> CostRow:
        """One part, with what its seconds and its requests cost."""
        money: dict[str, float] = defaultdict(float)
        if self.price is not None and seconds is not None:
            money[self.price.currency] += self.price.per_hour * seconds / 3600
        for spend in spends:
            if spend is not None and spend.money is not None and spend.currency is not None:
                money[spend.currency] += spend.money
        return CostRow(part=part, tokens=tokens, seconds=seconds, money=_money(money), note=note)


def run_costs(its: Expenses) -> tuple[CostRow, ...]:
    """One row a part, in the order of the pipeline; the parts do not overlap."""
    rows = (*_before(its), *_collecting(its), *_learning(its), *_afterwards(its))
    return tuple(row for row in rows if row.tokens or row.seconds or row.money)


def total_cost(rows: Sequence[CostRow]) -> CostRow:
    """All parts together; tokens of different models are not added up."""
    money: dict[str, float] = defaultdict(float)
    for row in rows:
        for each in row.money:
            money[each.currency] += each.amount
    return CostRow(part="in all", seconds=sum(row.seconds or 0.0 for row in rows), money=_money(money))


def _money(amounts: Mapping[str, float]) -> tuple[Money, ...]:
    return tuple(Money(amount=amount, currency=currency) for currency, amount in amounts.items())


def _before(its: Expenses) -> Iterator[CostRow]:
    if its.pool is not None:
        shared = "drawn before training; runs on the same data share it"
        yield its.row(
            "teacher, ahead of training", its.pool.tokens, its.pool.seconds, [its.pool.spend], shared
        )


def _collecting(its: Expenses) -> Iterator[CostRow]:
    kinds = [kind for report in its.reports for kind in report.kinds]
    yield its.row(
        "student’s rollouts",
        sum(kind.response_tokens for kind in kinds),
        its.seconds("student"),
        note=f"{sum(kind.rollouts for kind in kinds):,} rollouts; their prompts have "
        f"{sum(kind.prompt_tokens for kind in kinds):,} tokens",
    )
    yield its.row(
        "teacher, in training",
        sum(report.teacher.tokens for report in its.reports),
        its.seconds("teacher"),
        [report.teacher.spend for report in its.reports],
        "" if its.pool is None else "what the pool holds was drawn before",
    )
    yield its.row(
        "shortening of candidates",
        sum(report.teacher.compression_tokens for report in its.reports),
        its.seconds("compression"),
        note="at the teacher’s endpoint: its price is in the line before"
        if any(report.teacher.spend and report.teacher.compression_tokens for report in its.reports)
        else "",
    )
    judged = any(report.judge for report in its.reports)
    if judged:
        yield _judge(its)
    yield its.row("grading", seconds=its.seconds("grading"), note=_grading(its, judged))


def _grading(its: Expenses, judged: bool) -> str:
    """Rounds of before the judge was timed have its seconds among those of grading."""
    apart = sum("judge" in each.seconds for each in its.timings)
    if not judged or apart == len(its.timings):
        return ""
    return f"the judge’s time included in {len(its.timings) - apart} of {len(its.timings)} rounds"


def _judge(its: Expenses) -> CostRow:
    """All that the judge was asked: a fork's log lacks the rounds that it shares with its parent."""
    in_rounds = sum((report.judge.spend.used for report in its.reports if report.judge), Spend())
    used = max(its.judge, in_rounds, key=lambda spend: spend.requests)
    settings = its.recipe.judge
    prices = settings.prices if isinstance(settings, EndpointJudge) else None
    note = f"{used.requests:,} requests, those of validation and evaluation too; time in rounds alone"
    spend = EndpointSpend.of("judge", used, prices)
    return its.row("judge", used.tokens, its.seconds("judge"), [spend], note)


def _learning(its: Expenses) -> Iterator[CostRow]:
    updates = [update for report in its.reports for update in report.updates]
    yield its.row(
        "updates",
        sum(update.active_tokens for update in updates),
        its.seconds("update"),
        note=f"{sum(update.active_tokens > 0 for update in updates):,} updates; tokens with a gradient",
    )
    yield its.row("check of the sampler", seconds=its.seconds("drift"))
    yield its.row("validation", seconds=its.seconds("validation"))
    yield its.row("checkpoints", seconds=its.seconds("checkpoint"))
    rest = sum(each.total for each in its.timings) - (its.seconds(*_PHASES) or 0.0)
    yield its.row("all else in rounds", seconds=max(0.0, rest), note="encoding, commits, tracking")


def _afterwards(its: Expenses) -> Iterator[CostRow]:
    if its.evaluation is None:
        return
    scores = [
        score
        for model in its.evaluation.models
        for score in (model.in_distribution, model.out_of_distribution)
    ]
    yield its.row(
        "evaluation",
        sum(score.response_tokens for score in scores),
        sum(each.seconds for each in its.answering.values()) or None,
        [each.spend for each in its.answering.values()],
        _answering(its.evaluation, its.answering),
    )


def _answering(evaluation: Evaluation, costs: Mapping[Role, AnsweringCost]) -> str:
    roles = [model.role for model in evaluation.models]
    known = f"; time of {', '.join(costs)} alone" if 0 < len(costs) < len(roles) else ""
    return f"of {', '.join(roles)}; runs that share a model share its answers{known}"
