"""Optimizer updates of a model, whatever the objective and however many processes compute them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_

from schemas.clipping import ClippedTokens
from schemas.config.learner import AdamWConfig
from schemas.report import DriftReport
from zppo.errors import EngineError
from zppo.learners import recompute
from zppo.learners.allocator import keep_freed_memory
from zppo.learners.batching import MicroBatch, collate, turns
from zppo.learners.clipping import clipped_tokens
from zppo.learners.drift import checked
from zppo.learners.head import score_tokens
from zppo.learners.model import SplitModel
from zppo.learners.objectives import Objective, Terms
from zppo.learners.packing import Pack, response_tokens, rows_of
from zppo.learners.refusals import names_of, not_finite
from zppo.learners.schedule import learning_rate
from zppo.learners.team import Team
from zppo.ports import DriftCheck, MiniBatch, TrainingRow, UpdateStatistics

_IDLE = TrainingRow("", (0,), (0,))


class _Sums(NamedTuple):
    """What an update's micro-batches add up to."""

    loss: float
    entropy: float
    clipped: tuple[float, ...]
    clipped_tokens: tuple[ClippedTokens, ...]
    drift: DriftReport | None


class _Turn(NamedTuple):
    """The micro-batches that the processes of a team compute side by side."""

    packs: Sequence[Sequence[Pack] | None]
    """Of each process; None for one that has no more."""
    own: MicroBatch
    """Of this process; a stand-in without a gradient where it has no more."""
    tokens_T: Tensor | None
    """Places of its tokens among those of all rows, one row after another; None for a stand-in."""


class _Part(NamedTuple):
    """What a turn left behind, its micro-batch and activations not."""

    packs: Sequence[Sequence[Pack] | None]
    tokens_T: Tensor | None
    terms: Terms


