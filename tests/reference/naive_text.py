"""Prompts of the naive step, and the text forms that it compares."""

import re
from pathlib import Path

from tests.reference.naive_values import NaiveGroup, Response
from tests.reference.world import World

TEMPLATES = Path(__file__).parents[2] / "zppo" / "templates" / "general"


def name(world: World, question: str, slot: str) -> str:
    """The id of a group."""
    return f"r{world.round}/{question}/{slot}"


def question_text(question: str) -> str:
    """What every question of a world asks."""
    return f"What is {question} for ${{x}} ?"


def plain(world: World, question: str, kind: str = "plain", slot: str = "plain") -> NaiveGroup:
    """The question alone."""
    text = fill("plain", question=question_text(question))
    return NaiveGroup(name(world, question, slot), question, kind, text)


def hinted(world: World, question: str, response: Response) -> NaiveGroup:
    """The question with the hint of a teacher response."""
    assert response.hint is not None
    hint = inert(response.hint)
    text = fill("hint", question=question_text(question), hint=hint)
    return NaiveGroup(
        name(world, question, "hint"), question, "hint", text, hint=hint, origin=response.origin
    )


def continued(world: World, question: str, response: Response) -> NaiveGroup:
    """The question with the first words of a teacher response."""
    words = response.text.split()
    count = round(world.profile.prefix_fraction * 1000) * len(words) // 1000
    group = plain(world, question, "prefix", "prefix")
    group.prefix, group.origin = words[:count], response.origin
    return group


def reformulated(
    world: World, question: str, kind: str, candidates: list[Response], some_vanished: bool
) -> NaiveGroup:
    """The question with candidates."""
    some_failed = some_vanished or any(each.text in world.unshortenable for each in candidates)
    way = "extractive" if some_failed else "teacher"
    blocks = []
    for each in candidates:
        words = [way, *each.text.split(" ")[:4]]
        if each.answer is not None:
            words.append("\\boxed{" + each.answer + "}")
        blocks.append("<candidate>\n" + inert(" ".join(words)) + "\n</candidate>")
    listed: list[str] = []
    if kind == "ncq":
        for each in candidates:
            if each.answer is not None and form(each.answer) not in [form(other) for other in listed]:
                listed.append(each.answer)
    boxes = ", ".join("\\boxed{" + inert(answer) + "}" for answer in listed)
    text = fill(
        kind,
        question=question_text(question),
        candidates="\n".join(blocks),
        wrong_answers=boxes or template("no_answers"),
    )
    return NaiveGroup(
        name(world, question, kind),
        question,
        kind,
        text,
        shown=[each.origin for each in candidates],
        listed=[inert(each) for each in listed],
    )


def form(answer: str) -> str:
    """How boxed strings are compared."""
    return " ".join(re.sub(r"\\text\{([^{}]*)\}", r"\1", answer).lower().split())


def inert(text: str) -> str:
    """Without the markup that the worlds' texts hold."""
    for marked in ("</candidate>", "</hint>", "<|im_end|>", "<eos2>"):
        text = text.replace(marked, "‹" + marked[1:-1] + "›")
    return text


def fill(kind: str, **values: str) -> str:
    """A template with its values; what they hold is not looked at."""
    values["closing"] = template("closing")
    parts = re.split(r"\$(question|candidates|wrong_answers|hint|closing)", template(kind))
    return "".join(values[part] if number % 2 else part for number, part in enumerate(parts))


def template(stem: str) -> str:
    """The file, without its last line break."""
    return (TEMPLATES / f"{stem}.txt").read_text(encoding="utf-8").rstrip("\n")
