import hashlib
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.pocket import CandidateReading, ModelCard, PocketCard, StudentCard
from zppo import pocket
from zppo.errors import InputError
from zppo.pocket import build as building
from zppo.pocket import curriculum
from zppo.pocket.build import build
from zppo.pocket.card import card_markdown
from zppo.pocket.measure import Sampler, mean_accuracy, read_candidates, sample_plain
from zppo.pocket.task import make_questions
from zppo.pocket.tokenizer import CHAT_TEMPLATE, make_tokenizer
from zppo.pocket.window import violations

COMMITTED = Path(pocket.__file__).parent
READING = CandidateReading(
    questions=100,
    plain_accuracy=0.1,
    accuracy=0.4,
    correct_first=0.4,
    correct_second=0.4,
    copies_correct=0.35,
    copies_wrong=0.1,
    answers_wrong=0.15,
)
TEACHER = ModelCard(parameters=1, weights_sha256="0" * 64, accuracy=0.99, longer_accuracy=0.9, updates=1)
STUDENT = StudentCard(
    parameters=1,
    weights_sha256="0" * 64,
    accuracy=0.25,
    longer_accuracy=0.1,
    updates=1,
    all_wrong=0.4,
    reading=READING,
)


def test_a_student_in_the_window_with_a_good_teacher_has_no_violations() -> None:
    assert violations(STUDENT, TEACHER) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accuracy": 0.1}, "plain accuracy"),
        ({"accuracy": 0.5}, "plain accuracy"),
        ({"all_wrong": 0.8}, "all wrong"),
        ({"reading": READING.model_copy(update={"accuracy": 0.2})}, "candidates must add"),
        ({"reading": READING.model_copy(update={"copies_wrong": 0.3})}, "copied"),
    ],
)
def test_a_student_outside_the_window_is_named_with_the_reason(change: dict[str, object], words: str) -> None:
    (message,) = violations(STUDENT.model_copy(update=change), TEACHER)
    assert words in message


def test_a_weak_teacher_is_a_violation() -> None:
    (message,) = violations(STUDENT, TEACHER.model_copy(update={"accuracy": 0.9}))
    assert "teacher" in message


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build of seconds, whose student is no good."""
    for name, value in {
        "STRUCTURE_UPDATES": 1,
        "TEACHER_UPDATES": 1,
        "CHECK_EVERY": 1,
        "STOP": (0.0, 1.0),
    }.items():
        monkeypatch.setattr(curriculum, name, value)
    monkeypatch.setattr(building, "QUESTIONS", 4)
    monkeypatch.setattr(building, "CHECK_QUESTIONS", 4)


@pytest.mark.usefixtures("short")
def test_a_pair_outside_the_window_is_refused_and_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use another seed"):
        build(tmp_path / "out", 0, report=lambda line: None)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("short")
def test_a_build_writes_what_its_card_describes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "violations", lambda student, teacher: [])
    card = build(tmp_path, 0, report=lambda line: None)
    assert_card_describes(card, tmp_path)


def test_the_committed_card_describes_the_committed_models() -> None:
    card = PocketCard.model_validate_json((COMMITTED / "card.json").read_bytes())
    assert_card_describes(card, COMMITTED)
    assert violations(card.student, card.teacher) == []


def assert_card_describes(card: PocketCard, directory: Path) -> None:
    for name, model in (("student", card.student), ("teacher", card.teacher)):
        weights = (directory / name / "model.safetensors").read_bytes()
        assert hashlib.sha256(weights).hexdigest() == model.weights_sha256
        loaded = AutoModelForCausalLM.from_pretrained(directory / name)
        assert loaded.num_parameters() == model.parameters < 1_000_000
    assert PocketCard.model_validate_json((directory / "card.json").read_bytes()) == card
    assert (directory / "CARD.md").read_text(encoding="utf-8") == card_markdown(card)


def test_the_committed_tokenizers_are_the_ones_that_the_code_makes() -> None:
    made = make_tokenizer()
    for name in ("student", "teacher"):
        tokenizer = AutoTokenizer.from_pretrained(COMMITTED / name)
        assert tokenizer.get_vocab() == made.get_vocab()
        assert tokenizer.chat_template == CHAT_TEMPLATE
        assert tokenizer.padding_side == "left"
        assert tokenizer.backend_tokenizer.to_str() == made.backend_tokenizer.to_str()


def test_the_committed_models_are_small_and_safetensors_only() -> None:
    weights = list(COMMITTED.rglob("*.safetensors"))
    assert sum(path.stat().st_size for path in weights) < 4_000_000
    assert not [path for path in COMMITTED.rglob("*") if path.suffix in {".bin", ".pt", ".pkl", ".pickle"}]


def test_the_committed_student_lies_in_the_window_on_new_questions() -> None:
    sampler = committed("student")
    groups = sample_plain(sampler, list(make_questions(60, (3, 4), seed=12345)), seed=0)
    reading = read_candidates(sampler, groups, seed=0)
    assert 0.12 < mean_accuracy(groups) < 0.38
    assert reading.accuracy > reading.plain_accuracy + 0.1
    assert reading.copies_correct > reading.copies_wrong


def test_the_committed_teacher_has_mastered_the_task() -> None:
    groups = sample_plain(committed("teacher"), list(make_questions(40, (3, 4, 5, 6), seed=12345)), seed=0)
    assert mean_accuracy(groups) > 0.9


def committed(name: str) -> Sampler:
    directory = COMMITTED / name
    return Sampler(AutoModelForCausalLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory))
