"""BCQ and NCQ: which responses a reformulated prompt of a hard question shows, and how.

A plan names the originals; a prompt is rendered from it once the originals are shortened, all of one
prompt in the same way, so that neither length nor style tells the teacher's from the student's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from schemas.question import Question
from schemas.rollout import (
    Author,
    Candidate,
    Compression,
    Group,
    Prompt,
    PromptKind,
    Provenance,
    Rollout,
)
from zppo.core.answers import normalise_boxed
from zppo.core.prompts import Templates, neutralise
from zppo.core.values import Original, TeacherResponse


@dataclass(frozen=True)
class Source:
    """A response chosen as candidate, not shortened yet."""

    text: str
    answer: str | None
    author: Author
    correct: bool
    origin: str
    summary: str | None = None
    provenance: Provenance | None = None

    def original(self) -> Original:
        """What a compressor needs of it; it sees the response only, not the question."""
        return Original(text=self.text, answer=self.answer, summary=self.summary)


@dataclass(frozen=True)
class Plan:
    """A reformulated prompt to be built: its candidates, in the order in which they will be shown."""

    kind: PromptKind
    question: Question
    plain: Group
    sources: tuple[Source, ...]


def wrong_rollouts(question: Question, group: Group) -> tuple[Rollout, ...]:
    """The rollouts that may serve as wrong candidates.

    One marked wrong whose final answer equals the gold answer (a strict reward, a grader error) is none.
    """
    gold = normalise_boxed(question.answer)
    return tuple(
        rollout
        for rollout in group.rollouts
        if rollout.reward == 0 and (rollout.answer is None or normalise_boxed(rollout.answer) != gold)
    )


def plan_bcq(
    question: Question, group: Group, correct: Sequence[TeacherResponse], random: Random
) -> Plan | None:
    """One correct teacher response and one wrong student rollout in random order, if both exist."""
    wrong = wrong_rollouts(question, group)
    if not correct or not wrong:
        return None
    sources = [_from_teacher(random.choice(correct)), _from_student(group, random.choice(wrong))]
    random.shuffle(sources)
    return Plan("bcq", question, group, tuple(sources))


def plan_wrong_pair(question: Question, group: Group, random: Random) -> Plan | None:
    """A BCQ of two different wrong rollouts, if there are so many: a control without a teacher."""
    wrong = wrong_rollouts(question, group)
    if len(wrong) < 2:
        return None
    return Plan("bcq", question, group, tuple(_from_student(group, each) for each in random.sample(wrong, 2)))


def plan_ncq(question: Question, group: Group) -> Plan | None:
    """Every wrong rollout of the group, if there is any; nothing of the teacher's."""
    wrong = wrong_rollouts(question, group)
    if not wrong:
        return None
    return Plan("ncq", question, group, tuple(_from_student(group, rollout) for rollout in wrong))


def build_prompt(
    plan: Plan,
    shortened: Sequence[str],
    compression: Compression,
    templates: Templates,
    encode: Callable[[str], tuple[int, ...]],
    special_tokens: Sequence[str] = (),
) -> Prompt:
    """The prompt of a plan.

    Args:
        plan: What it shows.
        shortened: One shortened text for each source, in the plan's order.
        compression: How all of them were shortened.
        templates: The student's template set.
        encode: Token ids of a user message inside the student's chat template.
        special_tokens: The student tokenizer's control tokens, made inert inside candidates.
    """
    candidates = tuple(
        Candidate(
            text=neutralise(text, special_tokens),
            author=source.author,
            correct=source.correct,
            answer=source.answer,
            compression=compression,
            origin=source.origin,
            provenance=source.provenance,
        )
        for source, text in zip(plan.sources, shortened, strict=True)
    )
    texts = [candidate.text for candidate in candidates]
    if plan.kind == "bcq":
        wrong_answers: tuple[str, ...] = ()
        text = templates.render_bcq(plan.question.text, texts)
    else:
        wrong_answers = distinct_answers(plan.sources, special_tokens)
        text = templates.render_ncq(plan.question.text, texts, wrong_answers)
    return Prompt(
        kind=plan.kind,
        text=text,
        token_ids=encode(text),
        candidates=candidates,
        wrong_answers=wrong_answers,
    )


def distinct_answers(sources: Sequence[Source], special_tokens: Sequence[str] = ()) -> tuple[str, ...]:
    """Final answers of the originals without repeats, in order; a response without one adds none."""
    by_form: dict[str, str] = {}
    for source in sources:
        form = normalise_boxed(source.answer or "")
        if source.answer is not None and form:
            by_form.setdefault(form, neutralise(source.answer, special_tokens))
    return tuple(by_form.values())


def _from_teacher(response: TeacherResponse) -> Source:
    return Source(
        text=response.text,
        answer=response.answer,
        author="teacher",
        correct=response.correct,
        origin=response.origin,
        summary=response.summary,
        provenance=response.provenance,
    )


def _from_student(group: Group, rollout: Rollout) -> Source:
    return Source(rollout.text, rollout.answer, "student", False, f"{group.id}#{rollout.index}")
