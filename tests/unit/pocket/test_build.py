import hashlib
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.pocket import CandidateReading, ModelCard, PocketCard, StudentCard, TeacherCard, Writing
from zppo import pocket
from zppo.errors import InputError
from zppo.pocket import build as building
from zppo.pocket import curriculum
from zppo.pocket.build import build
from zppo.pocket.card import card_markdown
from zppo.pocket.measure import (
    PlainGroup,
    Sampler,
    mean_accuracy,
    measure_writing,
    read_candidates,
    sample_plain,
)
from zppo.pocket.task import Chain, PocketQuestion, make_questions
from zppo.pocket.tokenizer import CHAT_TEMPLATE, make_tokenizer
from zppo.pocket.window import violations

COMMITTED = Path(pocket.__file__).parent
MODELS = ("student", "student-indifferent", "teacher", "teacher-middle", "teacher-weak")
READING = CandidateReading(
    questions=100,
    plain_accuracy=0.1,
    accuracy=0.4,
    correct_first=0.4,
    correct_second=0.4,
    copies_correct=0.35,
    copies_wrong=0.1,
    answers_wrong=0.15,
    accuracy_with_hint=0.3,
)
STUDENT = StudentCard(
    parameters=1,
    weights_sha256="0" * 64,
    accuracy=0.25,
    longer_accuracy=0.1,
    updates=1,
    all_wrong=0.4,
    reading=READING,
)
WRITING = Writing(faithful_right=0.95, faithful_wrong=0.95, answer_free=0.88, true_prefix=0.95)


def teacher(accuracy: float) -> TeacherCard:
    return TeacherCard(
        parameters=1,
        weights_sha256="0" * 64,
        accuracy=accuracy,
        longer_accuracy=0.3,
        updates=1,
        writing=WRITING,
    )


CARD = PocketCard(
    seed=0,
    questions=100,
    lengths=(3, 4),
    longer_lengths=(5, 6),
    hintable=0.9,
    student=STUDENT,
    student_indifferent=STUDENT.model_copy(
        update={"reading": READING.model_copy(update={"copies_wrong": 0.33})}
    ),
    teacher=teacher(0.99),
    teacher_middle=teacher(0.75),
    teacher_weak=teacher(0.45),
)
STUDENTS = ("student", "student_indifferent")
TEACHERS = ("teacher", "teacher_middle", "teacher_weak")


def changed(name: str, change: dict[str, object]) -> PocketCard:
    return CARD.model_copy(update={name: getattr(CARD, name).model_copy(update=change)})


def test_models_that_are_fit_have_no_violations() -> None:
    assert violations(CARD) == []


@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accuracy": 0.1}, "plain accuracy"),
        ({"accuracy": 0.5}, "plain accuracy"),
        ({"all_wrong": 0.8}, "all wrong"),
    ],
)
def test_a_student_outside_the_window_is_named_with_the_reason(
    name: str, change: dict[str, object], words: str
) -> None:
    (message,) = violations(changed(name, change))
    assert message.startswith(f"{name.replace('_', '-')}: ")
    assert words in message


@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize(
    ("change", "words"),
    [({"accuracy": 0.2}, "candidates must add"), ({"accuracy_with_hint": 0.2}, "a hint must add")],
)
def test_a_student_that_cannot_read_is_named(name: str, change: dict[str, object], words: str) -> None:
    reading = getattr(CARD, name).reading.model_copy(update=change)
    (message,) = violations(changed(name, {"reading": reading}))
    assert words in message


def test_the_students_must_differ_in_how_they_take_candidates() -> None:
    indifferent = CARD.student_indifferent.reading
    (message,) = violations(changed("student", {"reading": indifferent}))
    assert message.startswith("student: the correct candidate must be copied")
    (message,) = violations(changed("student_indifferent", {"reading": READING}))
    assert message.startswith("student-indifferent: the correct candidate may be copied")


