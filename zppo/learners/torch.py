"""Optimizer updates of a Hugging Face model in one process, whatever the objective."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from schemas.clipping import ClippedTokens
from schemas.config.learner import TorchLearnerConfig
from zppo.errors import EngineError, InputError
from zppo.learners import checkpoint, recompute
from zppo.learners.batching import MicroBatch, collate, micro_batches
from zppo.learners.clipping import clipped_tokens
from zppo.learners.head import score_tokens
from zppo.learners.lora import Lora
from zppo.learners.model import SplitModel
from zppo.learners.objectives import Objective
from zppo.models.adapters import save_merged
from zppo.models.memory import memory_explained
from zppo.ports import MiniBatch, TrainingRow, UpdateStatistics

_LESS_MEMORY = "a lower learner.max_batch_tokens, or with learner.gradient_checkpointing"


class _Sums(NamedTuple):
    """What micro-batches add to the statistics: `Terms` as numbers."""

    loss: float
    entropy: float
    clipped: tuple[float, ...]
    clipped_tokens: tuple[tuple[int, ClippedTokens], ...]
    """With the places of their rows in the mini-batch."""


class TorchLearner:
    """AdamW on an objective, one micro-batch after another.

    The loss of a mini-batch is the sum of its rows' shares, however it is split. Rows without a gradient
    are not computed: the entropy is that of the other rows. A mini-batch of such rows alone makes no
    update, nor does it move the warm-up on.

    The model stays in evaluation mode, because its rollouts were sampled without dropout. Weight decay
    acts on every parameter. The optimizer works on the weights in the model's own type: in bfloat16, steps
    below about 0.2% of a weight round to nothing, so small learning rates need float32. On the CPU with a
    fixed number of threads results repeat to the bit.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        config: TorchLearnerConfig,
        objective: Objective,
        temperature: float = 1.0,
    ) -> None:
        """Take over the model, which a sampler may share: updates change its weights in place.

        Args:
            model: A causal language model on its device; parameters that require no gradient stay fixed.
            tokenizer: Saved with every checkpoint, unchanged.
            config: Settings of the optimizer and of the micro-batches.
            objective: What the updates minimise.
            temperature: The one that rollouts are sampled at, and `logprobs` taken at.

        Raises:
            InputError: The model's logits are not a plain linear map of its hidden states, or a setting does
                not fit the model.
        """
        self._model = model
        check_precision(model, config)
        self._lora = Lora(model, config.lora) if config.lora else None
        self._split = SplitModel(model, config.compile)
        self._tokenizer = tokenizer
        self._config = config
        self._objective = objective
        self._temperature = temperature
        self._parameters = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(),
            lr=config.learning_rate,
            betas=config.betas,
            eps=config.adam_eps,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self._updates = 0
        shared = config.share_prompts == "auto"
        self._sharing = objective.sharing(model, config.max_batch_tokens) if shared else None
        if config.gradient_checkpointing:
            recompute.enable(model)

    def update(self, batch: MiniBatch) -> UpdateStatistics:
        """Make one optimizer update.

        Raises:
            EngineError: NaN or infinity. In the loss or the gradient it names the rollouts of the
                micro-batch, and weights and optimizer are as before; in the weights themselves, which
                takes a step too large for their type, it names those of the update, and the learner is to be
                loaded anew. Or the memory does not suffice.
        """
        rows = self._objective.active(batch)
        tokens = sum(len(row.response_ids) for row in batch.rows)
        active_tokens = sum(len(row.response_ids) for row in rows)
        if not active_tokens:
            clipped, which = (0.0, ()) if self._objective.clips else (None, None)
            return UpdateStatistics(0.0, 0.0, 0.0, clipped, clipped, clipped, tokens, active_tokens, which)
        try:
            with memory_explained(f"update {self._updates + 1}", _LESS_MEMORY):
                sums = self._accumulate_gradients(rows, tokens)
                grad_norm = self._clip_gradients(rows, tokens)
                self._step(rows)
        finally:
            self._optimizer.zero_grad()
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
            clipped_tokens=_in_order(sums.clipped_tokens) if self._objective.clips else None,
        )

    @torch.no_grad()
    def logprobs(self, rows: Sequence[TrainingRow]) -> list[tuple[float, ...]]:
        """Log-probability of each response token at the sampling temperature; row order is kept."""
        with memory_explained("scoring rollouts", "a lower learner.max_batch_tokens"):
            return self._logprobs(rows)

    def _logprobs(self, rows: Sequence[TrainingRow]) -> list[tuple[float, ...]]:
        result: list[tuple[float, ...]] = [()] * len(rows)
        for micro_batch in self._micro_batches(rows):
            with self._precision():
                hidden_TH = self._split.hidden_states(micro_batch)
                logprobs_T, _ = score_tokens(
                    self._split.head, hidden_TH, micro_batch.targets_T, self._temperature
                )
            by_row = torch.split(logprobs_T.cpu(), micro_batch.response_lengths)
            for place, logprobs in zip(micro_batch.places, by_row, strict=True):
                result[place] = tuple(logprobs.tolist())
        return result

    def save(self, directory: Path) -> None:
        """Write a checkpoint that transformers loads, the optimizer and `learner.json` beside it.

        Adapters are merged into its weights, and lie in a folder of their own as well.
        """
        directory.mkdir(parents=True, exist_ok=True)
        save_merged(self._model, directory)
        if self._lora:
            self._lora.save(directory / checkpoint.ADAPTER_FOLDER)
        self._tokenizer.save_pretrained(directory)
        checkpoint.save_optimizer(directory, self._optimizer, self._parameters, self._updates)

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote, to the bit, in place: a sampler that shares the model follows.

        Raises:
            StoreError: The checkpoint is incomplete or of another model; nothing was changed.
        """
        state = checkpoint.read_state(directory, self._parameters)
        moments = checkpoint.read_optimizer(directory, self._parameters)
        if self._lora:
            weights = self._lora.read(directory / checkpoint.ADAPTER_FOLDER)
        else:
            weights = checkpoint.read_weights(directory, self._model).state_dict()
        self._model.load_state_dict(weights, strict=self._lora is None)
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._updates = state.updates

    def _accumulate_gradients(self, rows: Sequence[TrainingRow], tokens: int) -> _Sums:
        parts = []
        for micro_batch in self._micro_batches(rows):
            sums = self._backward(micro_batch, tokens)
            if not math.isfinite(sums.loss):
                raise EngineError(_not_finite("loss", sums.loss, micro_batch.rows))
            parts.append(sums)
        losses, entropies, clipped, which = zip(*parts, strict=True)
        counts = tuple(map(math.fsum, zip(*clipped, strict=True)))
        return _Sums(math.fsum(losses), math.fsum(entropies), counts, tuple(chain.from_iterable(which)))

    def _backward(self, micro_batch: MicroBatch, tokens: int) -> _Sums:
        """Add the gradient of the rows' share of the loss to the parameters'."""
        with recompute.recomputing(self._model):
            with self._precision():
                terms = self._objective.terms(self._split, micro_batch, tokens)
            torch.autograd.backward(terms.loss)
        numbers = torch.stack([terms.loss.detach(), terms.entropy, *terms.clipped])
        loss, entropy, *clipped = numbers.tolist()
        mask_3T = terms.clipped_3T if any(clipped) else None
        which = () if mask_3T is None else tuple(clipped_tokens(mask_3T, micro_batch))
        return _Sums(loss, entropy, tuple(clipped), which)

    def _precision(self) -> torch.autocast:
        """The type of the matrix products of a forward pass."""
        enabled = self._config.autocast == "bfloat16"
        return torch.autocast(self._model.device.type, torch.bfloat16, enabled=enabled)

    def _clip_gradients(self, rows: Sequence[TrainingRow], tokens: int) -> float:
        """Scale the gradient down to the norm allowed; returns its norm before that."""
        norm = get_total_norm(self._gradients())
        if not norm.isfinite():
            raise EngineError(_not_finite("gradient norm", norm.item(), self._culprits(rows, tokens)))
        clip_grads_with_norm_(self._parameters.values(), self._config.max_grad_norm, norm)
        return norm.item()

    def _culprits(self, rows: Sequence[TrainingRow], tokens: int) -> Sequence[TrainingRow]:
        """The first micro-batch whose own gradient is not finite; all rows where only the sum is not."""
        for micro_batch in self._micro_batches(rows):
            self._optimizer.zero_grad()
            self._backward(micro_batch, tokens)
            if not get_total_norm(self._gradients()).isfinite():
                return micro_batch.rows
        return rows

    def _step(self, rows: Sequence[TrainingRow]) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self._config, self._updates)
        self._optimizer.step()
        if not get_total_norm(self._parameters.values()).isfinite():
            raise EngineError(
                f"update {self._updates + 1}, on rollouts {_names(rows)}, made weights that are not finite "
                "although its gradient was; the round is not committed: start another run with a lower "
                "learner.learning_rate"
            )
        self._updates += 1

    def _gradients(self) -> list[Tensor]:
        return [weight.grad for weight in self._parameters.values() if weight.grad is not None]

    def _micro_batches(self, rows: Sequence[TrainingRow]) -> Iterator[MicroBatch]:
        for packs in micro_batches(rows, self._config.max_batch_tokens, self._sharing):
            yield collate(packs, self._model.device)


def check_precision(model: PreTrainedModel, config: TorchLearnerConfig) -> None:
    """Raise `InputError` where autocast would change nothing but the weights' meaning."""
    if config.autocast == "bfloat16" and model.dtype != torch.float32:
        raise InputError(
            f"learner.autocast is 'bfloat16', which is for float32 weights, but the student's are "
            f"{model.dtype}; set student.dtype to float32, or learner.autocast to 'none'"
        )


def learning_rate(config: TorchLearnerConfig, updates: int) -> float:
    """Learning rate of the next update after so many: a linear warm-up, then constant."""
    if updates >= config.warmup_updates:
        return config.learning_rate
    return config.learning_rate * (updates + 1) / config.warmup_updates


def _in_order(found: Sequence[tuple[int, ClippedTokens]]) -> tuple[ClippedTokens, ...]:
    """In the order of the mini-batch's rows, so that the micro-batches have no influence."""
    return tuple(each for _, each in sorted(found, key=lambda one: one[0]))


def _not_finite(what: str, value: float, rows: Sequence[TrainingRow]) -> str:
    return (
        f"the {what} is {value} in the micro-batch of rollouts {_names(rows)}; no weight was changed and the "
        "round is not committed: look at these rollouts, or start another run with a lower "
        "learner.learning_rate"
    )


def _names(rows: Sequence[TrainingRow], shown: int = 10) -> str:
    names = [row.rollout for row in rows]
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{', '.join(names[:shown])}{more}"
