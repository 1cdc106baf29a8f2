import pytest

from schemas.config.evaluation import EvaluationConfig, PromotionConfig
from schemas.evaluation import EvaluationAnswer
from schemas.promotion import Contender, PromotionDecision
from zppo.core.promotion import decide


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


def _decide(new: list[EvaluationAnswer], old: list[EvaluationAnswer], **limits: float) -> PromotionDecision:
    return decide(
        (_contender("challenger"), new),
        (_contender("base"), old),
        PromotionConfig(**limits),
        EvaluationConfig(bootstrap_resamples=100),
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
    assert _failed(_decide(_answers({"a": 40}), _answers({"a": 40}))) == ["gain"]


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
    assert _failed(_decide(_answers({"a": 40, "ood": 90}), _answers({"a": 40, "ood": 20}))) == ["gain"]


def test_failures_are_left_out_of_the_comparison_and_too_many_of_them_prevent_it() -> None:
    old = _answers({"a": 40})
    few = _decide(_answers({"a": 60}, failed=5), old)
    assert few.promoted
    assert few.differences[0].questions == 95
    assert _failed(_decide(_answers({"a": 60}, failed=6), old)) == ["comparable"]


def test_without_a_common_question_nothing_is_promoted() -> None:
    assert _failed(_decide(_answers({"a": 1}), _answers({"b": 1}))) == ["comparable", "gain", "source_loss"]
    assert not _decide([], []).promoted
