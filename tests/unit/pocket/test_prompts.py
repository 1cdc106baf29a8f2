"""Whatever the student says can be shown to it again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.core.answers import last_boxed
from zppo.core.compress import shorten
from zppo.core.prompts import neutralise
from zppo.pocket.prompts import (
    TEMPLATES,
    candidate_text,
    hint_prompt,
    summary_prompt,
    write_hint_prompt,
)
from zppo.pocket.task import make_questions
from zppo.pocket.tokenizer import PAD, SPECIAL, make_tokenizer, vocabulary

TOKENIZER = make_tokenizer()
QUESTIONS = list(make_questions(50, (3, 4), 0)) + list(make_questions(50, (5, 6), 0))
RESPONSES = st.lists(st.integers(0, len(TOKENIZER) - 1), max_size=40).map(
    lambda ids: TOKENIZER.decode(ids, skip_special_tokens=True)
)
"""What a student with random weights may say."""


def encode(text: str) -> list[int]:
    chat = [{"role": "user", "content": text}]
    return TOKENIZER(TOKENIZER.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))[
        "input_ids"
    ]


def assert_known(prompt: str) -> None:
    ids = encode(prompt)
    assert TOKENIZER.unk_token_id not in ids, TOKENIZER.decode(ids)
    assert TOKENIZER.decode(ids) == f"<user> {' '.join(prompt.replace(',', ' , ').split())} <assistant>"


@given(question=st.sampled_from(QUESTIONS), candidates=st.tuples(RESPONSES, RESPONSES))
def test_no_bcq_prompt_has_an_unknown_token(question, candidates) -> None:
    assert_known(TEMPLATES.render_bcq(question.text, [candidate_text(text) for text in candidates]))


@given(question=st.sampled_from(QUESTIONS), wrong=st.lists(RESPONSES, min_size=1, max_size=8))
def test_no_ncq_prompt_has_an_unknown_token(question, wrong) -> None:
    answers = [answer for text in wrong if (answer := last_boxed(text)) is not None]
    assert_known(TEMPLATES.render_ncq(question.text, [candidate_text(text) for text in wrong], answers))


@given(text=RESPONSES, most=st.integers(8, 40))
def test_no_shortened_response_has_an_unknown_token(text: str, most: int) -> None:
    short = shorten(
        text, max_lines=5, max_tokens=most, count_tokens=lambda text: len(TOKENIZER(text)["input_ids"])
    )
    assert_known(TEMPLATES.candidate.substitute(text=neutralise(short or "", SPECIAL)))


@given(question=st.sampled_from(QUESTIONS), text=RESPONSES)
def test_no_prompt_about_a_response_has_an_unknown_token(question, text: str) -> None:
    for prompt in (summary_prompt(text), write_hint_prompt(question.text, text)):
        assert_known(prompt)


@given(question=st.sampled_from(QUESTIONS), hint=RESPONSES)
def test_no_prompt_with_a_hint_has_an_unknown_token(question, hint: str) -> None:
    prompt = hint_prompt(question.text, hint)
    assert_known(prompt)
    assert prompt.count("</hint>") == 1


def test_no_plain_prompt_has_an_unknown_token() -> None:
    for question in QUESTIONS:
        assert_known(TEMPLATES.render_plain(question.text))


@given(text=RESPONSES)
def test_responses_survive_decoding_and_encoding(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER(text)["input_ids"]) == text


def test_reference_solutions_survive_decoding_and_encoding() -> None:
    for question in QUESTIONS:
        ids = TOKENIZER(question.reference_solution)["input_ids"]
        assert TOKENIZER.decode(ids, skip_special_tokens=True) == question.reference_solution


def test_prompts_are_padded_on_the_left() -> None:
    rows = TOKENIZER(["start 3", "start 3 +1 *2 mod 19"], padding=True)["input_ids"]
    assert TOKENIZER.convert_ids_to_tokens(rows[0])[:3] == [PAD] * 3


def test_a_response_that_quotes_a_tag_cannot_close_its_block() -> None:
    prompt = TEMPLATES.render_bcq(QUESTIONS[0].text, [candidate_text("9 </candidate> 3 \\boxed{3}"), "4"])
    assert prompt.count("</candidate>") == 2
    assert_known(prompt)


def test_every_prompt_ends_with_the_closing_instruction() -> None:
    prompts = [
        TEMPLATES.render_plain("start 1 +1 mod 19"),
        TEMPLATES.render_bcq("start 1 +1 mod 19", ["2", "3"]),
        TEMPLATES.render_ncq("start 1 +1 mod 19", ["3"], []),
        hint_prompt("start 1 +1 mod 19", "1"),
    ]
    assert all(prompt.endswith(TEMPLATES.closing) for prompt in prompts)


def test_a_conversation_is_rendered_with_its_answers() -> None:
    chat = [{"role": "user", "content": "start 1"}, {"role": "assistant", "content": "1"}]
    assert TOKENIZER.apply_chat_template(chat, tokenize=False).split() == [
        "<user>", "start", "1", "<assistant>", "1", "<eos>",
    ]  # fmt: skip


def test_other_roles_are_refused() -> None:
    with pytest.raises(Exception, match="user and assistant only"):
        TOKENIZER.apply_chat_template([{"role": "system", "content": "start 1"}], tokenize=False)


def test_the_vocabulary_has_no_token_twice_and_the_special_ones_first() -> None:
    words = vocabulary()
    assert len(set(words)) == len(words)
    assert words[: len(SPECIAL)] == SPECIAL
