"""A causal language model in two parts, so that logits are computed where they are needed alone."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from zppo.errors import InputError
from zppo.learners.batching import MicroBatch


class SplitModel:
    """The layers of a model, and its head: the linear map from their hidden states to logits."""

    def __init__(self, module: PreTrainedModel, compiled: bool = False) -> None:
        """Put the model in evaluation mode and check its head.

        Raises:
            InputError: The model's logits are not a plain linear map of its hidden states, or the layers
                cannot be compiled here.
        """
        self.module = module
        self.module.train(False)
        self.head: nn.Module = module.get_output_embeddings()  # type: ignore[no-untyped-call]
        self._check_head()
        self._layers: Callable[..., BaseModelOutput] = module.base_model
        if compiled:
            self._layers = torch.compile(module.base_model, dynamic=True)
            self._check_compiler()

    def hidden_states(self, micro_batch: MicroBatch) -> Tensor:
        """Final hidden states `[T, H]` at the tokens that predict the response tokens."""
        outputs = self._layers(
            input_ids=micro_batch.input_ids_BL,
            position_ids=micro_batch.position_ids_BL,
            attention_mask=micro_batch.mask_B1LL,
            use_cache=False,
        )
        hidden_BLH = outputs.last_hidden_state
        assert hidden_BLH is not None, "every base model returns it"
        hidden_TH: Tensor = hidden_BLH.flatten(0, 1).index_select(0, micro_batch.predictors_T)
        return hidden_TH

    @torch.no_grad()
    def _check_compiler(self) -> None:
        from torch._dynamo.exc import TorchDynamoException

        ids = torch.arange(16, device=self.module.device).view(2, 8)
        try:
            self._layers(input_ids=ids, use_cache=False)
        except TorchDynamoException as error:
            raise InputError(
                f"torch.compile fails on {type(self.module).__name__} here: {str(error).splitlines()[0]}; "
                "set learner.compile to false (on the CPU a C++ compiler is needed, on a GPU Triton)"
            ) from error

    @torch.no_grad()
    def _check_head(self) -> None:
        """Compare the shortcut around the model's own logits with them, on a few tokens."""
        ids = torch.arange(8, device=self.module.device)[None]
        hidden = self.module.base_model(input_ids=ids, use_cache=False).last_hidden_state
        if not torch.equal(self.head(hidden), self.module(input_ids=ids, use_cache=False).logits):
            raise InputError(
                f"{type(self.module).__name__} scales or caps its logits after the output layer, which the "
                "torch learner does not support; choose a model without"
            )
