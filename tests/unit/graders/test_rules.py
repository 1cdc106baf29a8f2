import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.config.grader import RuleGraderConfig
from schemas.question import AnswerKind, Question
from zppo.core.answers import boxed
from zppo.errors import EngineError, InputError
from zppo.graders.rules import RuleGrader, gradability_problem
from zppo.ports import Grade

BOMB = "9^{9^{9^{9}}}"


def question(answer: str, kind: AnswerKind = "math", choices: tuple[str, ...] = ()) -> Question:
    return Question(id="q", source="s", text="What?", answer=answer, answer_kind=kind, choices=choices)


@pytest.fixture(scope="module")
def grader() -> Iterator[RuleGrader]:
    with RuleGrader(RuleGraderConfig()) as grader:
        yield grader


def grade(grader: RuleGrader, gold: str, answer: str, kind: AnswerKind = "math") -> Grade:
    return grader.grade([(question(gold, kind), boxed(answer))])[0]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("1/2", "0.5"),
        ("1/2", r"\frac{1}{2}"),
        ("0.5", r"\dfrac{1}{2}"),
        (r"\frac{1}{2}", "0.5"),
        ("1,234", "1234"),
        (r"2\sqrt{3}", r"\sqrt{12}"),
        ("x^2+1", "1+x^2"),
        ("5", "x=5"),
        ("90", r"90^\circ"),
        ("90", "90°"),
        ("50", r"50\%"),
        ("50%", "50"),
        (r"\{1,2\}", r"\{2,1\}"),
        (r"\text{no solution}", "No solution"),
        ("8", "2^3"),
        ("xyz", r"x \cdot z \cdot y"),
    ],
)
def test_equivalent_mathematics_is_correct(grader: RuleGrader, gold: str, answer: str) -> None:
    assert grade(grader, gold, answer).outcome == "correct"


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("1/2", "0.51"),
        ("5", "5 or 6"),
        ("5", "not 5"),
        ("listen", "silent"),
        ("5", r"\frac{1}{0}"),
        ("90", r"91^\circ"),
        ("x+1", "y+1"),
        ("5", r"\frac{"),
        ("5", "%"),
    ],
)
def test_different_mathematics_is_wrong(grader: RuleGrader, gold: str, answer: str) -> None:
    grader_grade = grader.grade([(question(gold), boxed(answer) + "}")])[0]
    assert grader_grade.outcome == "wrong", grader_grade


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.integers(-(10**9), 10**9), st.integers(1, 999))
def test_a_fraction_equals_its_multiple(grader: RuleGrader, numerator: int, denominator: int) -> None:
    multiple = rf"\frac{{{3 * numerator}}}{{{3 * denominator}}}"
    assert grade(grader, f"{numerator}/{denominator}", multiple).outcome == "correct"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.sampled_from([*"{}()\\^_+=,.%$ 019xe", r"\frac", r"\sqrt", r"\text{"]), max_size=20))
def test_arbitrary_formulas_get_a_grade(grader: RuleGrader, pieces: list[str]) -> None:
    outcome = grader.grade([(question("1/2"), boxed("".join(pieces)))])[0]
    assert outcome.outcome != "grader_error" or outcome.cause


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.text(max_size=200), st.sampled_from(["exact", "numeric", "choice", "math"]))
def test_no_text_makes_the_grader_raise(grader: RuleGrader, text: str, kind: AnswerKind) -> None:
    (result,) = grader.grade([(question("7", kind), text)])
    assert result.outcome in ("correct", "wrong", "no_answer", "grader_error")


def test_an_explosive_formula_is_a_grader_error_and_spares_the_others(grader: RuleGrader) -> None:
    golds = question("4")
    answers = ["2^2", BOMB, r"\frac{8}{2}", "5", BOMB]
    grades = grader.grade([(golds, boxed(answer)) for answer in answers])
    assert [grade.outcome for grade in grades] == [
        "correct",
        "grader_error",
        "correct",
        "wrong",
        "grader_error",
    ]
    assert grades[1].cause == f"question {golds.id!r}: no verdict within 1 s"


@pytest.mark.parametrize("kind", ["exact", "numeric", "choice", "math"])
def test_a_megabyte_of_answer_is_a_grader_error(grader: RuleGrader, kind: AnswerKind) -> None:
    result = grade(grader, "7", "7" * 1_000_000, kind)
    assert result.outcome == "grader_error"
    assert "1000000 characters" in result.cause


@pytest.mark.parametrize("depth", [60, 900])
def test_a_deeply_nested_formula_is_a_grader_error(grader: RuleGrader, depth: int) -> None:
    assert grade(grader, "7", "(" * depth + "8" + ")" * depth).outcome == "grader_error"