class Updater:
    """AdamW on an objective, one micro-batch after another.

    The loss of a mini-batch is the sum of its rows' shares, however it is split, among processes too. Rows
    without a gradient are not computed: the entropy is that of the other rows. A mini-batch of such rows
    alone makes no update, nor does it move the warm-up on.

    What is raised is found in numbers that all processes of the team have, so all of them raise it.
    """

    def __init__(
        self, split: SplitModel, config: AdamWConfig, objective: Objective, temperature: float, team: Team
    ) -> None:
        """Take over the model: updates change its weights in place.

        Args:
            split: The model, dealt among the team already; parameters that require no gradient stay fixed.
            config: Settings of the optimizer and of the micro-batches.
            objective: What the updates minimise.
            temperature: The one that `logprobs` are taken at.
            team: Who computes.

        Raises:
            InputError: A setting does not fit the model.
        """
        self._split = split
        self._model = split.module
        self._config = config
        self._objective = objective
        self._temperature = temperature
        self._team = team
        self.parameters = {name: each for name, each in self._model.named_parameters() if each.requires_grad}
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=config.learning_rate,
            betas=config.betas,
            eps=config.adam_eps,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.updates = 0
        shared = config.share_prompts == "auto"
        self._sharing = objective.sharing(self._model, config.max_batch_tokens) if shared else None
        if config.gradient_checkpointing:
            recompute.enable(self._model)
        if self._model.device.type == "cpu":
            keep_freed_memory()

    def update(self, batch: MiniBatch, check: DriftCheck | None = None) -> UpdateStatistics:
        """Make one optimizer update, whose own forward pass is what a check looks at.

        Raises:
            StaleRolloutsError: The check failed; weights and optimizer are as before.
            EngineError: NaN or infinity. In the loss or the gradient it names the rollouts of the
                micro-batch, and weights and optimizer are as before; in the weights themselves, which
                takes a step too large for their type, it names those of the update, and a checkpoint is to be
                loaded.
        """
        rows = self._objective.active(batch)
        tokens, active_tokens = response_tokens(batch.rows), response_tokens(rows)
        if not active_tokens:
            clipped, which = (0.0, ()) if self._objective.clips else (None, None)
            return UpdateStatistics(0.0, 0.0, 0.0, clipped, clipped, clipped, tokens, active_tokens, which)
        try:
            sums = self._accumulate_gradients(rows, tokens, check)
            grad_norm = self._clip_gradients(rows, tokens)
            self._step(rows)
        finally:
            self.optimizer.zero_grad()
        low, high, dual = [count / tokens for count in sums.clipped] or (None, None, None)
        return UpdateStatistics(
            loss=sums.loss,
            grad_norm=grad_norm,
            entropy=sums.entropy / active_tokens,
            clip_low_fraction=low,
            clip_high_fraction=high,
            dual_clip_fraction=dual,
            tokens=tokens,
            active_tokens=active_tokens,
            clipped_tokens=sums.clipped_tokens if self._objective.clips else None,
            drift=sums.drift,
        )

    @torch.no_grad()
    def logprobs(self, rows: Sequence[TrainingRow]) -> list[tuple[float, ...]]:
        """Log-probability of each response token at the sampling temperature; row order is kept."""
        lengths = [len(row.response_ids) for row in rows]
        flat_T = torch.zeros(sum(lengths), dtype=torch.float64)
        for turn in self._turns(rows, _IDLE):
            logprobs_T = self._team.forward(partial(self._score, turn.own))
            if turn.tokens_T is not None:
                flat_T[turn.tokens_T] = logprobs_T.double().cpu()
        return [tuple(each.tolist()) for each in torch.split(self._team.total(flat_T), lengths)]

    def _score(self, micro_batch: MicroBatch) -> Tensor:
        with self._precision():
            hidden_TH = self._split.hidden_states(micro_batch)
            return score_tokens(self._split.head, hidden_TH, micro_batch.targets_T, self._temperature)[0]

    def restore(self, moments: Mapping[int, Mapping[str, Tensor]], updates: int) -> None:
        """Go on from an optimizer's whole tensors, by each parameter's place, after so many updates."""
        parameters = list(self.parameters.values())
        state = {
            place: {
                name: tensor if name == "step" else self._team.own(tensor, parameters[place])
                for name, tensor in tensors.items()
            }
            for place, tensors in moments.items()
        }
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.updates = updates

    def _accumulate_gradients(
        self, rows: Sequence[TrainingRow], tokens: int, check: DriftCheck | None
    ) -> _Sums:
        parts = [
            _Part(turn.packs, turn.tokens_T, self._backward(turn.own, tokens))
            for turn in self._turns(rows, self._objective.idle)
        ]
        numbers = []
        for part, side_by_side in zip(parts, self._numbers(parts), strict=True):
            for packs, found in zip(part.packs, side_by_side, strict=True):
                if packs is not None:
                    if not math.isfinite(found[0]):
                        raise EngineError(not_finite("loss", found[0], rows_of(packs)))
                    numbers.append(found)
        loss, entropy, *clipped = map(math.fsum, zip(*numbers, strict=True))
        which = self._clipped_tokens(parts, rows) if any(clipped) else ()
        drift = self._drift(parts, rows, check) if check and check.concerns(rows) else None
        return _Sums(loss, entropy, tuple(clipped), which, drift)

    def _numbers(self, parts: Sequence[_Part]) -> list[list[list[float]]]:
        """Loss, entropy and counts of every process's micro-batch in every turn."""
        width = 2 + len(parts[0].terms.clipped)
        numbers = torch.zeros(len(parts), self._team.size, width, dtype=torch.float64)
        for place, (_, tokens_T, terms) in enumerate(parts):
            if tokens_T is not None:
                own = torch.stack([terms.loss, terms.entropy, *terms.clipped])
                numbers[place, self._team.rank] = own.double().cpu()
        result: list[list[list[float]]] = self._team.total(numbers).tolist()
        return result

    def _clipped_tokens(
        self, parts: Sequence[_Part], rows: Sequence[TrainingRow]
    ) -> tuple[ClippedTokens, ...]:
        mask_3T = torch.zeros(3, response_tokens(rows), dtype=torch.uint8)
        return clipped_tokens(self._gathered(parts, mask_3T, lambda terms: terms.clipped_3T), rows)

    def _drift(
        self, parts: Sequence[_Part], rows: Sequence[TrainingRow], check: DriftCheck
    ) -> DriftReport | None:
        drift_T = torch.zeros(response_tokens(rows), dtype=torch.float64)
        return checked(self._gathered(parts, drift_T, lambda terms: terms.drift_T), rows, check)

    def _gathered(
        self, parts: Sequence[_Part], into_T: Tensor, of: Callable[[Terms], Tensor | None]
    ) -> Tensor:
        """Values of all tokens, row after row, in the last dimension of the zeros given."""
        for _, tokens_T, terms in parts:
            values_T = of(terms)
            if tokens_T is not None and values_T is not None:
                into_T[..., tokens_T] = values_T.to("cpu", into_T.dtype)
        return self._team.total(into_T)

    def _backward(self, micro_batch: MicroBatch, tokens: int) -> Terms:
        """Add the gradient of the rows' share of the loss to the parameters'."""

        def terms() -> Terms:
            with self._precision():
                return self._objective.terms(self._split, micro_batch, tokens)

        with recompute.recomputing(self._model):
            result = self._team.forward(terms)
            torch.autograd.backward(result.loss)
        return result._replace(loss=result.loss.detach())

    def _precision(self) -> torch.autocast:
        """The type of the matrix products of a forward pass."""
        enabled = self._config.autocast == "bfloat16"
        return torch.autocast(self._model.device.type, torch.bfloat16, enabled=enabled)

    def _clip_gradients(self, rows: Sequence[TrainingRow], tokens: int) -> float:
        """Scale the gradient down to the norm allowed; returns its norm before that."""
        norm = self._team.norm(self._gradients())
        if not norm.isfinite():
            raise EngineError(not_finite("gradient norm", norm.item(), self._culprits(rows, tokens)))
        if norm > self._config.max_grad_norm:  # else it would read and write every gradient for nothing
            clip_grads_with_norm_(self.parameters.values(), self._config.max_grad_norm, norm)
        return norm.item()

    def _culprits(self, rows: Sequence[TrainingRow], tokens: int) -> Sequence[TrainingRow]:
        """The first micro-batch whose own gradient is not finite; all rows where only the sum is not."""
        idle = self._collate([Pack((0,), (self._objective.idle,))])
        for turn in self._turns(rows, self._objective.idle):
            for process, packs in enumerate(turn.packs):
                if packs is None:
                    continue
                self.optimizer.zero_grad()
                self._backward(turn.own if process == self._team.rank else idle, tokens)
                if not self._team.norm(self._gradients()).isfinite():
                    return rows_of(packs)
        return rows

    def _step(self, rows: Sequence[TrainingRow]) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self._config, self.updates)
        self.optimizer.step()
        if not self._team.norm(self.parameters.values()).isfinite():
            raise EngineError(
                f"update {self.updates + 1}, on rollouts {names_of(rows)}, made weights that are not finite "
                "although its gradient was; the round is not committed: start another run with a lower "
                "learner.learning_rate"
            )
        self.updates += 1

    def _gradients(self) -> list[Tensor]:
        return [weight.grad for weight in self.parameters.values() if weight.grad is not None]

    def _turns(self, rows: Sequence[TrainingRow], idle: TrainingRow) -> Iterator[_Turn]:
        team = self._team
        starts = list(accumulate((len(row.response_ids) for row in rows), initial=0))
        for packs in turns(rows, self._config.max_batch_tokens, self._sharing, team.size):
            mine = packs[team.rank]
            if mine is None:
                yield _Turn(packs, self._collate([Pack((0,), (idle,))]), None)
            else:
                own = self._collate(mine)
                yield _Turn(packs, own, _spans(starts, own.places))

    def _collate(self, packs: Sequence[Pack]) -> MicroBatch:
        return collate(packs, self._model.device)


def _spans(starts: Sequence[int], places: Sequence[int]) -> Tensor:
    """All numbers from each place's start to the next place's."""
    return torch.cat([torch.arange(starts[place], starts[place + 1]) for place in places])
