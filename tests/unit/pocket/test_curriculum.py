from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zppo.core.answers import last_boxed
from zppo.errors import InputError
from zppo.pocket import curriculum
from zppo.pocket.curriculum import (
    cosine,
    growing,
    student_batch,
    teach_student,
    teach_teachers,
    teacher_batch,
)
from zppo.pocket.examples import (
    Example,
    Lesson,
    bcq_example,
    half_known,
    hint_example,
    ncq_example,
    plain_example,
    repeat_example,
    withheld_facts,
    wrong_derivation,
)
from zppo.pocket.models import make_student
from zppo.pocket.task import Chain, Operation, draw_chain, make_questions
from zppo.pocket.tokenizer import make_tokenizer
from zppo.pocket.training import Trainer

TOKENIZER = make_tokenizer()
RANDOMS = st.integers(0, 2**31).map(Random)
TRUE = Lesson(accuracy=1.0, longest=4)


def trainer(seed: int = 0) -> Trainer:
    return Trainer(make_student(TOKENIZER, seed), TOKENIZER)


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


@given(random=RANDOMS)
def test_a_wrong_derivation_has_a_wrong_answer(random: Random) -> None:
    chain = draw_chain(3, random)
    assert wrong_derivation(chain, random).answer != chain.derive().answer


@given(random=RANDOMS)
def test_a_sure_demonstrator_is_right_about_every_kind_of_prompt(random: Random) -> None:
    for make in (plain_example, bcq_example):
        example = make(TRUE, random)
        question = example.prompt.splitlines()[0]
        start, *operations = question.removeprefix("start ").removesuffix(" mod 19").split()
        value = int(start)
        for operation in operations:
            value = Operation(operation[0], int(operation[1:])).apply(value)
        assert last_boxed(example.response) == str(value)


@given(random=RANDOMS)
def test_an_ncq_is_never_answered_with_a_listed_answer(random: Random) -> None:
    example = ncq_example(Lesson(accuracy=0.5), random)
    listed = example.prompt.splitlines()[1]
    assert f"\\boxed{{{last_boxed(example.response)}}}" not in listed.replace(",", " ").split()


@given(random=RANDOMS)
def test_a_bcq_is_answered_with_one_of_its_candidates(random: Random) -> None:
    example = bcq_example(Lesson(accuracy=0.0), random)
    assert example.response.replace("<think> ", "").replace(" </think>", "") in example.prompt


def test_withheld_facts_are_right_by_chance_only() -> None:
    random = Random(0)
    withheld = withheld_facts(0.5, random)
    fact = half_known(Lesson(accuracy=1.0, withheld=withheld), random)
    right = [fact(*step) == step[1].apply(step[0]) for step in sorted(withheld, key=str) for _ in range(200)]
    assert 0.03 < sum(right) / len(right) < 0.08
    assert fact(3, Operation("+", 4)) == 7


def test_a_repetition_is_its_own_answer() -> None:
    example = repeat_example(Random(0))
    assert example.prompt == example.response


@pytest.mark.parametrize("longest", [6, 7])
def test_chains_grow_from_three_operations_to_the_longest(longest: int) -> None:
    lesson = Lesson(accuracy=0.1, longest=longest)
    lengths = [growing(lesson, done / 10).longest for done in range(15)]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[9], lengths[10], lengths[-1]) == (3, longest - 1, longest, longest)


@given(random=RANDOMS)
def test_a_hint_is_how_the_response_begins(random: Random) -> None:
    example = hint_example(Lesson(accuracy=0.5), random)
    hint = example.prompt.split("<hint>")[1].split("</hint>")[0].strip()
    assert example.response.startswith(f"<think> {hint} ")


def test_a_demonstrator_that_does_not_judge_repeats_either_candidate() -> None:
    random = Random(0)
    for judges, low, high in ((True, 1.0, 1.0), (False, 0.25, 0.45)):
        lesson = Lesson(accuracy=1.0, judges=judges)
        right = [_is_right(bcq_example(lesson, random)) for _ in range(400)]
        assert low <= sum(right) / len(right) <= high


def _is_right(example: Example) -> bool:
    return last_boxed(example.response) == Chain.read(example.prompt.splitlines()[0]).derive().answer


def test_all_kinds_of_prompts_are_taught() -> None:
    student = " ".join(example.prompt for example in student_batch(TRUE, Random(0)))
    teacher = " ".join(example.prompt for example in teacher_batch(TRUE, Random(0)))
    assert all(words in student for words in ("a hint to help", "one correct", "all wrong"))
    assert all(words in teacher for words in ("write a summary", "write a hint"))


def test_the_loss_does_not_depend_on_the_order_of_the_examples() -> None:
    examples = student_batch(TRUE, Random(0))
    forward, backward = trainer(), trainer()
    assert forward.step(examples, 1e-3) == pytest.approx(backward.step(examples[::-1], 1e-3), rel=1e-5)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = trainer(), trainer()
    for one in (first, second):
        random = Random(0)
        for _ in range(2):
            one.step(student_batch(TRUE, random), 1e-3)
    assert torch.equal(weights(first), weights(second))


def test_training_lowers_the_loss() -> None:
    one, random = trainer(), Random(0)
    losses = [one.step([plain_example(TRUE, random) for _ in range(16)], 3e-3) for _ in range(20)]
    assert losses[-1] < 0.7 * losses[0]


def test_a_state_can_be_restored_more_than_once() -> None:
    one, examples = trainer(), [plain_example(TRUE, Random(seed)) for seed in range(4)]
    one.step(examples, 1e-3)
    state = one.state()
    one.step(examples, 1e-3)
    after = weights(one)
    for _ in range(2):
        one.restore(state)
        one.step(examples, 1e-3)
        assert torch.equal(weights(one), after)


def test_a_learning_rate_rises_and_falls() -> None:
    rates = [cosine(1.0, update, 100) for update in range(100)]
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert max(rates) <= 1.0


def test_a_student_that_never_reaches_the_window_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curriculum, "STRUCTURE_UPDATES", 1)
    monkeypatch.setattr(curriculum, "MOST_FACT_UPDATES", curriculum.CHECK_EVERY)
    with pytest.raises(InputError, match="use another seed"):
        teach_student(TOKENIZER, 0, list(make_questions(4, (3,), 0)), lambda line: None, judges=True)


def test_the_teachers_are_three_states_of_one_training(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STRUCTURE_UPDATES", "MASTERY_UPDATES", "CHECK_EVERY"):
        monkeypatch.setattr(curriculum, name, 1)
    for name in ("WEAK", "MIDDLE"):
        monkeypatch.setattr(curriculum, name, (0.0, 1.0))
    teachers = teach_teachers(TOKENIZER, 0, list(make_questions(4, (3,), 0)), lambda line: None)
    three = (teachers.weak, teachers.middle, teachers.best)
    assert [taught.updates for taught in three] == [2, 3, 4]
    assert len({taught.model.lm_head.weight.sum().item() for taught in three}) == 3
