"""What is recorded of every round."""

from pydantic import Field

from schemas.base import Artifact, Fraction, Frozen
from schemas.buffer import BufferEvent
from schemas.rollout import PromptKind
from schemas.spend import EndpointSpend

Share = Fraction | None
"""A ratio; None where there was nothing to count."""


class KindReport(Frozen):
    """Rollouts of one prompt kind."""

    kind: PromptKind
    groups: int
    rollouts: int
    """Valid ones; failures are counted apart."""
    accuracy: Share
    truncated: Share
    no_answer: Share
    """Rollouts without a parsable final answer, truncated ones included."""
    zero_advantage: Share
    """Groups without a spread in their rewards."""
    prompt_tokens: int
    """Sum over groups, forced prefixes included: a group shares its prompt."""
    response_tokens: int
    """Sum over rollouts."""
    engine_errors: int
    grader_errors: int


class BcqAudit(Frozen):
    """What BCQ rollouts made of their two candidates."""

    rollouts: int
    correct_candidate: Share
    """Answer equals the correct candidate's; None, as all that speaks of it, where no prompt shows one."""
    wrong_candidate: Share
    """Answer equals a wrong candidate's."""
    neither: Share
    accuracy_correct_first: Share
    """Accuracy where the correct candidate was shown first."""
    accuracy_correct_second: Share
    correct_first: Share
    """Rollouts whose prompt shows the correct candidate first; one half without bias."""


class NcqAudit(Frozen):
    """What NCQ rollouts made of the list of wrong answers."""

    rollouts: int
    repeats_listed: Share
    """The parroting rate: answer equals one of the listed wrong answers."""
    matches_teacher: Share
    """Answer equals the teacher's, which the prompt does not show; of the rollouts whose question has one."""


class BufferReport(Frozen):
    """The replay buffer after the round."""

    size: int
    by_entry_accuracy: tuple[tuple[Fraction, int], ...]
    """Occupancy: (entry accuracy, entries), ascending."""
    events: tuple[BufferEvent, ...]


class TeacherReport(Frozen):
    """What the round asked of the teacher."""

    questions: int
    """Questions that visited the teacher: the hard ones, those of them within the cap, or all."""
    with_correct: int
    """Those with at least one correct response."""
    correct: int = 0
    """Correct responses of all visits."""
    served: int
    drawn: int
    reused: int
    tokens: int
    """Sampled by the teacher in this round."""
    hints: int
    """Served responses that came with a usable hint."""
    compression_tokens: int
    """Sampled by the teacher to shorten candidates in this round."""
    summarised_prompts: int
    """Reformulated prompts whose candidates the teacher shortened."""
    extractive_prompts: int
    """Those shortened extractively: all of them, or those for which the teacher failed on a candidate."""
    dry: int
    """Visits that got nothing because the pool had run out."""
    spend: EndpointSpend | None = None
    """At the teacher's endpoint in this round, summaries and hints included; None where it has none."""


class UpdateReport(Frozen):
    """One optimizer update; loss and fractions are over the response tokens of its mini-batch."""

    loss: float
    """Of distillation: the divergence, in nats."""
    grad_norm: float = Field(ge=0.0)
    entropy: float
    """Of the student, in nats, over the active tokens."""
    clip_low_fraction: Share
    """As the other two, None where nothing is clipped: in distillation."""
    clip_high_fraction: Share
    dual_clip_fraction: Share
    tokens: int
    active_tokens: int
    """Those of responses with a gradient; with none of them there was no update."""
    importance_weight: float | None = None
    """Mean over the active tokens; like the next None where there is no correction for the sampler."""
    importance_capped: Share = None
    """Active tokens whose weight is the cap."""


class DriftReport(Frozen):
    """Sampler against learner, on the round's rollouts."""

    tokens: int
    mean: float = Field(ge=0.0)
    """Mean absolute difference of log-probabilities."""
    max: float = Field(ge=0.0)


class ValidationReport(Frozen):
    """Accuracy on the validation split; it chooses the best checkpoint."""

    questions: int
    accuracy: Fraction
    out_of_distribution: Share = None
    """Accuracy on the sources that are only evaluated; it chooses nothing."""
    judge_spend: EndpointSpend | None = None
    """What the judge used for it; None without a judge."""


class JudgeReport(Frozen):
    """What the round's judge did."""

    judged: int
    """Rollouts with a verdict; the same content is asked for once."""
    malformed: int
    """Those of them whose verdict could not be read, which counts as wrong."""
    spend: EndpointSpend
    """In the round, its validation included; one of the teacher's model has no price."""


class StepReport(Artifact):
    """One round: everything but its timings, which live in `RoundTimings`."""

    schema_version: int = 2
    round: int = Field(ge=1)
    new_questions: int
    replayed_questions: int
    hard_questions: int
    easy: Share
    """Plain groups that are not hard, of those with a valid rollout."""
    eligible: dict[PromptKind, Share]
    """Likewise, by kind: plain groups that admit such a prompt, before the cap."""
    kinds: tuple[KindReport, ...]
    zero_advantage_groups: Share
    positive_advantage_rollouts: Share
    """None in distillation, which has no advantages."""
    teacher: TeacherReport
    bcq: BcqAudit | None
    ncq: NcqAudit | None
    buffer: BufferReport
    updates: tuple[UpdateReport, ...]
    """Empty when no group had a spread: then the weights stay as they are."""
    drift: DriftReport | None
    validation: ValidationReport | None = None
    """At rounds with a checkpoint."""
    judge: JudgeReport | None = None
    """None without a judge."""

    def of_kind(self, kind: PromptKind) -> KindReport | None:
        """The report of one prompt kind, None where the round drew none."""
        return next((report for report in self.kinds if report.kind == kind), None)


WAITS = ("wait_for_writing", "wait_for_tracking")
"""Phases in which nothing is computed."""


class RoundTimings(Artifact):
    """Seconds of a round; outside every identity."""

    round: int
    seconds: dict[str, float]
    """By phase: `collect` (all of it; its parts do not overlap: `student`, `teacher`, `compression`, `judge`,
    `grading` without the judge), `update`, `drift`, `validation`, `checkpoint`, `wait_for_writing` (until
    the rollouts are committed), `wait_for_tracking` (until the round before is shown). Of what goes on beside
    something else, such as judge, grading and checkpoint, a phase has what was waited for."""

    @property
    def total(self) -> float:
        """Seconds of the phases that do not lie within another."""
        outer = ("collect", "drift", "update", "validation", "checkpoint", *WAITS)
        return sum(self.seconds.get(phase, 0.0) for phase in outer)
