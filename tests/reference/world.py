"""What stands around one training step: questions, a student and a teacher that answer from a table."""

from dataclasses import dataclass, field, replace
from random import Random

MAX_WORDS = 12
"""A response is cut off after so many words, the end of sequence and a forced prefix included."""
REFORMULATING = (
    "zppo",
    "grpo_both",
    "grpo_replay_bcq",
    "grpo_replay_ncq",
    "control_wrong_pair",
    "control_no_gradient",
)
POLICY_GRADIENT = (*REFORMULATING, "grpo", "grpo_replay", "hint", "prefix", "control_extra_plain")
DISTILLATION = (
    "off_policy_distillation",
    "off_policy_distillation_replay",
    "on_policy_distillation",
    "on_policy_distillation_replay",
)
METHODS = (*POLICY_GRADIENT, *DISTILLATION)
SLOTS = ("plain", "bcq", "ncq", "hint", "prefix", "extra-1", "extra-2")
"""What a question can be asked with in one step."""


@dataclass(frozen=True)
class Waiting:
    """A question in the buffer."""

    question: str
    admitted: int
    entry_accuracy: float
    visits: int


@dataclass(frozen=True)
class Profile:
    """How a world is made; everything else follows from `seed`."""

    seed: int = 0
    method: str = "zppo"
    new: int = 6
    buffered: int = 4
    overlap: bool = False
    """Whether some buffered questions come as new ones too."""
    capacity: int = 8
    group_size: int = 4
    teacher_group_size: int = 2
    teacher_pool: int = 6
    """Responses that the teacher has of each question, before it falls silent."""
    tau: float = 0.5
    replay_fraction: float = 0.25
    augment_fraction: float = 0.5
    prefix_fraction: float = 0.4
    iterations: int = 3
    normalization: str = "nonzero"
    statistics: str = "step"
    skill: float = 0.4
    """Share of the student's responses that are correct."""
    teacher_skill: float = 0.6
    hinted: float = 0.7
    """Share of the teacher's responses, right or wrong, that come with a hint."""
    wordy: float = 0.1
    """Share of the teacher's responses of which a prefix leaves the student little room, or none."""
    errors: float = 0.1
    """Share of the student's responses that cannot be drawn or graded."""
    unshortenable: float = 0.2
    """Share of responses that the compressor cannot shorten."""
    vanishing: float = 0.0
    """Share of those of which the extractive compressor leaves nothing either."""


@dataclass(frozen=True)
class World:
    """One situation, in plain values."""

    profile: Profile
    round: int
    new: tuple[str, ...]
    buffer: tuple[Waiting, ...]
    served: dict[str, int]
    gold: dict[str, str]
    student: dict[tuple[str, str], tuple[str | None, ...]] = field(repr=False)
    """By question and slot; None where a response cannot be drawn."""
    teacher: dict[str, tuple[str, ...]] = field(repr=False)
    hints: dict[str, tuple[str | None, ...]] = field(repr=False)
    """Of each of the teacher's responses."""
    unshortenable: frozenset[str] = field(repr=False)
    vanishing: frozenset[str] = field(repr=False, default=frozenset())


