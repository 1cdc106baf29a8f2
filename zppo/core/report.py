"""The step report: what a round did, computed from the round itself."""

from collections import Counter
from collections.abc import Sequence

from schemas.buffer import BufferEvent, ReplayBuffer
from schemas.report import (
    BufferReport,
    DriftReport,
    JudgeReport,
    KindReport,
    StepReport,
    TeacherReport,
    UpdateReport,
    ValidationReport,
)
from schemas.rollout import Group, PromptKind, Round
from zppo.core.audit import audit_bcq, audit_ncq
from zppo.core.values import ratio
from zppo.core.zone import is_hard

KINDS: tuple[PromptKind, ...] = ("plain", "bcq", "ncq", "hint", "prefix", "extra")


def step_report(
    round_: Round,
    tau: float,
    buffer: ReplayBuffer,
    events: Sequence[BufferEvent],
    updates: Sequence[UpdateReport],
    advantages: Sequence[float] | None,
    drift: DriftReport | None,
    validation: ValidationReport | None,
) -> StepReport:
    """Everything that is recorded of a round.

    Args:
        round_: The round as committed.
        tau: Threshold of a hard question.
        buffer: After the round.
        events: Admissions, graduations and evictions of the round.
        updates: One entry an optimizer update.
        advantages: Of every valid rollout, empty when there was no update; None in distillation.
        drift: Sampler against learner.
        validation: At rounds with a checkpoint.
    """
    plain = [group for group in round_.of_kind("plain") if group.rollouts]
    hard = sum(is_hard(group.accuracy, tau) for group in plain)
    valid = [group for group in round_.groups if group.rollouts]
    rollouts = sum(len(group.rollouts) for group in valid)
    teacher_answers = {visit.question_id: visit.correct_answers for visit in round_.teacher}
    bcq, ncq = round_.of_kind("bcq"), round_.of_kind("ncq")
    return StepReport(
        round=round_.index,
        new_questions=len(round_.new_question_ids),
        replayed_questions=len(round_.replay_question_ids),
        hard_questions=hard,
        easy=ratio(len(plain) - hard, len(plain)),
        eligible={kind: ratio(count, len(plain)) for kind, count in round_.eligible.items()},
        kinds=tuple(_kind_report(kind, round_.of_kind(kind)) for kind in KINDS if round_.of_kind(kind)),
        zero_advantage_groups=ratio(sum(map(_is_trivial, valid)), len(valid)),
        positive_advantage_rollouts=_positive(advantages, rollouts),
        teacher=_teacher_report(round_),
        bcq=audit_bcq(bcq) if bcq else None,
        ncq=audit_ncq(ncq, teacher_answers) if ncq else None,
        buffer=BufferReport(
            size=len(buffer.entries),
            by_entry_accuracy=tuple(sorted(Counter(e.entry_accuracy for e in buffer.entries).items())),
            events=tuple(events),
        ),
        updates=tuple(updates),
        drift=drift,
        validation=validation,
        judge=_judge_report(round_, validation),
    )


def _judge_report(round_: Round, validation: ValidationReport | None) -> JudgeReport | None:
    if round_.judge_spend is None:
        return None
    verdicts = Counter(rollout.verdict for group in round_.groups for rollout in group.rollouts)
    more = validation.judge_spend if validation else None
    return JudgeReport(
        judged=verdicts.total() - verdicts[None],
        malformed=verdicts["malformed"],
        spend=round_.judge_spend + more if more else round_.judge_spend,
    )


def _positive(advantages: Sequence[float] | None, rollouts: int) -> float | None:
    return None if advantages is None else ratio(sum(value > 0 for value in advantages), rollouts)


def _is_trivial(group: Group) -> bool:
    return len({rollout.reward for rollout in group.rollouts}) <= 1


def _kind_report(kind: PromptKind, groups: Sequence[Group]) -> KindReport:
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    failures = [failure for group in groups for failure in group.failures]
    valid = [group for group in groups if group.rollouts]
    engine_errors = sum(failure.outcome == "engine_error" for failure in failures)
    return KindReport(
        kind=kind,
        groups=len(groups),
        rollouts=len(rollouts),
        accuracy=ratio(sum(rollout.reward for rollout in rollouts), len(rollouts)),
        truncated=ratio(sum(rollout.stop == "length" for rollout in rollouts), len(rollouts)),
        no_answer=ratio(sum(rollout.answer is None for rollout in rollouts), len(rollouts)),
        zero_advantage=ratio(sum(map(_is_trivial, valid)), len(valid)),
        prompt_tokens=sum(len(group.prompt.context_ids) for group in groups),
        response_tokens=sum(len(rollout.token_ids) for rollout in rollouts),
        engine_errors=engine_errors,
        grader_errors=len(failures) - engine_errors,
    )


def _teacher_report(round_: Round) -> TeacherReport:
    visits = round_.teacher
    shown = [group.prompt.candidates[0] for group in round_.groups if group.prompt.candidates]
    summarised = sum(candidate.compression == "teacher" for candidate in shown)
    return TeacherReport(
        questions=len(visits),
        with_correct=sum(visit.correct > 0 for visit in visits),
        correct=sum(visit.correct for visit in visits),
        served=sum(visit.served for visit in visits),
        drawn=sum(visit.drawn for visit in visits),
        reused=sum(visit.reused for visit in visits),
        tokens=sum(visit.tokens for visit in visits),
        hints=sum(visit.hints for visit in visits),
        compression_tokens=round_.compression_tokens,
        summarised_prompts=summarised,
        extractive_prompts=len(shown) - summarised,
        dry=sum(visit.served + visit.drawn + visit.reused == 0 for visit in visits),
        spend=round_.teacher_spend,
    )