def test_a_box_that_nests_deeper_than_any_formula_is_not_parsed(grader: RuleGrader) -> None:
    assert "deeper" in grade(grader, "1/2", r"\frac{1}{" * 150 + "2" + "}" * 150).cause


def test_a_grader_works_off_the_main_thread(grader: RuleGrader) -> None:
    grades: list[Grade] = []
    thread = Thread(target=lambda: grades.append(grade(grader, "1/8", "0.125")))
    thread.start()
    thread.join()
    assert grades[0].outcome == "correct"


def test_text_and_numbers_need_no_process() -> None:
    before = set(multiprocessing.active_children())
    with RuleGrader(RuleGraderConfig()) as grader:
        assert grade(grader, "13", "13").outcome == "correct"
        assert grade(grader, "13", "13.0", "numeric").outcome == "correct"
        assert set(multiprocessing.active_children()) == before


def test_a_grading_process_that_dies_between_comparisons_is_replaced() -> None:
    with RuleGrader(RuleGraderConfig()) as grader:
        before = set(multiprocessing.active_children())
        grade(grader, "1/2", "0.5")
        for process in set(multiprocessing.active_children()) - before:
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
        answers = ["0.75", "3/2", "0.50"]
        grades = grader.grade([(question("3/4"), boxed(answer)) for answer in answers])
        assert [result.outcome for result in grades] == ["correct", "wrong", "wrong"]


def test_a_grading_process_that_dies_in_a_comparison_costs_that_answer_only() -> None:
    with RuleGrader(RuleGraderConfig(timeout_seconds=30)) as grader:
        before = set(multiprocessing.active_children())
        grade(grader, "1/2", "0.5")
        (process,) = set(multiprocessing.active_children()) - before
        grades: list[Grade] = []
        work = [(question("4"), boxed(answer)) for answer in (BOMB, "2^2")]
        thread = Thread(target=lambda: grades.extend(grader.grade(work)))
        seconds = psutil.Process(process.pid).cpu_times().user
        thread.start()
        while psutil.Process(process.pid).cpu_times().user < seconds + 0.5:  # until the formula explodes
            time.sleep(0.05)
        os.kill(process.pid or 0, signal.SIGKILL)
        thread.join()
    assert [result.outcome for result in grades] == ["grader_error", "correct"]
    assert "died" in grades[0].cause


def test_a_grading_process_that_cannot_start_is_an_engine_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zppo.graders.pool.prepare", os.abort)
    with RuleGrader(RuleGraderConfig()) as grader, pytest.raises(EngineError, match="died at once"):
        grade(grader, "1/2", "0.5")


def test_closing_leaves_no_process() -> None:
    before = set(multiprocessing.active_children())
    with RuleGrader(RuleGraderConfig(), processes=2) as grader:
        grade(grader, "1/2", "0.5")
        assert len(set(multiprocessing.active_children()) - before) == 2
    assert set(multiprocessing.active_children()) == before


PARENT = """
import multiprocessing, signal, sys
from threading import Thread
from zppo.graders.pool import EquivalencePool, Pair

if __name__ == "__main__":
    pool = EquivalencePool(timeout_seconds=2)
    pool.compare([Pair("1/2", "0.5")])
    if sys.argv[1] == "busy":
        Thread(target=pool.compare, args=([Pair("5", "9^{9^{9^{9}}}")],)).start()
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_killing_the_parent_leaves_no_grading_process(tmp_path: Path, state: str) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    with subprocess.Popen(
        [sys.executable, str(script), state], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        time.sleep(1)
        assert children
        parent.kill()
    assert psutil.wait_procs(children, timeout=60)[1] == []


def test_free_answers_are_refused_before_any_work() -> None:
    free = question("prove it", "free")
    assert "judge" in str(gradability_problem(free))
    with RuleGrader(RuleGraderConfig()) as grader, pytest.raises(InputError, match="judge"):
        grader.grade([(free, boxed("x"))])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (question("about five", "numeric"), "not a number"),
        (question("Oslo", "choice", ("Rome", "Bonn")), "choices"),
    ],
)
def test_gold_answers_of_another_kind_have_a_problem(bad: Question, message: str) -> None:
    assert message in str(gradability_problem(bad))


@pytest.mark.parametrize(
    "good", [question("5"), question("x", "exact"), question("1/2", "numeric"), question("C", "choice")]
)
def test_gradable_questions_have_none(good: Question) -> None:
    assert gradability_problem(good) is None
