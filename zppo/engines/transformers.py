"""Rollouts through Hugging Face transformers, in the training process, on the learner's own weights."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache, LinearAttentionCacheLayerMixin

from schemas.config.models import DecodingConfig, TransformersEngineConfig
from zppo.engines.arrivals import Arrivals
from zppo.engines.batching import Company, Queue
from zppo.engines.cache import can_join
from zppo.engines.decoding import Decoder
from zppo.engines.drawing import Drawn
from zppo.engines.ending import context_window, end_of_sequence_ids
from zppo.engines.room import Room
from zppo.engines.sampling import Sampler
from zppo.models.chat import ChatTokenizer
from zppo.models.memory import memory_explained
from zppo.ports import Finished, Generation, GenerationFailure, GenerationRequest

_MASKS_ITS_PADDING = frozenset({"qwen3_5_text"})
"""Models whose recurrent layers zero the padded positions of their input (held by the tests)."""


class TransformersEngine:
    """`RolloutEngine` on a torch module that somebody else may be training.

    The module's weights are read at each call, so the sampler is always current. No global generator is
    touched.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: ChatTokenizer, config: TransformersEngineConfig
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._eos_ids = end_of_sequence_ids(
            model.generation_config, tokenizer, model.config.name_or_path or "the model"
        )
        self._window = context_window(model.config)
        padding = tolerates_left_padding(model)
        self._company = Company(config.max_batch_tokens, padding, padding and can_join(model.config))

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a user message inside the chat template, ready to be answered."""
        return self._tokenizer.encode(text)

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Token ids of bare text."""
        return self._tokenizer.tokenize(text)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: DecodingConfig,
        finished: Finished | None = None,
    ) -> list[tuple[Generation | GenerationFailure, ...]]:
        """One tuple a request, one response a seed, both in the order asked.

        A prompt or a forced prefix that leaves no room, and a response whose logits are NaN or infinite,
        become a `GenerationFailure`; the others are not affected. Raises `EngineError` when the memory does
        not suffice.
        """
        room = Room(self._window, decoding.max_response_tokens)
        limits = [room.limit(request) for request in requests]
        contexts = [replace(each, prompt_ids=each.prompt_ids + each.prefix_ids) for each in requests]
        arrivals = Arrivals(requests, finished)
        for place, request in enumerate(requests):
            for index in range(len(request.seeds) if not limits[place] else 0):
                arrivals.add(place, index, room.refusal(request))
        queue = Queue(contexts, limits, self._company)
        lack = memory_explained("sampling responses", "a lower engine.max_batch_tokens")
        with lack, torch.inference_mode(), _evaluating(self._model):
            for row, drawn in Decoder(self._model, Sampler(decoding), self._eos_ids).decode(queue):
                prefix_ids = requests[row.request].prefix_ids
                arrivals.add(row.request, row.index, self._generation(prefix_ids, drawn))
        return arrivals.all()

    def _generation(self, prefix_ids: tuple[int, ...], drawn: Drawn) -> Generation | GenerationFailure:
        if drawn.stop is None:
            return GenerationFailure(f"the model's logits are not finite at token {len(drawn.token_ids)}")
        text_ids = drawn.token_ids[:-1] if drawn.stop == "eos" else drawn.token_ids
        text = self._tokenizer.decode(prefix_ids + text_ids)
        return Generation(text, drawn.token_ids, drawn.logprobs, drawn.stop)


def tolerates_left_padding(model: PreTrainedModel) -> bool:
    """Whether prompts of different lengths may share a batch without changing each other's results.

    Attention does where the model takes position ids, because padded keys are masked. A recurrent layer
    carries the padding on in its state, unless its model is known to mask it.
    """
    takes_positions = "position_ids" in inspect.signature(model.forward).parameters
    recurrent = any(
        isinstance(layer, LinearAttentionCacheLayerMixin)
        for layer in DynamicCache(config=model.config).layers
    )
    text_type = model.config.get_text_config(decoder=True).model_type
    return takes_positions and (not recurrent or text_type in _MASKS_ITS_PADDING)


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Dropout and the like are off inside; afterwards the module is in the mode that it was in."""
    was_training = model.training
    model.eval()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        model.train(was_training)
