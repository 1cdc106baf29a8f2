"""What one round samples: prompts, rollouts, groups."""

from typing import Literal

from pydantic import Field

from schemas.base import Artifact, Frozen
from schemas.spend import EndpointSpend

PromptKind = Literal["plain", "bcq", "ncq", "hint", "prefix", "extra"]
"""`extra` is one more plain prompt of a hard question: a control."""
Outcome = Literal["correct", "wrong", "no_answer", "truncated"]
FailureOutcome = Literal["grader_error", "engine_error"]
Verdict = Literal["correct", "wrong", "malformed"]
"""A judge's; `malformed` is one that cannot be read, which counts as wrong."""
StopReason = Literal["eos", "length"]
Author = Literal["teacher", "student"]
Compression = Literal["extractive", "teacher"]
Serving = Literal["pool", "online", "reused"]
"""How a visit came by a teacher response: an unused one of the pool, drawn on the spot, or a used one."""


class Provenance(Frozen):
    """Where a teacher response comes from."""

    served: Serving
    teacher: str
    """The model, as its recipe or its endpoint names it; or what else the responses come from."""
    revision: str | None = None
    """Hub commit, or the recipe's label for what is behind an endpoint."""


class Candidate(Frozen):
    """A response shown inside a prompt, shortened; never a source of gradient."""

    text: str
    """The text as it stands in the prompt: shortened and with tags neutralised."""
    author: Author
    """Who wrote the original response; never visible to the student."""
    correct: bool
    """Whether the original response was graded correct; never visible to the student."""
    answer: str | None
    """Final answer parsed from the original response."""
    compression: Compression
    """How the original was shortened; the same for all candidates of one prompt."""
    origin: str
    """Where the original stands: a rollout (`r3/q12/plain#5`) or a teacher response (`pool/q12#2`)."""
    provenance: Provenance | None = None
    """Of a teacher response; None of a rollout, and in rounds of earlier programs."""


class Prompt(Frozen):
    """One prompt as the student sees it."""

    kind: PromptKind
    text: str
    """The user message, before the chat template."""
    token_ids: tuple[int, ...]
    """The whole prompt, chat template included, in the student's tokens."""
    candidates: tuple[Candidate, ...] = ()
    """Candidates in the order shown."""
    wrong_answers: tuple[str, ...] = ()
    """Final answers that an NCQ lists as wrong."""
    hint: str | None = None
    """The hint as it stands in the prompt, tags neutralised."""
    prefix_ids: tuple[int, ...] = ()
    """Tokens that every response starts with; they were not sampled and carry no gradient."""
    origin: str = ""
    """Of a hint or a prefix: the teacher response that it comes from (`pool/q12#2`)."""
    provenance: Provenance | None = None
    """Of that teacher response."""

    @property
    def context_ids(self) -> tuple[int, ...]:
        """All tokens before the first sampled one."""
        return self.token_ids + self.prefix_ids


class Rollout(Frozen):
    """One graded response. An ungraded one cannot be written down."""

    index: int = Field(ge=0)
    """Place in its group as drawn, before failures left it."""
    text: str
    """The response from its start, a forced prefix included."""
    token_ids: tuple[int, ...]
    """Tokens as the engine drew them, the end-of-sequence token included; a forced prefix is not drawn."""
    logprobs: tuple[float, ...]
    """Log-probability of each token under the sampling policy, at the sampling temperature."""
    stop: StopReason
    """`eos`: the student ended; `length`: cut off at the limit (truncated)."""
    outcome: Outcome
    """`truncated` and `no_answer` are wrong answers without a parsable final answer."""
    answer: str | None
    """Content of the last box, if any."""
    reward: Literal[0, 1]
    verdict: Verdict | None = None
    """The judge's; None where rules graded."""


class Failure(Frozen):
    """A rollout that could not be drawn or graded; it leaves its group and counts as nothing."""

    index: int = Field(ge=0)
    outcome: FailureOutcome
    cause: str
    text: str = ""


class Group(Frozen):
    """The rollouts of one prompt; the baseline of their advantages."""

    id: str
    """`r<round>/<question id>/<kind>`: unique in a run."""
    question_id: str
    origin: Literal["new", "replay"]
    """Whether the question came from the data loader or from the replay buffer."""
    prompt: Prompt
    rollouts: tuple[Rollout, ...]
    failures: tuple[Failure, ...] = ()

    @property
    def accuracy(self) -> float | None:
        """Mean reward, None when no rollout is valid."""
        if not self.rollouts:
            return None
        return sum(rollout.reward for rollout in self.rollouts) / len(self.rollouts)


class AvailableResponse(Frozen):
    """A teacher response that one visit of a hard question could use."""

    origin: str
    """Where it stands: `pool/<question id>#<index>` or `online/<seed>/<question id>#<index>`."""
    correct: bool
    answer: str | None
    text: str | None = None
    """As it was drawn; None where the pool holds it."""
    hint: str | None = None
    """Likewise."""
    provenance: Provenance | None = None


class ServedResponses(Frozen):
    """Teacher responses that one visit of a hard question used."""

    question_id: str
    served: int
    """Responses taken from the pool at this visit; the next visit starts after them."""
    drawn: int
    """Responses drawn online at this visit."""
    reused: int = 0
    """Responses that an earlier visit had used already."""
    correct: int
    """How many of all of them are correct."""
    tokens: int = 0
    """Sampled at this visit."""
    hints: int = 0
    """How many of the correct ones came with a usable hint."""
    correct_answers: tuple[str, ...] = ()
    """Distinct final answers of the correct ones; the NCQ audit compares with them."""
    responses: tuple[AvailableResponse, ...] = ()
    """All of them, in the order they were given; empty in rounds of earlier programs."""


class Demonstration(Frozen):
    """A correct teacher response that the student is compared with, in their common vocabulary."""

    group_id: str
    """The plain group whose prompt it answers."""
    origin: str
    """The teacher response (`pool/q12#2`)."""
    token_ids: tuple[int, ...]
    """As the teacher drew them, the end-of-sequence token included."""


class Round(Artifact):
    """Everything that `collect` commits; all that `update` needs."""

    schema_version: int = 2
    index: int = Field(ge=1)
    """Rounds count from 1; round 0 is the base student."""
    new_question_ids: tuple[str, ...]
    replay_question_ids: tuple[str, ...]
    groups: tuple[Group, ...]
    """Plain groups in the order of the questions, then the others in the order of the walk."""
    teacher: tuple[ServedResponses, ...] = ()
    """What was asked of the teacher for each question that visited it."""
    compression_tokens: int = 0
    """Sampled by the teacher to shorten candidates."""
    eligible: dict[PromptKind, int] = {}
    """By kind of prompt: hard questions that admitted one, before the cap; of hints and prefixes within it,
    since the teacher is asked about no others."""
    demonstrations: tuple[Demonstration, ...] = ()
    """What off-policy distillation learns from."""
    teacher_spend: EndpointSpend | None = None
    """What was spent at the teacher's endpoint; None where it has none."""
    judge_spend: EndpointSpend | None = None
    """What its judge used; None without a judge."""

    def of_kind(self, kind: PromptKind) -> tuple[Group, ...]:
        """The groups of one prompt kind, in order."""
        return tuple(group for group in self.groups if group.prompt.kind == kind)
