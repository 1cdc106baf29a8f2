"""What an update minimises: the clipped policy gradient, or the divergence from a teacher."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from zppo.core.objective import ClipBounds, clipped_surrogate
from zppo.learners.batching import MicroBatch
from zppo.learners.head import compare_tokens, score_tokens
from zppo.learners.model import SplitModel
from zppo.learners.packing import Sharing, sharing_of
from zppo.ports import DistillationRow, MiniBatch, PolicyRow, TrainingRow

Row = TypeVar("Row", bound=TrainingRow)


class Terms(NamedTuple):
    """What a micro-batch adds to an update, as scalar tensors; only `loss` carries gradient."""

    loss: Tensor
    """Its share of the mini-batch's loss: the shares add up, however the mini-batch was split."""
    entropy: Tensor
    """Of the student, summed over tokens, in nats."""
    clipped: tuple[Tensor, ...] = ()
    """Tokens clipped low, high and dual; empty where the objective does not clip."""
    clipped_3T: Tensor | None = None
    """Whether each token is clipped low, high and dual; None where the objective does not clip."""
    drift_T: Tensor | None = None
    """Each token's difference from its old log-probability; None where the rows have none."""


class Objective(Protocol):
    """The loss of a mini-batch, as a sum over its rows."""

    @property
    def clips(self) -> bool:
        """Whether the terms count clipped tokens."""
        ...

    @property
    def idle(self) -> TrainingRow:
        """A row without a gradient, for a process that has no other while the rest of its team has."""
        ...

    def sharing(self, student: PreTrainedModel, max_tokens: int) -> Sharing | None:
        """How far rows of one prompt may share a sequence, in every model that reads them."""
        ...

    def active(self, batch: MiniBatch) -> Sequence[TrainingRow]:
        """The rows that have a gradient; the others are not computed."""
        ...

    def terms(self, student: SplitModel, micro_batch: MicroBatch, tokens: int) -> Terms:
        """Run some active rows forward together.

        Args:
            student: The model that is trained.
            micro_batch: The rows.
            tokens: Response tokens of the whole mini-batch, inactive rows included.
        """
        ...


@dataclass(frozen=True)
class PolicyObjective:
    """PPO's clipped surrogate, summed over tokens and divided by the mini-batch's response tokens."""

    bounds: ClipBounds
    """Where it clips."""
    temperature: float
    """The one that the rollouts were sampled at."""
    clips: ClassVar[bool] = True
    idle: ClassVar[TrainingRow] = PolicyRow("", (0,), (0,), old_logprobs=(0.0,), advantage=0.0)

    def active(self, batch: MiniBatch) -> list[PolicyRow]:
        """Rows with an advantage; the others count in the denominator alone."""
        return [row for row in _narrow(PolicyRow, batch.rows) if row.advantage != 0.0]

    def sharing(self, student: PreTrainedModel, max_tokens: int) -> Sharing | None:
        """That of the student alone."""
        return sharing_of(student, max_tokens)

    def terms(self, student: SplitModel, micro_batch: MicroBatch, tokens: int) -> Terms:
        """The rows' surrogates over `tokens`."""
        policy_rows = _narrow(PolicyRow, micro_batch.rows)
        logprobs_T, entropies_T = score_tokens(
            student.head, student.hidden_states(micro_batch), micro_batch.targets_T, self.temperature
        )
        old_T = _tensor(list(chain.from_iterable(row.old_logprobs for row in policy_rows)), logprobs_T)
        surrogate = clipped_surrogate(
            logprobs_T,
            old_T,
            _repeat([row.advantage for row in policy_rows], micro_batch, logprobs_T),
            self.bounds,
            _tensor(list(chain.from_iterable(map(_importance, policy_rows))), logprobs_T),
        )
        clipped = (surrogate.clipped_low, surrogate.clipped_high, surrogate.clipped_dual)
        drift_T = (logprobs_T.detach() - old_T).abs()
        return Terms(surrogate.loss / tokens, entropies_T.sum(), clipped, surrogate.clipped_3T, drift_T)


class DistillationObjective:
    """Jensen-Shannon divergence from a teacher: of each row the mean over its tokens, times its weight.

    Both models read the same token ids. The teacher is in evaluation mode and out of reach of the gradient.
    """

    clips: ClassVar[bool] = False
    idle: ClassVar[TrainingRow] = DistillationRow("", (0,), (0,), weight=0.0)

    def __init__(self, teacher: PreTrainedModel) -> None:
        """Take a teacher on the student's device, with the student's tokenizer and a head of its own.

        Raises:
            InputError: The teacher's logits are not a plain linear map of its hidden states.
        """
        self._teacher = SplitModel(teacher)

    def active(self, batch: MiniBatch) -> list[DistillationRow]:
        """Rows with a weight, and with a token to compare."""
        rows = _narrow(DistillationRow, batch.rows)
        return [row for row in rows if row.weight != 0.0 and row.response_ids]

    def sharing(self, student: PreTrainedModel, max_tokens: int) -> Sharing | None:
        """That of the student, within the limits of a teacher that admits it."""
        own, teachers = sharing_of(student, max_tokens), sharing_of(self._teacher.module, max_tokens)
        return replace(own, longest=min(own.longest, teachers.longest)) if own and teachers else None

    def terms(self, student: SplitModel, micro_batch: MicroBatch, tokens: int) -> Terms:
        """The rows' weighted divergences; `tokens` has no influence."""
        with torch.no_grad():
            teacher_TH = self._teacher.hidden_states(micro_batch)
        divergences_T, entropies_T = compare_tokens(
            student.head, student.hidden_states(micro_batch), self._teacher.head, teacher_TH
        )
        weights = [row.weight / len(row.response_ids) for row in _narrow(DistillationRow, micro_batch.rows)]
        loss = (divergences_T * _repeat(weights, micro_batch, divergences_T)).sum()
        return Terms(loss, entropies_T.sum())


def _narrow(kind: type[Row], rows: Sequence[TrainingRow]) -> list[Row]:
    narrowed = [row for row in rows if isinstance(row, kind)]
    assert len(narrowed) == len(rows), f"every row of the mini-batch is a {kind.__name__}"
    return narrowed


def _importance(row: PolicyRow) -> tuple[float, ...]:
    return row.importance or (1.0,) * len(row.response_ids)


def _repeat(values: Sequence[float], micro_batch: MicroBatch, like_T: Tensor) -> Tensor:
    """A value a row as one a response token."""
    return _tensor(np.repeat(np.array(values), micro_batch.response_lengths), like_T)


def _tensor(values: Sequence[float] | np.ndarray, like_T: Tensor) -> Tensor:
    assert len(values) == len(like_T), "one value for every response token"
    return torch.as_tensor(values, dtype=like_T.dtype, device=like_T.device)
