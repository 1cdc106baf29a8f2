from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from string import Template

import pytest

from schemas.config.models import DecodingConfig
from schemas.config.teacher import TeacherCompression
from schemas.question import Question
from tests.fakes.engine import ScriptedEngine
from tests.fakes.grader import TextGrader
from zppo.errors import InputError, StoreError
from zppo.ports import Finished, Generation, GenerationFailure, GenerationRequest, Grade
from zppo.stages.journal import JOURNAL
from zppo.stages.precompute import Precomputation, only_hard, precompute
from zppo.teachers.compressors import TeacherCompressor
from zppo.teachers.hints import HintWriter
from zppo.teachers.pool import RESPONSES, PoolTable
from zppo.teachers.sources import Ask, Drawn, ModelSource, ReferenceSource
from zppo.teachers.text import EngineText

QUESTIONS = [Question(id=f"q{i}", source="s", text=f"number {i}", answer=str(i)) for i in range(10)]


class SeededSource:
    """Right or wrong by the seed; stops like a crash after so many batches."""

    kind = "model"

    def __init__(self, batches: int = 100) -> None:
        self.batches = batches
        self.asked: list[str] = []

    def draw(self, asks: Sequence[Ask]) -> list[tuple[Drawn | GenerationFailure, ...]]:
        if self.batches == 0:
            raise KeyboardInterrupt
        self.batches -= 1
        self.asked += [ask.question.id for ask in asks]
        return [
            tuple(
                Drawn(rf"{seed} \boxed{{{ask.question.answer if seed % 2 else 'x'}}}", (1, seed % 97, 0))
                for seed in ask.seeds
            )
            for ask in asks
        ]


