"""What a run took: every second once, and money where there is a price."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config.machine import HourlyPrice
from schemas.config.run import RunConfig
from schemas.evaluation import AnsweringCost
from schemas.report import JudgeReport, RoundTimings
from schemas.spend import EndpointSpend, Spend
from zppo.recipes import load_recipe
from zppo.report.compare import compared_costs
from zppo.report.costs import Expenses, run_costs, total_cost
from zppo.report.history import RunHistory
from zppo.report.model import CostRow, Money
from zppo.report.page import money_text

PRICES = {"input_per_million": 1e6, "output_per_million": 2e6, "currency": "EUR"}
JUDGE = {"type": "endpoint", "model": "j", "prices": PRICES}
USED = Spend(requests=3, prompt_tokens=10, completion_tokens=5)


def expenses(history: RunHistory) -> Expenses:
    return Expenses(
        recipe=history.record.recipe,
        reports=history.reports,
        timings=history.timings,
        pool=history.pool_report,
        judge=Spend(),
        evaluation=history.evaluation,
        answering={"base": AnsweringCost(seconds=30.0)},
    )


def row(rows: tuple[CostRow, ...], part: str) -> CostRow:
    (found,) = [each for each in rows if each.part == part]
    return found


def test_every_second_of_rounds_pool_and_evaluation_is_counted_once(history: RunHistory) -> None:
    its = expenses(history)
    assert its.pool is not None
    rounds = sum(each.total for each in its.timings)
    assert total_cost(run_costs(its)).seconds == pytest.approx(rounds + its.pool.seconds + 30.0)


@given(
    st.dictionaries(st.sampled_from(["student", "teacher", "judge", "grading"]), st.floats(0, 100)),
    st.floats(0, 9),
)
def test_the_rows_of_a_round_add_up_to_its_time(parts: dict[str, float], rest: float) -> None:
    timings = RoundTimings(round=1, seconds={**parts, "collect": sum(parts.values()) + rest, "update": 1.0})
    its = Expenses(load_recipe("pocket"), (), [timings], None, Spend(), None)
    counted = total_cost(run_costs(its)).seconds
    missing = parts.get("judge", 0.0)  # no report tells of a judge, so there is no row of it
    assert counted == pytest.approx(timings.total - missing)


def test_without_any_price_there_is_no_money(history: RunHistory) -> None:
    rows = run_costs(expenses(history))
    assert all(each.money == () for each in rows)
    assert money_text(total_cost(rows).money) == "–"


def test_an_hour_of_the_machine_is_charged_to_student_teacher_and_updates(history: RunHistory) -> None:
    rows = run_costs(replace(expenses(history), price=HourlyPrice(per_hour=3600.0)))
    for each in rows:
        assert [(paid.amount, paid.currency) for paid in each.money] == [(pytest.approx(each.seconds), "USD")]
    assert {"student’s rollouts", "teacher, in training", "updates", "evaluation"} <= {
        each.part for each in rows
    }


def test_the_judge_costs_what_it_was_asked_for_in_and_after_the_rounds(history: RunHistory) -> None:
    recipe = RunConfig.model_validate(load_recipe("pocket").model_dump() | {"judge": JUDGE})
    in_round = EndpointSpend.of("judge", Spend(requests=1, prompt_tokens=4), recipe.judge.prices)  # type: ignore[union-attr]
    reports = [
        each.model_copy(update={"judge": JudgeReport(judged=1, malformed=0, spend=in_round)})
        for each in history.reports[:1]
    ]
    its = replace(expenses(history), recipe=recipe, reports=reports)
    judged = row(run_costs(replace(its, judge=USED)), "judge")
    assert (judged.tokens, judged.money) == (15, (Money(amount=20.0, currency="EUR"),))
    forked = row(run_costs(its), "judge")
    assert (forked.tokens, forked.money) == (4, (Money(amount=4.0, currency="EUR"),)), (
        "its log lacks the rounds"
    )


def test_currencies_are_kept_apart(history: RunHistory) -> None:
    spend = EndpointSpend(role="teacher", used=USED, money=5.0, currency="EUR")
    answering = {"teacher": AnsweringCost(seconds=7200.0, spend=spend)}
    its = replace(expenses(history), answering=answering, price=HourlyPrice(per_hour=2.5))  # type: ignore[arg-type]
    assert money_text(row(run_costs(its), "evaluation").money) == "5.00 USD + 5.00 EUR"
    assert money_text((Money(amount=0.00123, currency="USD"),)) == "0.0012 USD"


def test_runs_side_by_side_have_a_row_for_every_part_and_the_sum_last() -> None:
    one = [CostRow(part="a", seconds=1.0), CostRow(part="in all", seconds=1.0)]
    other = [
        CostRow(part="a", seconds=1.0),
        CostRow(part="b", seconds=2.0),
        CostRow(part="in all", seconds=3.0),
    ]
    found = compared_costs([one, other])
    assert [each.part for each in found] == ["a", "b", "in all"]
    assert Counter(cell is None for each in found for cell in each.rows) == {False: 5, True: 1}