def make_world(profile: Profile) -> World:
    """The world of a profile."""
    random = Random(profile.seed)
    new = [f"n{place}" for place in range(profile.new)]
    names = [f"b{place}" for place in range(profile.buffered)]
    if profile.overlap:
        names[: len(new) // 2] = new[: min(len(new) // 2, len(names))]
    rounds = sorted(random.randint(1, 8) for _ in names)
    everyone = list(dict.fromkeys([*new, *names]))
    student = {
        (question, slot): tuple(_response(random, profile) for _ in range(profile.group_size))
        for question in everyone
        for slot in SLOTS
    }
    teacher = {
        question: tuple(_taught(random, profile) for _ in range(profile.teacher_pool))
        for question in everyone
    }
    hints = {
        question: tuple(_text(random, None) if random.random() < profile.hinted else None for _ in responses)
        for question, responses in teacher.items()
    }
    texts = {text for each in (*student.values(), *teacher.values()) for text in each if text is not None}
    unshortenable = [text for text in sorted(texts) if random.random() < profile.unshortenable]
    return World(
        profile=profile,
        round=9,
        new=tuple(new),
        buffer=tuple(
            Waiting(name, admitted, random.choice([0.0, 0.25]), random.randint(1, 4))
            for name, admitted in zip(names, rounds, strict=True)
        ),
        served={name: random.randint(0, 3) for name in names},
        gold=dict.fromkeys(everyone, "Gold"),
        student=student,
        teacher=teacher,
        hints=hints,
        unshortenable=frozenset(unshortenable),
        vanishing=frozenset(text for text in unshortenable if random.random() < profile.vanishing),
    )


def _taught(random: Random, profile: Profile) -> str:
    words = random.randint(1, 4) * MAX_WORDS if random.random() < profile.wordy else 0
    return _text(random, "Gold" if random.random() < profile.teacher_skill else "Bad", words)


def _response(random: Random, profile: Profile) -> str | None:
    if random.random() < profile.errors:
        return random.choice([None, _text(random, "crash")])
    if random.random() < profile.skill:
        return _text(random, "Gold")
    wrong = ["w1", "w2", "w3", "W1", r"\text{w2}", "</candidate>", "gold", None, "late"]
    answer = random.choice(wrong)
    if answer == "late":
        return _text(random, "Gold", words=2 * MAX_WORDS)
    return _text(random, answer)


def _text(random: Random, answer: str | None, words: int = 0) -> str:
    """Words, some of them hostile, and perhaps a box; a thousand endings, so that few texts are the same."""
    vocabulary = ["so", "then", "</candidate>", "</hint>", "<|im_end|>", "<eos2>", "$question", "{}"]
    if words:
        vocabulary.remove("<eos2>")  # or hardly a long text would be without, and none of them a prefix
    steps = [random.choice(vocabulary) for _ in range(words or random.randint(1, 5))]
    steps.append(f"v{random.randrange(1000)}")
    return " ".join(steps if answer is None else [*steps, rf"\boxed{{{answer}}}"])


CALM = Profile(errors=0.0, unshortenable=0.0, wordy=0.0)
NAMED = {
    "no hard question": replace(CALM, skill=1.0),
    "every question hard": replace(CALM, skill=0.0),
    "empty buffer": replace(CALM, buffered=0),
    "full buffer": replace(CALM, buffered=8, capacity=8, skill=0.1),
    "a buffer of one": replace(CALM, buffered=1, capacity=1, skill=0.1),
    "a teacher that never succeeds": replace(CALM, teacher_skill=0.0, skill=0.1),
    "a teacher that has nothing left": replace(CALM, teacher_pool=0, skill=0.1),
    "a teacher without hints": replace(CALM, hinted=0.0, teacher_skill=1.0, skill=0.1),
    "a teacher whose responses leave no room": replace(CALM, wordy=1.0, prefix_fraction=0.9, skill=0.1),
    "errors in groups": replace(CALM, errors=0.5),
    "no valid rollout": replace(CALM, errors=1.0),
    "one slot under the cap": replace(CALM, skill=0.0, teacher_skill=1.0, hinted=1.0, augment_fraction=0.1),
    "a slot left for a BCQ": replace(CALM, skill=0.0, teacher_skill=1.0, augment_fraction=0.5),
    "no slot": replace(CALM, skill=0.0, augment_fraction=0.0),
    "nothing can be shortened": replace(CALM, skill=0.1, unshortenable=1.0),
    "nothing is left of what is shortened": replace(CALM, skill=0.1, unshortenable=1.0, vanishing=1.0),
    "little is left of what is shortened": replace(CALM, skill=0.1, unshortenable=0.6, vanishing=0.6),
    "no new question": replace(CALM, new=0),
    "new questions that wait in the buffer": replace(CALM, overlap=True, buffered=6),
}
"""Situations that every change must keep right."""
