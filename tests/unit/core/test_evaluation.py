from hypothesis import given
from hypothesis import strategies as st

from schemas.config.evaluation import EvaluationConfig
from schemas.evaluation import EvaluationAnswer
from zppo.core.evaluation import baseline_scores, question_accuracies, score, score_model

CONFIG = EvaluationConfig(bootstrap_resamples=100)
OUTCOMES = ("correct", "wrong", "no_answer", "truncated", "grader_error", "engine_error")


def _answer(question: str, outcome: str, sample: int = 0, source: str = "a", kind: str = "k", inside=True):
    return EvaluationAnswer(
        question_id=question, source=source, kind=kind, in_distribution=inside, sample=sample,
        outcome=outcome, answer=None, tokens=3, text="",
    )  # fmt: skip


ANSWERS = st.lists(
    st.builds(_answer, st.sampled_from("pqrs"), st.sampled_from(OUTCOMES), source=st.sampled_from("ab"),
              kind=st.sampled_from("xy")), max_size=25,
)  # fmt: skip


@given(ANSWERS)
def test_failures_change_no_accuracy_and_are_counted_apart(answers: list[EvaluationAnswer]) -> None:
    valid = [answer for answer in answers if answer.valid]
    with_failures, without = score(answers, CONFIG, 0), score(valid, CONFIG, 0)
    assert with_failures.accuracy == without.accuracy
    assert with_failures.interval == without.interval
    assert with_failures.responses + with_failures.grader_errors + with_failures.engine_errors == len(answers)


@given(ANSWERS)
def test_every_response_is_counted_once_over_the_sources(answers: list[EvaluationAnswer]) -> None:
    scores = score_model("base", "m", "0" * 64, answers, CONFIG, 0)
    whole = [source.score.responses for source in scores.sources if source.kind is None]
    assert sum(whole) == scores.in_distribution.responses + scores.out_of_distribution.responses


def test_every_question_weighs_the_same_however_many_of_its_responses_are_valid() -> None:
    answers = [
        _answer("p", "correct", 0), _answer("p", "engine_error", 1), _answer("p", "engine_error", 2),
        _answer("q", "wrong", 0), _answer("q", "wrong", 1), _answer("q", "correct", 2),
    ]  # fmt: skip
    assert question_accuracies(answers) == {"p": 1.0, "q": 1 / 3}
    assert score(answers, CONFIG, 0).accuracy == 2 / 3


def test_no_valid_response_gives_no_accuracy_rather_than_zero() -> None:
    empty = score([_answer("p", "grader_error")], CONFIG, 0)
    assert (empty.accuracy, empty.interval, empty.truncated) == (None, None, None)


def test_truncated_responses_are_without_an_answer_too() -> None:
    result = score([_answer("p", "truncated"), _answer("q", "no_answer"), _answer("r", "correct")], CONFIG, 0)
    assert (result.truncated, result.no_answer) == (1 / 3, 2 / 3)


def test_kinds_are_listed_where_a_source_has_several() -> None:
    answers = [
        _answer("p", "correct", kind="x"), _answer("q", "wrong", kind="y"),
        _answer("r", "correct", source="b", inside=False),
    ]  # fmt: skip
    scores = score_model("student", "m", "0" * 64, answers, CONFIG, 0)
    listed = [(each.source, each.kind, each.score.accuracy) for each in scores.sources]
    assert listed == [("a", None, 0.5), ("a", "x", 1.0), ("a", "y", 0.0), ("b", None, 1.0)]
    assert (scores.in_distribution.accuracy, scores.out_of_distribution.accuracy) == (0.5, 1.0)


def test_the_baseline_gives_the_most_common_training_answer_everywhere() -> None:
    found = baseline_scores(["3", "7", "7", "3"], {"a": ["3", "3", "7", "1"], "none": []})
    assert [(each.source, each.answer, each.accuracy) for each in found] == [("a", "3", 0.5)]
    assert baseline_scores([], {"a": ["3"]}) == ()


def test_verdicts_that_could_not_be_read_are_counted_among_the_wrong() -> None:
    answers = [_answer("p", "wrong", 0), _answer("p", "wrong", 1), _answer("p", "correct", 2)]
    verdicts = ("malformed", "wrong", None)
    judged = [
        each.model_copy(update={"verdict": verdict}) for each, verdict in zip(answers, verdicts, strict=True)
    ]
    got = score(judged, CONFIG, 0)
    assert (got.malformed_verdicts, got.accuracy) == (1, 1 / 3)
