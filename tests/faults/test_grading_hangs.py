"""A grading call that never returns: native code that holds the interpreter's lock and takes no signal."""

import os
import subprocess
import sys
from pathlib import Path

from tests.pipelines import ROOT

PROGRAM = r"""
import ctypes, signal
from schemas.config.grader import RuleGraderConfig
from schemas.question import Question
from zppo.graders import pool
from zppo.graders.rules import RuleGrader

def hang(gold, answer, last_resort):
    if answer == "2x":
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        ctypes.PyDLL(None).sleep(10**6)
    return compare(gold, answer, last_resort)

compare, pool.compare = pool.compare, hang

if __name__ == "__main__":
    asked = [Question(id=name, source="s", text="?", answer="1+x", answer_kind="math") for name in ("p", "q")]
    with RuleGrader(RuleGraderConfig(timeout_seconds=1.0)) as grader:
        for grade in grader.grade([(asked[0], r"\boxed{x+1}"), (asked[1], r"\boxed{2x}")]):
            print(grade.outcome, grade.cause)
"""


def test_a_native_hang_is_ended_attributed_to_its_question_and_costs_nothing_else(tmp_path: Path) -> None:
    script = tmp_path / "grade.py"
    script.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        timeout=200,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["correct ", "grader_error question 'q': no verdict within 1 s"], done
