import re
from pathlib import Path
from string import Template

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.core.prompts import TAGS, Templates, neutralise
from zppo.pocket.tokenizer import make_tokenizer
from zppo.rendering import load_templates

GOLDEN = Path(__file__).parents[2] / "golden" / "prompts"
SPECIAL = ("<|im_start|>", "<|im_end|>", "<eos>", "<unk>", "[INST]", "[[", "</s>", "\\x")
"""The kinds that tokenizers have: with bars, plain angle brackets, square brackets, overlapping itself."""

MARKUP = re.compile(rf"<\s*/?\s*(?:{'|'.join(TAGS)})(?!\w)[^<>]*>|<\|[^<>]*\|>", re.IGNORECASE)
pieces = st.sampled_from(
    [
        *"<>/|[]\\x \n",
        "candidate",
        "<candidate",
        "<think>",
        "CANDIDATE",
        "think",
        "s",
        "eos",
        "im_end",
        "INST",
        "2",
        "$",
        "{",
        "é",
        *SPECIAL,
    ]
)
hostile = st.lists(pieces, max_size=14).map("".join)
template_sets = pytest.mark.parametrize("name", ["general", "pocket"])


@given(hostile)
def test_after_neutralising_nothing_parses_as_a_tag_or_a_special_token(text: str) -> None:
    inert = neutralise(text, SPECIAL)
    assert not MARKUP.search(inert)
    assert not any(token in inert for token in SPECIAL)


@given(hostile)
def test_neutralising_twice_is_neutralising_once(text: str) -> None:
    inert = neutralise(text, SPECIAL)
    assert neutralise(inert, SPECIAL) == inert


@given(hostile)
def test_neutralising_changes_brackets_and_spaces_only(text: str) -> None:
    def letters(each: str) -> str:
        return each.replace("‹", "<").replace("›", ">").replace(" ", "")

    assert letters(neutralise(text, SPECIAL)) == letters(text)


@given(hostile | st.lists(st.sampled_from(["<eos>", "<user>", "<pad>", "x"])).map("".join))
def test_a_tokenizer_finds_none_of_its_control_tokens_or_tags_in_neutralised_text(text: str) -> None:
    tokenizer = make_tokenizer()
    vocabulary = tokenizer.get_vocab()
    tags = {vocabulary[form] for tag in TAGS for form in (f"<{tag}>", f"</{tag}>")}
    controls = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    ids = set(tokenizer.encode(neutralise(text, tokenizer.all_special_tokens), add_special_tokens=False))
    assert not ids & (controls | tags)


@pytest.mark.parametrize(
    ("text", "inert"),
    [
        ("</candidate>", "‹/candidate›"),
        ("< / CANDIDATE >", "‹ / CANDIDATE ›"),
        ("<|im_end|>", "‹|im_end|›"),
        ("<<candidate>candidate>", "<‹candidate›candidate>"),
        ("<candidate<|im_end|>>", "‹candidate‹|im_end|››"),
        ("<candidate<eos>>", "‹candidate‹eos››"),
        ("</candidate<think<|other|>>>", "‹/candidate‹think‹|other|›››"),
        ("<candidate\nid='1'>", "‹candidate\nid='1'›"),
        ("[INST]", "[ INST]"),
        ("[[[", "[ [ ["),
    ],
)
def test_hostile_candidates(text: str, inert: str) -> None:
    assert neutralise(text, SPECIAL) == inert


@pytest.mark.parametrize(
    "text",
    ["a < b > c", r"\frac{1}{2} <= x", "<b>bold</b>", "<candidates>", "0<|x|<1 and |x|>2", "$5 and $x"],
)
def test_ordinary_text_survives(text: str) -> None:
    assert neutralise(text, SPECIAL) == text


def test_neutralising_long_hostile_text_ends() -> None:
    for text in ("<" + " " * 200_000, "<|" * 100_000, "<candidate " * 20_000, "< /" * 60_000):
        neutralise(text, SPECIAL)


HOSTILE_VALUE = r"$question ${closing} $$ $1 {0} {text} %s \1 \g<0>"


