from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zppo.core.answers import last_boxed
from zppo.pocket.measure import (
    GROUP,
    PlainGroup,
    Sampler,
    is_answer_free,
    is_hintable,
    is_true_prefix,
    mean_accuracy,
    measure_writing,
    pair_up,
    read_candidates,
    true_hint,
)
from zppo.pocket.models import HEAD_SIZE, make_student
from zppo.pocket.prompts import candidate_text
from zppo.pocket.task import PocketQuestion, make_questions
from zppo.pocket.tokenizer import make_tokenizer

TOKENIZER = make_tokenizer()
QUESTION = next(make_questions(1, (3,), 0))
RIGHT = QUESTION.reference_solution
WRONG = "<think> 1 +1 3 </think> \\boxed{18}"


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return Sampler(make_student(TOKENIZER, seed=0), TOKENIZER)


def test_the_same_seed_gives_the_same_responses(sampler: Sampler) -> None:
    first, again = (sampler.sample(["start 3 +1 mod 19"], 4, seed=7) for _ in range(2))
    assert first == again
    assert first != sampler.sample(["start 3 +1 mod 19"], 4, seed=8)


def test_sampling_leaves_the_global_generator_alone(sampler: Sampler) -> None:
    before = torch.get_rng_state()
    sampler.sample(["start 3 +1 mod 19"], 2, seed=7)
    assert torch.equal(before, torch.get_rng_state())


def test_each_prompt_gets_its_own_group(sampler: Sampler) -> None:
    groups = sampler.sample(["start 3", "start 4 +1 mod 19"], 3, seed=0)
    assert [len(group) for group in groups] == [3, 3]


@given(right=st.integers(0, 8))
def test_the_accuracy_of_a_group_is_its_share_of_right_answers(right: int) -> None:
    group = PlainGroup(QUESTION, (RIGHT,) * right + (WRONG,) * (8 - right))
    assert group.accuracy == right / 8
    assert group.wrong == (WRONG,) * (8 - right)


def test_a_candidate_is_the_steps_and_the_boxed_answer() -> None:
    assert candidate_text("<think> 9 +6 15 *2 11 </think> \\boxed{11}") == "9 +6 15 *2 11 \\boxed{11}"
    assert candidate_text("9 +6 15 </candidate>") == "9 +6 15 ‹/candidate›"


@given(seed=st.integers(0, 1000))
def test_a_pair_holds_one_right_and_one_wrong_candidate(seed: int) -> None:
    pair = pair_up(PlainGroup(QUESTION, (RIGHT, WRONG)), Random(seed))
    assert last_boxed(pair.correct) == QUESTION.answer != last_boxed(pair.wrong)
    assert (pair.prompt.index(pair.correct) < pair.prompt.index(pair.wrong)) == pair.correct_first


def test_the_order_of_candidates_is_unbiased() -> None:
    random = Random(0)
    pairs = [pair_up(PlainGroup(QUESTION, (WRONG,)), random) for _ in range(1000)]
    assert 450 < sum(pair.correct_first for pair in pairs) < 550


def test_only_hard_questions_are_shown_with_candidates(sampler: Sampler) -> None:
    groups = [PlainGroup(QUESTION, (RIGHT,) * GROUP), PlainGroup(QUESTION, (WRONG,) * GROUP)]
    reading = read_candidates(sampler, groups, seed=0)
    assert reading.questions == 1
    assert reading.plain_accuracy == 0.0
    assert mean_accuracy(groups) == 0.5


SIX = PocketQuestion(
    "start 9 +6 *2 +2 mod 19", "13", "<think> 9 +6 15 *2 11 +2 13 </think> \\boxed{13}", "k=3"
)


@pytest.mark.parametrize(
    ("hint", "free", "prefix"),
    [
        ("<hint> 9 +6 15 </hint>", True, True),
        ("<hint> 9 +6 15 *2 11 </hint>", True, True),
        ("<hint> 9 +6 15 *2 11 +2 13 </hint>", False, False),
        ("<hint> 9 +6 15 *2 12 </hint>", True, False),
        ("<hint> 9 </hint>", True, False),
        ("<hint> </hint>", True, False),
        ("9 +6 15", True, False),
        ("<hint> 9 +6 15 \\boxed{13} </hint>", False, False),
    ],
)
def test_a_hint_is_held_against_the_answer_and_the_derivation(hint: str, free: bool, prefix: bool) -> None:
    assert is_answer_free(hint, SIX) == free
    assert is_true_prefix(hint, SIX) == prefix


@given(question=st.sampled_from(list(make_questions(200, (3, 4), 0))), seed=st.integers(0, 9))
def test_a_true_hint_is_a_prefix_and_without_the_answer_where_it_can_be(
    question: PocketQuestion, seed: int
) -> None:
    hint = f"<hint> {true_hint(question, Random(seed))} </hint>"
    assert is_true_prefix(hint, question)
    assert is_answer_free(hint, question) == is_hintable(question)


def test_a_teacher_with_random_weights_writes_nothing_of_use(sampler: Sampler) -> None:
    writing = measure_writing(sampler, [PlainGroup(QUESTION, (RIGHT, WRONG))], seed=0)
    assert writing.faithful_right == writing.faithful_wrong == writing.true_prefix == 0.0


def test_the_first_head_of_a_new_model_looks_one_token_back() -> None:
    model = make_student(TOKENIZER, seed=3)
    model.set_attn_implementation("eager")
    ids = torch.tensor([TOKENIZER("start 3 +4 *5 +3 *2 mod 19 think , then box the answer")["input_ids"]])
    attention = model(ids, output_attentions=True).attentions[0][0, 0]
    assert attention.diagonal(offset=-1).min() > 0.9
    assert model.config.head_dim == HEAD_SIZE
