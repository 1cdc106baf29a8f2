"""What is wrong with a run: every check speaks up for rounds that have its trouble, and for no others."""

from collections.abc import Sequence
from typing import Any

import pytest

from schemas.buffer import BufferEvent, ReplayBuffer
from schemas.evaluation import Evaluation
from schemas.report import DriftReport, StepReport, UpdateReport
from schemas.rollout import Group, Rollout, ServedResponses
from schemas.spend import EndpointSpend, Spend
from tests import build
from zppo.core.report import step_report
from zppo.recipes import load_recipe
from zppo.report import checks
from zppo.report.checks import CHECKS, LAST, Check, Evidence, run_checks
from zppo.report.history import RunHistory

RECIPE = load_recipe("pocket", ["method.buffer_capacity=4"])
LIMIT = RECIPE.sampler_drift_limit


def report(
    index: int = 1,
    *groups: Group,
    drift: float = 0.0,
    entropy: float = 1.0,
    norm: float = 1.0,
    visits: Sequence[ServedResponses] = (),
    entered: Sequence[float] = (),
    events: Sequence[BufferEvent] = (),
    judged: bool = False,
) -> StepReport:
    """Of a round whose groups are the given ones, or one that has nothing wrong with it."""
    healthy = build.group([0, 1], answers=["1", "2"])
    spend = EndpointSpend(role="judge", used=Spend(requests=1)) if judged else None
    round_ = build.a_round(*(groups or (healthy,)), index=index)
    update = UpdateReport(
        loss=0.1, grad_norm=norm, entropy=entropy, clip_low_fraction=0.0, clip_high_fraction=0.0,
        dual_clip_fraction=0.0, tokens=8, active_tokens=8,
    )  # fmt: skip
    return step_report(
        round_.model_copy(update={"teacher": tuple(visits), "judge_spend": spend}),
        0.5,
        ReplayBuffer(entries=tuple(build.entry(f"q{i}", accuracy) for i, accuracy in enumerate(entered))),
        events,
        [update],
        [0.1, -0.1],
        DriftReport(tokens=1, mean=drift, max=drift),
        None,
    )


def group_of(share: float, **changed: Any) -> Group:
    """A group of 100 right rollouts, of which a share is changed."""
    whole = build.group([1] * 100, answers=["7"] * 100)

    def one(each: Rollout) -> Rollout:
        return each.model_copy(update=changed) if each.index < 100 * share else each

    return whole.model_copy(update={"rollouts": tuple(map(one, whole.rollouts))})


def bcq(correct: int) -> Group:
    """Of ten rollouts so many give the correct candidate's answer."""
    pair = (build.candidate("7", correct=True), build.candidate("8", correct=False))
    answers = ["7"] * correct + ["8"] * (10 - correct)
    return build.group([1] * correct + [0] * (10 - correct), kind="bcq", answers=answers, candidates=pair)


def ncq(repeated: int) -> Group:
    """Of ten rollouts so many repeat the answer that is listed as wrong."""
    answers = ["8"] * repeated + ["9"] * (10 - repeated)
    return build.group([0] * 10, kind="ncq", answers=answers, wrong_answers=("8",))


def evicted() -> BufferEvent:
    return BufferEvent(
        event="evict", question_id="q", entry_accuracy=0.0, accuracy=None, visits=1, admitted_round=1
    )


def visit(served: int) -> ServedResponses:
    return ServedResponses(question_id="q", served=served, drawn=0, correct=served)


def falling(to: float) -> list[StepReport]:
    """Entropy that falls after the first rounds."""
    return [report(index, entropy=1.0 if index <= LAST else to) for index in range(1, 2 * LAST + 1)]


def spikes(norm: float) -> list[StepReport]:
    return [report(index, norm=norm if index == 3 else 1.0) for index in range(1, 8)]


LEAVES = {"answer": None, "outcome": "no_answer", "reward": 0}
CUT_OFF = {"answer": None, "outcome": "truncated", "reward": 0, "stop": "length"}
UNREAD = {"verdict": "malformed", "outcome": "wrong", "reward": 0}
JUDGED = {"verdict": "correct"}

