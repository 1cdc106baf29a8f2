from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zppo.core.answers import last_boxed
from zppo.errors import InputError
from zppo.pocket import curriculum
from zppo.pocket.curriculum import cosine, mixed_batch, structure_batch, teach_student
from zppo.pocket.examples import (
    Lesson,
    bcq_example,
    half_known,
    ncq_example,
    plain_example,
    repeat_example,
    withheld_facts,
    wrong_derivation,
)
from zppo.pocket.models import make_student
from zppo.pocket.task import Operation, draw_chain, make_questions
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


def test_chains_grow_and_repetitions_end_in_the_structure_stage() -> None:
    first, last = (structure_batch(update, frozenset(), Random(0)) for update in (0, 10**6))
    assert len(first) - len(last) == 16
    assert max(len(example.response.split()) for example in last) > 2 * 4 + 5


def test_the_loss_does_not_depend_on_the_order_of_the_examples() -> None:
    examples = mixed_batch(TRUE, Random(0))
    forward, backward = trainer(), trainer()
    assert forward.step(examples, 1e-3) == pytest.approx(backward.step(examples[::-1], 1e-3), rel=1e-5)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = trainer(), trainer()
    for one in (first, second):
        random = Random(0)
        for _ in range(2):
            one.step(mixed_batch(TRUE, random), 1e-3)
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
        teach_student(TOKENIZER, 0, list(make_questions(4, (3,), 0)), report=lambda line: None)
