"""Worked examples of what the teacher writes about responses: summaries and hints."""

from random import Random

from zppo.core.answers import boxed
from zppo.pocket.examples import REPEATED_WORDS, TASK_WORDS, Example, Lesson, half_known
from zppo.pocket.prompts import candidate_text, summary_prompt, write_hint_prompt
from zppo.pocket.task import MODULUS, Derivation, draw_chain

RANDOM_RESPONSES = 0.25
"""Share of the summarised responses that are random words: they can only be copied."""
CUT_RESPONSES = 0.1
"""Share of them that end early, mostly before their box."""


def summary_example(lesson: Lesson, random: Random) -> Example:
    """A response, right or wrong, and its summary: what shortening makes of it."""
    response = _response(lesson, random)
    return Example(summary_prompt(response), f"<summary> {candidate_text(response)} </summary>")


def write_hint_example(lesson: Lesson, random: Random) -> Example:
    """A question, a response to it, right or wrong, and a hint: the first steps of the response."""
    derivation = _derivation(lesson, random)
    hint = derivation.first_steps(random.choice(derivation.hint_lengths))
    prompt = write_hint_prompt(derivation.chain.text, derivation.response)
    return Example(prompt, f"<hint> {hint} </hint>")


def _derivation(lesson: Lesson, random: Random) -> Derivation:
    """Of two operations or more, with any share of its steps true."""
    chain = draw_chain(random.randint(max(2, lesson.shortest), lesson.longest), random)
    return chain.derive(half_known(Lesson(accuracy=random.random()), random))


def _response(lesson: Lesson, random: Random) -> str:
    if random.random() < RANDOM_RESPONSES:
        steps = " ".join(random.choices(TASK_WORDS, k=random.randint(*REPEATED_WORDS)))
        return f"<think> {steps} </think> {boxed(str(random.randrange(MODULUS)))}"
    response = _derivation(lesson, random).response
    if random.random() < CUT_RESPONSES:
        words = response.split()
        return " ".join(words[: random.randint(2, len(words) - 1)])
    return response
