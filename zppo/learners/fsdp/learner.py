"""A learner whose updates are computed by rank processes, on copies of the weights of their own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from schemas.config.machine import LearnerMachines
from zppo.errors import EngineError, InputError
from zppo.learners import checkpoint, recompute
from zppo.learners.fsdp.job import Work
from zppo.learners.fsdp.launch import Ranks
from zppo.learners.fsdp.whole import read_parameters
from zppo.learners.fsdp.wire import Arrays, Command, Reply, encode_rows, split_logprobs
from zppo.learners.model import SplitModel
from zppo.learners.torch import check_precision
from zppo.models.adapters import save_merged
from zppo.ports import DriftCheck, MiniBatch, StaleRolloutsError, TrainingRow, UpdateStatistics


@dataclass
class FsdpLearner:
    """`Learner` in processes of its own, which live as long as it does and are started when first needed.

    The model in this process is the sampler's: `publish` gives it the ranks' weights.
    """

    model: PreTrainedModel
    """The student of `work`, with the same weights; updates change it in place."""
    tokenizer: PreTrainedTokenizerBase
    """Saved with every checkpoint, unchanged."""
    work: Work
    """What the ranks compute."""
    scratch: Path
    """A directory of this process's own, with room for the weights."""
    machines: LearnerMachines | None = None
    """Those that share the ranks and see `scratch` and the checkpoints; none: this one has all of them."""
    _ranks: Ranks | None = field(default=None, init=False)
    _ahead: bool = field(default=False, init=False)
    """Whether the ranks' weights are newer than the model's."""
    _failure: str = field(default="", init=False)
    """What ended the ranks, until a checkpoint is loaded into new ones."""

    def __post_init__(self) -> None:
        """Check what can be checked before anything is started.

        Raises:
            InputError: A setting does not fit the model, or the machine has fewer GPUs than processes.
        """
        config, processes = self.work.config, self.work.config.processes
        check_precision(self.model, config)
        SplitModel(self.model)
        if config.gradient_checkpointing:
            recompute.check(self.model)
        nodes = self.machines.nodes if self.machines else 1
        if processes % nodes:
            raise InputError(
                f"learner.processes is {processes}, which cannot be shared out evenly among the {nodes} "
                "machines of the machine file (learner.nodes)"
            )
        if self._device == "cuda" and torch.cuda.device_count() < processes // nodes:
            raise InputError(
                f"learner.processes is {processes} on {nodes} machine(s), each on a GPU of its own, but this "
                f"machine shows {torch.cuda.device_count()}; lower it, or run on the CPU with --device cpu"
            )

    def update(self, batch: MiniBatch, check: DriftCheck | None = None) -> UpdateStatistics:
        """One optimizer update.

        Raises:
            StaleRolloutsError: As in the torch learner.
            EngineError: NaN or infinity, as in the torch learner; or a rank ended, and a checkpoint has to be
                loaded before anything else.
        """
        names = tuple(row.rollout for row in batch.rows)
        command = Command(do="update", names=names, check=check)
        reply, _ = self._ask(command, encode_rows(batch.rows))
        if reply.stale:
            raise StaleRolloutsError(reply.stale)
        if reply.refused:
            raise EngineError(reply.refused)
        assert reply.statistics is not None, "every update has some"
        self._ahead = self._ahead or bool(reply.statistics.active_tokens)
        return reply.statistics

    def publish(self) -> None:
        """Give this process's model the ranks' weights, unless it has them already."""
        if self._ahead:
            path = self.scratch.absolute() / "weights.safetensors"
            self._ask(Command(do="weights", path=path))
            read_parameters(path, self.model)
            path.unlink()
            self._ahead = False

    def logprobs(self, rows: Sequence[TrainingRow]) -> list[tuple[float, ...]]:
        """Log-probability of each response token at the sampling temperature; row order is kept."""
        command = Command(do="logprobs", names=tuple(row.rollout for row in rows))
        _, arrays = self._ask(command, encode_rows([_bare(row) for row in rows]))
        return split_logprobs(arrays["logprobs"], [len(row.response_ids) for row in rows])

    def save(self, directory: Path) -> None:
        """Write a checkpoint as the torch learner does."""
        self.publish()
        directory.mkdir(parents=True, exist_ok=True)
        save_merged(self.model, directory)
        self.tokenizer.save_pretrained(directory)
        self._ask(Command(do="save", path=directory.absolute()))

    def load(self, directory: Path) -> None:
        """Restore what `save` or the torch learner wrote, to the bit; ranks that ended are started anew.

        Raises:
            StoreError: The checkpoint is incomplete or of another model; nothing was changed.
        """
        parameters = {name: each for name, each in self.model.named_parameters() if each.requires_grad}
        checkpoint.read_state(directory, parameters)
        checkpoint.read_optimizer(directory, parameters)
        weights = checkpoint.read_weights(directory, self.model).state_dict()
        self._failure = ""
        self._ask(Command(do="load", path=directory.absolute()))
        self.model.load_state_dict(weights)
        self._ahead = False

    def _ask(self, command: Command, arrays: Arrays | None = None) -> tuple[Reply, Arrays]:
        """Have the ranks do something, once they run."""
        if self._failure:
            raise EngineError(self._failure)
        try:
            if self._ranks is None:
                self._ranks = Ranks(self.work, self._device, self.scratch, self.machines)
            return self._ranks.ask(command, arrays)
        except EngineError as error:
            self._ranks, self._failure = None, str(error)
            raise

    @property
    def _device(self) -> Literal["cpu", "cuda"]:
        return "cuda" if self.model.device.type == "cuda" else "cpu"

    def close(self) -> None:
        """End the ranks."""
        if self._ranks is not None:
            self._ranks.stop()
            self._ranks = None


def _bare(row: TrainingRow) -> TrainingRow:
    """What log-probabilities depend on."""
    return TrainingRow(row.rollout, row.prompt_ids, row.response_ids)
