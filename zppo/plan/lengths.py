"""How long prompts and responses are taken to be: at the recipe's limits, or at means that the user gives."""

from dataclasses import dataclass

from schemas.config.method import Hint, PolicyGradient, Reformulation
from schemas.config.run import RunConfig
from schemas.config.teacher import EndpointTeacher, ModelTeacher
from zppo.plan.estimates import Factor


@dataclass(frozen=True)
class Expected:
    """What is expected in place of the limits; None leaves the limit."""

    prompt: float | None = None
    """Mean tokens of a plain prompt."""
    response: float | None = None
    """Mean tokens of a response: the student's, the teacher's, and in evaluation."""
    hard: float = 1.0
    """Share of a round's questions that are hard, and so visit the teacher."""
    spread: float = 1.0
    """Share of a round's groups whose rewards differ: the others have no gradient in a policy's update."""

    @property
    def is_bound(self) -> bool:
        """Whether nothing but limits is counted with."""
        return self == Expected()


@dataclass(frozen=True)
class Lengths:
    """Named tokens of each kind of text."""

    prompt: Factor
    response: Factor
    teacher: Factor
    evaluation: Factor
    candidate: Factor
    """One shortened candidate in a BCQ or NCQ prompt."""
    candidates: Factor
    """Candidates in such a prompt: at most one a rollout; expected, half the prompts are BCQ and have two."""
    helped: Factor
    """The prompt that a hard question gets besides the plain one."""
    hard: Factor
    spread: float
    """Share of groups with a gradient."""


def find_lengths(config: RunConfig, expected: Expected) -> Lengths:
    """The lengths to count with; a mean never exceeds the limit."""
    sampling, decoding = config.sampling, config.evaluation.decoding
    prompt = _length("max_prompt_tokens", sampling.max_prompt_tokens, expected.prompt)
    response = _length("max_response_tokens", sampling.max_response_tokens, expected.response)
    teacher = config.teacher
    most = teacher.max_response_tokens if isinstance(teacher, ModelTeacher | EndpointTeacher) else 0
    compression = config.method.compression.max_tokens if isinstance(config.method, Reformulation) else 0
    candidate = _length("compression.max_tokens", compression, expected.response)
    size = config.method.group_size
    shown = size if expected.response is None else (2 + size) / 2
    candidates = ("candidates", shown)
    return Lengths(
        prompt=prompt,
        response=response,
        teacher=_length("teacher.max_response_tokens", most, expected.response),
        evaluation=_length("decoding.max_response_tokens", decoding.max_response_tokens, expected.response),
        candidate=candidate,
        candidates=candidates,
        helped=_helped(config, prompt, candidate, candidates),
        hard=("share of hard questions", expected.hard),
        spread=expected.spread if isinstance(config.method, PolicyGradient) else 1.0,
    )


def _length(name: str, limit: float, mean: float | None) -> Factor:
    return (name, limit) if mean is None or mean >= limit else (f"mean of {name}", mean)


def _helped(config: RunConfig, prompt: Factor, candidate: Factor, candidates: Factor) -> Factor:
    if isinstance(config.method, Reformulation):
        name = f"{prompt[0]} + {candidates[1]:g} candidates of {candidate[0]}"
        return name, prompt[1] + candidates[1] * candidate[1]
    if isinstance(config.method, Hint):
        hint = config.method.max_hint_tokens
        return f"{prompt[0]} + max_hint_tokens", prompt[1] + hint
    return prompt