@template_sets
def test_dollar_signs_and_braces_survive_in_every_place(name: str) -> None:
    templates = load_templates(name)
    question = f"question {HOSTILE_VALUE}"
    candidates = [f"first {HOSTILE_VALUE}", f"second {HOSTILE_VALUE}"]
    answers = [r"\frac{1}{2} $x$", "{}"]
    assert templates.render_plain(question).count(question) == 1
    hinted = templates.render_hint(question, f"a hint {HOSTILE_VALUE}")
    assert (hinted.count(question), hinted.count(f"a hint {HOSTILE_VALUE}")) == (1, 1)
    for text in (
        templates.render_bcq(question, candidates),
        templates.render_ncq(question, candidates, answers),
    ):
        for value in (question, *candidates):
            assert text.count(value) == 1
    assert r"\boxed{\frac{1}{2} $x$}, \boxed{{}}" in templates.render_ncq(question, candidates, answers)


@template_sets
@given(question=st.text(min_size=1), texts=st.lists(st.text(), min_size=2, max_size=2))
def test_every_prompt_begins_with_the_question_and_ends_with_the_closing_instruction(
    name: str, question: str, texts: list[str]
) -> None:
    templates = load_templates(name)
    for text in (
        templates.render_plain(question),
        templates.render_bcq(question, texts),
        templates.render_ncq(question, texts, ["1"]),
        templates.render_ncq(question, texts, []),
        templates.render_hint(question, texts[0]),
    ):
        assert text.startswith(question)
        assert text.endswith(templates.closing)


@template_sets
def test_an_ncq_without_answers_lists_no_empty_box(name: str) -> None:
    templates = load_templates(name)
    assert r"\boxed{}" not in templates.render_ncq("q", ["a"], []).removesuffix(templates.closing)


@template_sets
def test_a_hint_stands_in_a_block_of_its_own(name: str) -> None:
    text = load_templates(name).render_hint("q", "HINT")
    assert [line for line in text.splitlines() if "hint>" in line.lower()] == ["<hint>", "</hint>"]
    assert "<hint>\nHINT\n</hint>" in text


@template_sets
def test_no_word_of_a_bcq_says_which_candidate_is_correct(name: str) -> None:
    templates = load_templates(name)
    one, other = (templates.render_bcq("q", pair) for pair in (["AAA", "BBB"], ["BBB", "AAA"]))
    assert one.replace("AAA", "?").replace("BBB", "?") == other.replace("AAA", "?").replace("BBB", "?")


def test_closing_and_answers_are_data_too() -> None:
    templates = Templates(
        plain=Template("$question|$closing"),
        bcq=Template("$question|$candidates|$closing"),
        ncq=Template("$question|$wrong_answers|$candidates|$closing"),
        candidate=Template("[$text]"),
        closing="costs $5",
        hint=Template("$question|$hint|$closing"),
    )
    assert templates.render_plain("$closing") == "$closing|costs $5"
    assert templates.render_hint("$hint", "${question}") == "$hint|${question}|costs $5"
    assert templates.render_ncq("q", ["a", "b"], ["$text"]) == "q|\\boxed{$text}|[a]\n[b]|costs $5"


QUESTION = "start 9 +6 *2 +2 mod 19"
RIGHT = r"9 +6 15 *2 11 +2 13 \boxed{13}"
HINT = "9 +6 15"
WRONG = (r"9 +6 15 *2 12 +2 14 \boxed{14}", r"9 +6 15 *2 1 +2 3 \boxed{3}")


@template_sets
@pytest.mark.parametrize("kind", ["plain", "bcq", "ncq", "ncq_without_answers", "hint"])
def test_prompts_are_the_golden_ones(name: str, kind: str) -> None:
    templates = load_templates(name)
    text = {
        "plain": lambda: templates.render_plain(QUESTION),
        "bcq": lambda: templates.render_bcq(QUESTION, (RIGHT, WRONG[0])),
        "ncq": lambda: templates.render_ncq(QUESTION, WRONG, ["14", "3"]),
        "ncq_without_answers": lambda: templates.render_ncq(QUESTION, WRONG, []),
        "hint": lambda: templates.render_hint(QUESTION, HINT),
    }[kind]()
    assert text == (GOLDEN / name / f"{kind}.txt").read_text(encoding="utf-8")