@pytest.mark.parametrize("name", TEACHERS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accuracy": 0.6}, "accuracy must be"),
        ({"writing": WRITING.model_copy(update={"faithful_right": 0.8})}, "faithful"),
        ({"writing": WRITING.model_copy(update={"faithful_wrong": 0.8})}, "faithful"),
        ({"writing": WRITING.model_copy(update={"true_prefix": 0.8})}, "first steps"),
        ({"writing": WRITING.model_copy(update={"answer_free": 0.7})}, "without the answer"),
    ],
)
def test_a_teacher_that_is_not_fit_is_named(name: str, change: dict[str, object], words: str) -> None:
    (message,) = violations(changed(name, change))
    assert message.startswith(f"{name.replace('_', '-')}: ")
    assert words in message


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build of seconds, whose models are no good."""
    for name in ("STRUCTURE_UPDATES", "MASTERY_UPDATES", "CHECK_EVERY"):
        monkeypatch.setattr(curriculum, name, 1)
    for name in ("STUDENT", "WEAK", "MIDDLE"):
        monkeypatch.setattr(curriculum, name, (0.0, 1.0))
    monkeypatch.setattr(building, "QUESTIONS", 4)
    monkeypatch.setattr(building, "CHECK_QUESTIONS", 4)


@pytest.mark.usefixtures("short")
def test_models_that_are_not_fit_are_refused_and_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use another seed"):
        build(tmp_path / "out", 0, report=lambda line: None)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("short")
def test_a_build_writes_what_its_card_describes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "violations", lambda card: [])
    card = build(tmp_path, 0, report=lambda line: None)
    assert_card_describes(card, tmp_path)


def test_the_committed_card_describes_the_committed_models() -> None:
    card = PocketCard.model_validate_json((COMMITTED / "card.json").read_bytes())
    assert_card_describes(card, COMMITTED)
    assert violations(card) == []


def assert_card_describes(card: PocketCard, directory: Path) -> None:
    for name in MODELS:
        model: ModelCard = getattr(card, name.replace("-", "_"))
        weights = (directory / name / "model.safetensors").read_bytes()
        assert hashlib.sha256(weights).hexdigest() == model.weights_sha256
        loaded = AutoModelForCausalLM.from_pretrained(directory / name)
        assert loaded.num_parameters() == model.parameters < 1_000_000
    assert PocketCard.model_validate_json((directory / "card.json").read_bytes()) == card
    assert (directory / "CARD.md").read_text(encoding="utf-8") == card_markdown(card)


def test_the_committed_tokenizers_are_the_ones_that_the_code_makes() -> None:
    made = make_tokenizer()
    for name in MODELS:
        tokenizer = AutoTokenizer.from_pretrained(COMMITTED / name)
        assert tokenizer.get_vocab() == made.get_vocab()
        assert tokenizer.chat_template == CHAT_TEMPLATE
        assert tokenizer.padding_side == "left"
        assert tokenizer.backend_tokenizer.to_str() == made.backend_tokenizer.to_str()


def test_the_committed_models_are_small_and_safetensors_only() -> None:
    weights = list(COMMITTED.rglob("*.safetensors"))
    assert sum(path.stat().st_size for path in weights) < 10_000_000
    assert not [path for path in COMMITTED.rglob("*") if path.suffix in {".bin", ".pt", ".pkl", ".pickle"}]


@pytest.mark.parametrize("name", ["student", "student-indifferent"])
def test_a_committed_student_lies_in_the_window_on_new_questions(name: str) -> None:
    sampler = committed(name)
    groups = sample_plain(sampler, list(make_questions(200, (3, 4), seed=12345)), seed=0)
    reading = read_candidates(sampler, groups, seed=0)
    assert 0.12 < mean_accuracy(groups) < 0.38
    assert reading.accuracy > reading.plain_accuracy + 0.1
    assert reading.accuracy_with_hint > reading.plain_accuracy + 0.1
    preference = reading.copies_correct / reading.copies_wrong
    assert preference > 1.6 if name == "student" else 0.6 < preference < 1.6


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("teacher", 0.9, 1.0), ("teacher-middle", 0.6, 0.9), ("teacher-weak", 0.33, 0.57)],
)
def test_a_committed_teacher_knows_what_its_name_says(name: str, low: float, high: float) -> None:
    sampler, questions = committed(name), list(make_questions(60, (3, 4), seed=12345))
    groups = [
        PlainGroup(question, (question.reference_solution, wrong_derivation(question)))
        for question in questions
    ]
    writing = measure_writing(sampler, groups, seed=0)
    assert low <= mean_accuracy(sample_plain(sampler, questions, seed=0)) <= high
    assert min(writing.faithful_right, writing.faithful_wrong, writing.true_prefix) > 0.8
    assert writing.answer_free > 0.7


def wrong_derivation(question: PocketQuestion) -> str:
    chain = Chain.read(question.text)
    return chain.derive(lambda value, operation: (operation.apply(value) + 1) % 19).response


def committed(name: str) -> Sampler:
    directory = COMMITTED / name
    return Sampler(AutoModelForCausalLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory))
