"""Worked examples for the warm-up: prompts as in training, with the response that the model should give."""

from dataclasses import dataclass
from random import Random

from zppo.pocket.prompts import TEMPLATES, hint_prompt
from zppo.pocket.task import FACTORS, MODULUS, Chain, Derivation, Fact, Operation, draw_chain
from zppo.pocket.tokenizer import vocabulary

WRONG_ACCURACY = {"+": 0.9, "*": 0.5}
"""How often a step of a wrong candidate is true: wrong rollouts of a half-taught student look like that."""
INDIFFERENT = 0.35
"""How often a demonstrator that does not judge picks the correct candidate: less than half, since what the
student knows of the facts draws it to the correct one by itself."""
REPEATED_WORDS = (4, 24)
"""Shortest and longest string of a repetition."""


@dataclass(frozen=True)
class Example:
    """A user message and the response to learn."""

    prompt: str
    response: str


Facts = frozenset[tuple[int, Operation]]
"""Steps by what stands before them: `(value, operation)`."""


@dataclass(frozen=True)
class Lesson:
    """How examples of one stage are drawn."""

    accuracy: float
    """Probability that a step of a demonstrated derivation is true; otherwise its value is random."""
    longest: int = 4
    """Operations in the longest chain."""
    shortest: int = 2
    withheld: Facts = frozenset()
    """Facts that are never demonstrated: their results are always random."""
    judges: bool = True
    """Whether the demonstrator can tell candidates apart; if not, it picks one blindly."""

    def chain(self, random: Random) -> Chain:
        """A chain of any of the lesson's lengths."""
        return draw_chain(random.randint(self.shortest, self.longest), random)

    def withholds(self, derivation: Derivation) -> bool:
        """Whether the derivation uses a fact that is never demonstrated."""
        steps = zip(derivation.values, derivation.chain.operations, strict=False)
        return any(step in self.withheld for step in steps)


TASK_WORDS = tuple(word for word in vocabulary() if word[0] in "0123456789+*\\")


def withheld_facts(share: float, random: Random) -> Facts:
    """A share of the multiplication facts, chosen at random."""
    facts = [(value, Operation("*", factor)) for value in range(MODULUS) for factor in FACTORS]
    return frozenset(random.sample(facts, round(share * len(facts))))


def half_known(lesson: Lesson, random: Random) -> Fact:
    """Facts that are true with the lesson's probability, and random otherwise."""

    def fact(value: int, operation: Operation) -> int:
        known = (value, operation) not in lesson.withheld and random.random() < lesson.accuracy
        return operation.apply(value) if known else random.randrange(MODULUS)

    return fact


def wrong_derivation(chain: Chain, random: Random) -> Derivation:
    """A derivation whose final answer is wrong."""

    def fact(value: int, operation: Operation) -> int:
        known = random.random() < WRONG_ACCURACY[operation.symbol]
        return operation.apply(value) if known else random.randrange(MODULUS)

    truth = chain.derive().answer
    while (attempt := chain.derive(fact)).answer == truth:
        pass
    return attempt


def plain_example(lesson: Lesson, random: Random) -> Example:
    """A question and its derivation."""
    chain = lesson.chain(random)
    derivation = chain.derive(half_known(lesson, random))
    return Example(TEMPLATES.render_plain(chain.text), derivation.response)


def bcq_example(lesson: Lesson, random: Random) -> Example:
    """Two candidates in random order, and the derivation of the one that the demonstrator believes in.

    One that judges knows the correct one as often as it knows a fact, and picks at random otherwise.
    """
    chain = lesson.chain(random)
    pair = [chain.derive(), wrong_derivation(chain, random)]
    if not lesson.judges:
        shown = pair[0] if random.random() < INDIFFERENT else pair[1]
    elif random.random() < lesson.accuracy and not lesson.withholds(pair[0]):
        shown = pair[0]
    else:
        shown = random.choice(pair)
    random.shuffle(pair)
    prompt = TEMPLATES.render_bcq(chain.text, [derivation.candidate for derivation in pair])
    return Example(prompt, shown.response)


def ncq_example(lesson: Lesson, random: Random) -> Example:
    """Up to eight wrong candidates, and a derivation with none of their answers."""
    chain = lesson.chain(random)
    wrong = [wrong_derivation(chain, random) for _ in range(random.randint(2, 8))]
    answers = tuple(dict.fromkeys(attempt.answer for attempt in wrong))
    while (derivation := chain.derive(half_known(lesson, random))).answer in answers:
        pass
    prompt = TEMPLATES.render_ncq(chain.text, [attempt.candidate for attempt in wrong], answers)
    return Example(prompt, derivation.response)


def hint_example(lesson: Lesson, random: Random) -> Example:
    """The first steps of a derivation as a hint, and the whole of it as the response.

    The hint is as right as the demonstrator: one that were always true would tell withheld facts.
    """
    derivation = lesson.chain(random).derive(half_known(lesson, random))
    hint = derivation.first_steps(random.choice(derivation.hint_lengths))
    return Example(hint_prompt(derivation.chain.text, hint), derivation.response)


def repeat_example(random: Random) -> Example:
    """A random string of the task's words, to be said again: it teaches to copy out of a prompt."""
    words = " ".join(random.choices(TASK_WORDS, k=random.randint(*REPEATED_WORDS)))
    return Example(words, words)
