from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config.evaluation import EvaluationConfig, PromotionConfig
from schemas.evaluation import EvaluationAnswer
from schemas.promotion import Contamination, Contender, PromotionDecision
from zppo.core.promotion import decide

V1 = Path(__file__).parents[2] / "golden" / "artifacts" / "v1"
CLEAN = Contamination(test_questions=100, in_training=0, removed=7, near_threshold=0.9)


def _contender(role: str) -> Contender:
    return Contender(role=role, model=role, digest="sha256:0")


def _answers(right: dict[str, int], total: int = 100, failed: int = 0) -> list[EvaluationAnswer]:
    """For each source so many right answers out of `total`; source `ood` is out of distribution."""

    def outcome(number: int, right: int) -> str:
        if number >= total - failed:
            return "engine_error"
        return "correct" if number < right else "wrong"

    return [
        EvaluationAnswer(
            question_id=f"{source}-{number}", source=source, kind="all", in_distribution=source != "ood",
            sample=0, outcome=outcome(number, count), answer=None, tokens=1, text="",
        )
        for source, count in right.items()
        for number in range(total)
    ]  # fmt: skip


def _decide(
    new: list[EvaluationAnswer],
    old: list[EvaluationAnswer],
    found: Contamination = CLEAN,
    **limits: float | bool,
) -> PromotionDecision:
    return decide(
        (_contender("challenger"), new),
        (_contender("base"), old),
        PromotionConfig(**limits),
        EvaluationConfig(bootstrap_resamples=100),
        found,
        seed=0,
    )


def _failed(decision: PromotionDecision) -> list[str]:
    return [gate.name for gate in decision.gates if not gate.passed]


def test_a_better_challenger_is_promoted_with_evidence() -> None:
    decision = _decide(_answers({"a": 60, "ood": 20}), _answers({"a": 40, "ood": 20}))
    assert decision.promoted
    assert decision.reason.startswith("the challenger replaces the base: ")
    assert "0.400 -> 0.600 (+0.200" in decision.reason
    assert [each.source for each in decision.differences] == [None, "a", "ood"]


def test_an_equal_challenger_is_not_promoted_even_without_a_margin() -> None:
    assert _failed(_decide(_answers({"a": 40}), _answers({"a": 40}))) == ["gain", "interval"]


@pytest.mark.parametrize(("gained", "promoted"), [(4, False), (5, True), (6, True)])
def test_the_margin_is_met_by_exactly_its_value(gained: int, promoted: bool) -> None:
    decision = _decide(_answers({"a": 40 + gained}), _answers({"a": 40}), min_gain=0.05)
    assert decision.promoted == promoted


@pytest.mark.parametrize(("lost", "promoted"), [(2, True), (3, False)])
def test_no_source_may_lose_more_than_allowed(lost: int, promoted: bool) -> None:
    decision = _decide(
        _answers({"a": 80, "ood": 20 - lost}), _answers({"a": 40, "ood": 20}), max_source_loss=0.02
    )
    assert decision.promoted == promoted
    assert _failed(decision) == ([] if promoted else ["source_loss"])


def test_out_of_distribution_questions_do_not_count_as_held_out_gain() -> None:
    assert _failed(_decide(_answers({"a": 40, "ood": 90}), _answers({"a": 40, "ood": 20}))) == [
        "gain",
        "interval",
    ]


def test_failures_are_left_out_of_the_comparison_and_too_many_of_them_prevent_it() -> None:
    old = _answers({"a": 40})
    few = _decide(_answers({"a": 60}, failed=5), old)
    assert few.promoted
    assert few.differences[0].questions == 95
    assert _failed(_decide(_answers({"a": 60}, failed=6), old)) == ["comparable"]


def test_without_a_common_question_nothing_is_promoted() -> None:
    assert _failed(_decide(_answers({"a": 1}), _answers({"b": 1}))) == [
        "comparable",
        "gain",
        "interval",
        "source_loss",
    ]
    assert not _decide([], []).promoted


def _mixed(before: str, changes: dict[str, int], total: int = 100) -> list[EvaluationAnswer]:
    """Answers to the same questions, so many of each outcome, the others `before`."""
    outcomes = [outcome for outcome, count in changes.items() for _ in range(count)]
    outcomes += [before] * (total - len(outcomes))
    answers = _answers({"a": 0}, total)
    return [
        EvaluationAnswer.model_validate(answer.model_dump() | {"outcome": outcome})
        for answer, outcome in zip(answers, outcomes, strict=True)
    ]


def test_a_gain_that_could_be_chance_is_not_promoted_unless_the_recipe_says_so() -> None:
    new, old = _mixed("wrong", {"correct": 3}), _mixed("wrong", {"correct": 1})
    # Of the three that the challenger has right, two are new: the interval reaches down to zero.
    assert _failed(_decide(new, old)) == ["interval"]
    assert _decide(new, old, interval_excludes_zero=False).promoted


@pytest.mark.parametrize("outcome", ["truncated", "no_answer"])
@pytest.mark.parametrize(("risen", "promoted"), [(2, True), (3, False)])
def test_answers_that_cannot_be_read_may_not_rise_more_than_allowed(
    outcome: str, risen: int, promoted: bool
) -> None:
    new = _mixed("wrong", {"correct": 50, outcome: 10 + risen})
    old = _mixed("wrong", {"correct": 20, outcome: 10})
    decision = _decide(new, old, max_unreadable_rise=0.02)
    assert _failed(decision) == ([] if promoted else [outcome])
    assert f"10.0% -> {10 + risen}.0%" in next(
        gate.evidence for gate in decision.gates if gate.name == outcome
    )


def test_a_test_question_among_the_training_questions_prevents_promotion() -> None:
    found = CLEAN.model_copy(update={"in_training": 1})
    new, old = _answers({"a": 60}), _answers({"a": 40})
    assert _failed(_decide(new, old, found)) == ["contamination"]
    assert _decide(new, old, found, contamination_check=False).promoted


def test_the_later_gates_at_their_defaults_leave_the_identity_of_older_recipes_alone() -> None:
    assert PromotionConfig().model_dump().keys() == {"registered_model", "min_gain", "max_source_loss"}
    chosen = PromotionConfig(interval_excludes_zero=False, max_unreadable_rise=0.1, contamination_check=False)
    assert PromotionConfig.model_validate(chosen.model_dump()) == chosen


def test_a_decision_of_before_the_later_gates_is_read() -> None:
    old = PromotionDecision.model_validate_json((V1 / "promotion_decision.json").read_bytes())
    assert (old.promoted, old.contamination) == (True, None)
    assert [gate.name for gate in old.gates] == ["comparable", "gain", "source_loss"]


def test_every_gate_is_in_the_decision_with_its_figures() -> None:
    decision = _decide(_answers({"a": 60}), _answers({"a": 40}))
    assert [gate.name for gate in decision.gates] == [
        "comparable", "gain", "interval", "source_loss", "truncated", "no_answer", "contamination",
    ]  # fmt: skip
    assert all(any(sign.isdigit() for sign in gate.evidence) for gate in decision.gates)
    assert decision.contamination == CLEAN


@given(st.lists(st.sampled_from(["correct", "wrong", "truncated", "no_answer", "engine_error"]), min_size=1))
def test_a_model_never_replaces_itself(outcomes: list[str]) -> None:
    answers = _mixed("wrong", dict(Counter(outcomes)), total=len(outcomes))
    assert not _decide(answers, answers).promoted