CASES: list[tuple[Check, str, list[StepReport]]] = [
    (checks.sampler_drift, "fine", [report(drift=LIMIT / 2)]),
    (checks.sampler_drift, "notice", [report(), report(2, drift=0.51 * LIMIT)]),
    (checks.truncations, "fine", [report(1, group_of(0.05, **CUT_OFF))]),
    (checks.truncations, "notice", [report(1, group_of(0.06, **CUT_OFF))]),
    (checks.truncations, "problem", [report(1, group_of(0.26, **CUT_OFF))]),
    (checks.unparsable, "fine", [report(1, group_of(0.9, **CUT_OFF))]),
    (checks.unparsable, "notice", [report(1, group_of(0.06, **LEAVES))]),
    (checks.unparsable, "problem", [report(1, group_of(0.26, **LEAVES))]),
    (checks.failures, "fine", [report()]),
    (checks.failures, "notice", [report(1, build.group([0, 1] * 50, failures=1))]),
    (checks.failures, "problem", [report(1, build.group([0, 1], failures=1))]),
    (checks.shrinking_entropy, "unknown", falling(0.2)[:LAST]),
    (checks.shrinking_entropy, "fine", falling(0.31)),
    (checks.shrinking_entropy, "notice", falling(0.29)),
    (checks.shrinking_entropy, "problem", falling(0.09)),
    (checks.no_signal, "fine", [report()]),
    (checks.no_signal, "notice", [report(1, build.group([0, 0]), build.group([1, 1], "p"))]),
    (checks.pool_dry, "unknown", [report()]),
    (checks.pool_dry, "fine", [report(visits=[visit(2)])]),
    (checks.pool_dry, "notice", [report(visits=[visit(0), *[visit(2)] * 9])]),
    (checks.pool_dry, "problem", [report(visits=[visit(0), *[visit(2)] * 8])]),
    (checks.hopeless_buffer, "fine", [report(entered=[0.0, 0.0, 0.0])]),
    (checks.hopeless_buffer, "fine", [report(entered=[0.0, 0.25, 0.25, 0.25])]),
    (checks.hopeless_buffer, "notice", [report(entered=[0.0, 0.0, 0.0, 0.0])]),
    (checks.hopeless_buffer, "notice", [report(entered=[0.25] * 4, events=[evicted()])]),
    (checks.gradient_spikes, "fine", spikes(20.0)),
    (checks.gradient_spikes, "notice", spikes(21.0)),
    (checks.parroting, "unknown", [report()]),
    (checks.parroting, "fine", [report(1, build.group([0, 0]), ncq(8))]),
    (checks.parroting, "notice", [report(1, build.group([0, 0]), ncq(9))]),
    (checks.given_away, "unknown", [report()]),
    (checks.given_away, "fine", [report(1, build.group([0, 0]), bcq(9))]),
    (checks.given_away, "notice", [report(1, build.group([0, 0]), bcq(10))]),
    (checks.malformed_verdicts, "unknown", [report()]),
    (checks.malformed_verdicts, "fine", [report(1, group_of(1.0, **JUDGED), judged=True)]),
    (checks.malformed_verdicts, "problem", [report(1, group_of(1.0, **UNREAD), judged=True)]),
]


@pytest.mark.parametrize(("check", "level", "reports"), CASES)
def test_a_check_speaks_up_past_its_threshold_and_not_before(
    check: Check, level: str, reports: list[StepReport]
) -> None:
    assert check(Evidence(RECIPE, reports, None)).level == level


def test_a_student_that_got_worse_is_a_problem_and_one_that_got_better_is_not(history: RunHistory) -> None:
    better = history.evaluation
    assert better is not None
    base, student, teacher = better.models
    worse = (
        student.model_copy(update={"role": "base"}),
        base.model_copy(update={"role": "student"}),
        teacher,
    )

    def level(evaluation: Evaluation | None) -> str:
        return checks.held_out_loss(Evidence(RECIPE, (), evaluation)).level

    assert level(better) == "fine"
    assert level(better.model_copy(update={"models": worse})) == "problem"
    assert level(None) == "unknown"


def test_every_check_speaks_up_in_one_of_these_tests() -> None:
    loud = {check for check, level, _ in CASES if level in ("notice", "problem")}
    assert loud | {checks.held_out_loss} == set(CHECKS)


def test_distillation_has_no_advantages_to_miss() -> None:
    recipe = load_recipe("pocket", ["method={type: on_policy_distillation}"])
    reports = [report(1, build.group([0, 0]))]
    assert checks.no_signal(Evidence(recipe, reports, None)).level == "unknown"


def test_every_check_answers_for_a_run_without_rounds_and_states_its_threshold() -> None:
    found = run_checks(Evidence(RECIPE, (), None))
    assert len(found) == len(CHECKS) == len({each.title for each in found})
    assert all(each.threshold and each.level in ("unknown", "fine") for each in found)


def test_the_worst_comes_first() -> None:
    reports = [report(1, group_of(0.5, **LEAVES), drift=LIMIT)]
    levels = [each.level for each in run_checks(Evidence(RECIPE, reports, None))]
    order = ["problem", "notice", "unknown", "fine"]
    assert levels == sorted(levels, key=order.index)
    assert {"problem", "notice"} <= set(levels)
