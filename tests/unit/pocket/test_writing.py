from random import Random

from hypothesis import given
from hypothesis import strategies as st

from zppo.core.answers import last_boxed
from zppo.pocket.examples import Lesson
from zppo.pocket.writing import summary_example, write_hint_example

RANDOMS = st.integers(0, 2**31).map(Random)
LESSON = Lesson(accuracy=1.0, shortest=1, longest=7)


@given(random=RANDOMS)
def test_a_summary_repeats_the_response_and_keeps_its_box(random: Random) -> None:
    example = summary_example(LESSON, random)
    shown = example.prompt.split("<response>")[1].split("</response>")[0]
    summary = example.response.removeprefix("<summary> ").removesuffix(" </summary>")
    assert last_boxed(summary) == last_boxed(shown)
    assert len(summary.split()) <= len(shown.split())
    assert "think" not in summary


@given(random=RANDOMS)
def test_a_written_hint_is_how_the_response_begins_and_holds_no_box(random: Random) -> None:
    example = write_hint_example(LESSON, random)
    hint = example.response.removeprefix("<hint> ").removesuffix(" </hint>")
    assert f"‹think› {hint} " in example.prompt
    assert "boxed" not in hint
    assert hint.split()[0] == example.prompt.split()[1]


def test_most_summarised_responses_are_derivations_and_some_have_no_box() -> None:
    random = Random(0)
    examples = [summary_example(LESSON, random) for _ in range(400)]
    boxes = [last_boxed(example.response) for example in examples]
    assert 0.85 < sum(box is not None for box in boxes) / len(boxes) < 0.99
