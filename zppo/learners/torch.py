"""A learner in one process, on the weights that a sampler may share."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from schemas.config.learner import AdamWConfig, TorchLearnerConfig
from zppo.errors import InputError
from zppo.learners import checkpoint
from zppo.learners.lora import Lora
from zppo.learners.model import SplitModel
from zppo.learners.objectives import Objective
from zppo.learners.team import Alone
from zppo.learners.updater import Updater
from zppo.models.adapters import save_merged
from zppo.models.memory import memory_explained
from zppo.ports import DriftCheck, MiniBatch, TrainingRow, UpdateStatistics

_LESS_MEMORY = "a lower learner.max_batch_tokens, or with learner.gradient_checkpointing"


class TorchLearner:
    """AdamW on an objective, as `Updater` has it.

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
        self._tokenizer = tokenizer
        split = SplitModel(model, config.compile)
        self._updater = Updater(split, config, objective, temperature, Alone())
        self._parameters = self._updater.parameters

    def update(self, batch: MiniBatch, check: DriftCheck | None = None) -> UpdateStatistics:
        """Make one optimizer update.

        Raises:
            EngineError: As `Updater` has it. Or the memory does not suffice.
        """
        with memory_explained(f"update {self._updater.updates + 1}", _LESS_MEMORY):
            return self._updater.update(batch, check)

    def publish(self) -> None:
        """The sampler shares the model, so there is nothing to give."""

    def logprobs(self, rows: Sequence[TrainingRow]) -> list[tuple[float, ...]]:
        """Log-probability of each response token at the sampling temperature; row order is kept."""
        with memory_explained("scoring rollouts", "a lower learner.max_batch_tokens"):
            return self._updater.logprobs(rows)

    def save(self, directory: Path) -> None:
        """Write a checkpoint that transformers loads, the optimizer and `learner.json` beside it.

        Adapters are merged into its weights, and lie in a folder of their own as well.
        """
        directory.mkdir(parents=True, exist_ok=True)
        save_merged(self._model, directory)
        if self._lora:
            self._lora.save(directory / checkpoint.ADAPTER_FOLDER)
        self._tokenizer.save_pretrained(directory)
        checkpoint.save_optimizer(directory, self._updater.optimizer, self._parameters, self._updater.updates)

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
        self._updater.restore(moments, state.updates)


def check_precision(model: PreTrainedModel, config: AdamWConfig) -> None:
    """Raise `InputError` where autocast would change nothing but the weights' meaning."""
    if config.autocast == "bfloat16" and model.dtype != torch.float32:
        raise InputError(
            f"learner.autocast is 'bfloat16', which is for float32 weights, but the student's are "
            f"{model.dtype}; set student.dtype to float32, or learner.autocast to 'none'"
        )