class SeededHints:
    """An engine whose hints are good, revealing, missing or not drawn at all, by the seed."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(text.encode())

    def tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(text.encode())

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: DecodingConfig,
        finished: Finished | None = None,
    ) -> list[tuple[Generation | GenerationFailure, ...]]:
        self.seeds += [seed for request in requests for seed in request.seeds]
        return [tuple(self._answer(seed) for seed in request.seeds) for request in requests]

    def _answer(self, seed: int) -> Generation | GenerationFailure:
        texts = [f"<hint> step{seed} </hint>", r"<hint> so \boxed{} </hint>", "step", None]
        text = texts[seed % 4]
        return GenerationFailure("no room") if text is None else Generation(text, (7, 0), (-1.0, -1.0), "eos")


def hints(engine: SeededHints) -> HintWriter:
    return HintWriter(
        EngineText(engine, DecodingConfig()), Template("$question $response"), 8, lambda text: 1
    )


def job(source: SeededSource) -> Precomputation:
    return Precomputation(source, TextGrader(), responses=4, seed=1, batch_questions=3)  # type: ignore[arg-type]


def run(
    home: Path, source: SeededSource, name: str = "out", writer: HintWriter | None = None
) -> tuple[bytes, dict[str, object]]:
    out = home / name
    out.mkdir(exist_ok=True)
    report = precompute(QUESTIONS, replace(job(source), hints=writer), home / f"partial-{name}", out)
    return (out / RESPONSES).read_bytes(), report.model_dump(exclude={"seconds"})


def test_every_question_gets_its_responses_and_the_report_counts_them(tmp_path: Path) -> None:
    _, report = run(tmp_path, SeededSource())
    table = PoolTable(tmp_path / "out" / RESPONSES)
    responses = [table.responses(question.id) for question in QUESTIONS]
    assert [len(each) for each in responses] == [4] * 10
    correct = sum(each.correct for of_question in responses for each in of_question)
    covered = sum(any(each.correct for each in of_question) for of_question in responses)
    assert 0 < correct < 40
    assert report == {
        "schema_version": 2,
        "teacher": "model",
        "questions": 10,
        "covered": covered,
        "coverage": covered / 10,
        "responses": 40,
        "correct": correct,
        "failed": 0,
        "malformed_verdicts": 0,
        "summaries": 0,
        "hints": 0,
        "hints_revealing": 0,
        "hints_missing": 0,
        "tokens": 120,
        "spend": None,
    }


def test_an_interrupted_run_goes_on_by_question_and_ends_the_same(tmp_path: Path) -> None:
    whole = run(tmp_path, SeededSource(), "whole")
    first, second = SeededSource(batches=2), SeededSource()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, first)
    assert run(tmp_path, second) == whole
    assert first.asked + second.asked == [question.id for question in QUESTIONS]


@pytest.mark.parametrize("torn", [1, 40])
def test_a_torn_last_line_is_drawn_again(tmp_path: Path, torn: int) -> None:
    whole = run(tmp_path, SeededSource(), "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, SeededSource(batches=1))
    journal = tmp_path / "partial-out" / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-torn])
    again = SeededSource()
    assert run(tmp_path, again) == whole
    assert again.asked[0] == "q2"


def test_a_damaged_line_is_not_taken_for_a_finished_question(tmp_path: Path) -> None:
    run(tmp_path, SeededSource())
    journal = tmp_path / "partial-out" / JOURNAL
    journal.write_bytes(b"{}\n" + journal.read_bytes())
    with pytest.raises(StoreError, match="line 1"):
        run(tmp_path, SeededSource())


def test_a_finished_job_asks_nobody(tmp_path: Path) -> None:
    once = run(tmp_path, SeededSource())
    assert run(tmp_path, SeededSource(batches=0)) == once


def test_progress_counts_questions_and_starts_where_the_journal_ends(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, SeededSource(batches=1))
    precompute(
        QUESTIONS,
        job(SeededSource()),
        tmp_path / "partial-out",
        tmp_path / "out",
        lambda *at: seen.append(at),
    )
    assert seen == [(3, 10), (6, 10), (9, 10), (10, 10)]


def test_the_batch_size_does_not_change_the_pool(tmp_path: Path) -> None:
    pools = []
    for size in (1, 4, 64):
        out = tmp_path / f"{size}"
        out.mkdir()
        precompute(QUESTIONS, replace(job(SeededSource()), batch_questions=size), tmp_path / f"p{size}", out)
        pools.append((out / RESPONSES).read_bytes())
    assert pools[0] == pools[1] == pools[2]


def test_correct_responses_get_the_teachers_summary(tmp_path: Path) -> None:
    script = {"q0": r"long long \boxed{0}", "q1": r"\boxed{7}"}
    engine = ScriptedEngine(lambda id, index: script.get(id, r"<summary> short \boxed{0} </summary>"))
    source = ModelSource(EngineText(engine, DecodingConfig()), lambda each: each.text, 12288)
    compressor = TeacherCompressor(
        TeacherCompression(),
        EngineText(engine, DecodingConfig()),
        Template("$response"),
        lambda text: len(text.split()),
    )
    report = precompute(
        QUESTIONS[:2], Precomputation(source, TextGrader(), 2, 1, compressor), tmp_path / "partial", tmp_path
    )
    table = PoolTable(tmp_path / RESPONSES)
    assert [each.summary for each in table.responses("q0")] == [r"short \boxed{0}"] * 2
    assert [each.summary for each in table.responses("q1")] == [None, None]
    assert (report.summaries, report.coverage) == (2, 0.5)


def test_hints_are_written_from_correct_responses_and_every_outcome_is_counted(tmp_path: Path) -> None:
    engine = SeededHints()
    _, report = run(tmp_path, SeededSource(), writer=hints(engine))
    table = PoolTable(tmp_path / "out" / RESPONSES)
    responses = [each for question in QUESTIONS for each in table.responses(question.id)]
    right = [each for each in responses if each.correct]
    expected = [f"step{seed}" if seed % 4 == 0 else None for seed in engine.seeds]
    assert [each.hint for each in right] == expected
    assert all(each.hint is None for each in responses if not each.correct)
    kinds = [sum(seed % 4 in group for seed in engine.seeds) for group in ((0,), (1,), (2, 3))]
    assert [report[name] for name in ("hints", "hints_revealing", "hints_missing")] == kinds
    assert min(kinds) > 0
    assert report["tokens"] == 120 + 2 * sum(seed % 4 != 3 for seed in engine.seeds)
    assert len(set(engine.seeds)) == len(engine.seeds)


def test_an_interrupted_run_with_hints_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    whole, parts = SeededHints(), SeededHints()
    expected = run(tmp_path, SeededSource(), "whole", hints(whole))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, SeededSource(batches=2), writer=hints(parts))
    assert run(tmp_path, SeededSource(), writer=hints(parts)) == expected
    assert parts.seeds == whole.seeds


def test_the_batch_size_does_not_change_the_hints(tmp_path: Path) -> None:
    pools = []
    for size in (1, 64):
        out = tmp_path / f"{size}"
        out.mkdir()
        with_hints = replace(job(SeededSource()), batch_questions=size, hints=hints(SeededHints()))
        precompute(QUESTIONS, with_hints, tmp_path / f"p{size}", out)
        pools.append((out / RESPONSES).read_bytes())
    assert pools[0] == pools[1]


def test_hints_change_no_response(tmp_path: Path) -> None:
    run(tmp_path, SeededSource(), "without")
    run(tmp_path, SeededSource(), "with", hints(SeededHints()))
    tables = [PoolTable(tmp_path / name / RESPONSES) for name in ("without", "with")]
    for question in QUESTIONS:
        without, with_hints = (table.responses(question.id) for table in tables)
        assert without == tuple(replace(each, hint=None) for each in with_hints)


def test_the_pool_serves_the_tokens_that_were_drawn(tmp_path: Path) -> None:
    run(tmp_path, SeededSource())
    responses = PoolTable(tmp_path / "out" / RESPONSES).responses("q3")
    assert [each.token_ids for each in responses] == [
        (1, int(each.text.split()[0]) % 97, 0) for each in responses
    ]


def test_questions_without_a_reference_solution_lower_the_coverage(tmp_path: Path) -> None:
    questions = [QUESTIONS[0].model_copy(update={"reference_solution": "so it is 0"}), QUESTIONS[1]]
    report = precompute(
        questions, Precomputation(ReferenceSource(), TextGrader(), 4, 1), tmp_path / "partial", tmp_path
    )
    assert (report.teacher, report.questions, report.responses, report.coverage) == ("reference", 2, 1, 0.5)


def test_only_hard_or_unknown_questions_are_kept() -> None:
    kept = only_hard(QUESTIONS[:3], {"q0": 0.5, "q1": 0.49}, 0.5)
    assert [question.id for question in kept] == ["q1", "q2"]


def test_a_teacher_without_any_response_is_the_users_mistake(tmp_path: Path) -> None:
    job = Precomputation(ReferenceSource(), TextGrader(), 4, 1)
    with pytest.raises(InputError, match="reference_solution"):
        precompute(QUESTIONS, job, tmp_path / "partial", tmp_path)


def test_a_teacher_whose_every_response_fails_says_why(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda id, index: GenerationFailure("the window is too small"))
    source = ModelSource(EngineText(engine, DecodingConfig()), lambda each: each.text, 12288)
    with pytest.raises(InputError, match="the window is too small"):
        precompute(QUESTIONS, Precomputation(source, TextGrader(), 4, 1), tmp_path / "partial", tmp_path)


def test_no_questions_make_an_empty_pool(tmp_path: Path) -> None:
    report = precompute(
        [], Precomputation(ReferenceSource(), TextGrader(), 4, 1), tmp_path / "partial", tmp_path
    )
    assert (report.questions, report.coverage, len(PoolTable(tmp_path / RESPONSES))) == (0, 0.0, 0)


class _Unreadable(TextGrader):
    """A grader whose judge says nothing that can be read."""

    def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
        return [Grade("wrong", None, verdict="malformed") for _ in responses]


def test_verdicts_that_could_not_be_read_are_counted_in_the_report(tmp_path: Path) -> None:
    unread = replace(job(SeededSource()), grader=_Unreadable())
    report = precompute(QUESTIONS, unread, tmp_path / "partial", tmp_path)
    assert report.malformed_verdicts == report.responses > 0
