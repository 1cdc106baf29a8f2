"""A causal language model in two parts, so that logits are computed where they are needed alone."""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from zppo.errors import InputError
from zppo.learners.batching import MicroBatch


class SplitModel:
    """The layers of a model, and its head: the linear map from their hidden states to logits."""

    def __init__(self, module: PreTrainedModel) -> None:
        """Put the model in evaluation mode and check its head.

        Raises:
            InputError: The model's logits are not a plain linear map of its hidden states.
        """
        self.module = module
        self.module.train(False)
        self.head: nn.Module = module.get_output_embeddings()  # type: ignore[no-untyped-call]
        self._check_head()

    def hidden_states(self, micro_batch: MicroBatch) -> Tensor:
        """Final hidden states `[T, H]` at the tokens that predict the response tokens."""
        outputs = self.module.base_model(
            input_ids=micro_batch.input_ids_BL,
            position_ids=micro_batch.position_ids_BL,
            attention_mask=micro_batch.mask_B1LL,
            use_cache=False,
        )
        hidden_TH: Tensor = outputs.last_hidden_state.flatten(0, 1).index_select(0, micro_batch.predictors_T)
        return hidden_TH

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
