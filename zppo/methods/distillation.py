"""Distillation: the student's distributions are drawn towards the teacher's, token by token.

Off-policy along the teacher's own correct responses, on-policy along the student's rollouts. The loss is
the Jensen-Shannon divergence, a mean over a response's tokens, then over a question's responses, then over
questions, in one update on the whole step's batch.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.config.method import OffPolicy, OnPolicy
from schemas.question import Question
from schemas.rollout import Demonstration, Group, Round
from schemas.state import TrainState
from zppo.methods import parts
from zppo.methods.base import Collector
from zppo.ports import DistillationRow, MiniBatch, TeacherAnswer


@dataclass(frozen=True)
class OffPolicyMethod:
    """One training step along the teacher's responses; the student's rollouts are for the books only."""

    config: OffPolicy

    def collect(self, index: int, new: Sequence[Question], state: TrainState, ports: Collector) -> Round:
        """Plain rollouts, and `G_T` teacher responses to every question, of which the correct ones stay."""
        plain = parts.roll_out_plain(index, new, state, self.config, ports)
        questions = list(plain.questions.values())
        answers = parts.ask_teacher(index, questions, self.config.teacher_group_size, state, ports)
        return Round(
            index=index,
            new_question_ids=plain.new_ids,
            replay_question_ids=plain.replayed_ids,
            groups=tuple(plain.groups),
            teacher=parts.served(plain.groups, answers),
            demonstrations=tuple(
                demonstration
                for group, answer in zip(plain.groups, answers, strict=True)
                for demonstration in demonstrations(group, answer)
            ),
        )

    def batches(self, round_: Round, seed: int) -> list[MiniBatch]:
        """One update; a question without a correct response has no loss."""
        prompts = {group.id: group.prompt.context_ids for group in round_.groups}
        responses = Counter(each.group_id for each in round_.demonstrations)
        return _one_batch(
            [
                DistillationRow(
                    rollout=each.origin,
                    prompt_ids=prompts[each.group_id],
                    response_ids=each.token_ids,
                    weight=1 / (len(responses) * responses[each.group_id]),
                )
                for each in round_.demonstrations
            ]
        )


@dataclass(frozen=True)
class OnPolicyMethod:
    """One training step along the student's own rollouts, right and wrong ones."""

    config: OnPolicy

    def collect(self, index: int, new: Sequence[Question], state: TrainState, ports: Collector) -> Round:
        """Plain rollouts; the teacher scores them in the update."""
        plain = parts.roll_out_plain(index, new, state, self.config, ports)
        return Round(
            index=index,
            new_question_ids=plain.new_ids,
            replay_question_ids=plain.replayed_ids,
            groups=tuple(plain.groups),
        )

    def batches(self, round_: Round, seed: int) -> list[MiniBatch]:
        """One update on all valid rollouts."""
        groups = [group for group in round_.groups if group.rollouts]
        return _one_batch(
            [
                DistillationRow(
                    rollout=f"{group.id}#{rollout.index}",
                    prompt_ids=group.prompt.context_ids,
                    response_ids=rollout.token_ids,
                    weight=1 / (len(groups) * len(group.rollouts)),
                )
                for group in groups
                for rollout in group.rollouts
            ]
        )


def demonstrations(group: Group, answer: TeacherAnswer) -> Iterator[Demonstration]:
    """The correct responses to a group's question."""
    for response in parts.correct(answer):
        assert response.token_ids, "a teacher with logits draws its own tokens"
        yield Demonstration(group_id=group.id, origin=response.origin, token_ids=response.token_ids)


def _one_batch(rows: list[DistillationRow]) -> list[MiniBatch]:
    return [MiniBatch(tuple(rows))] if rows else []
