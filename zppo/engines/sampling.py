"""From logits to tokens: penalties, truncation and inverse-CDF sampling."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from schemas.config.models import DecodingConfig


def uniforms(seeds: Sequence[int], count: int) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1), `[seeds, count]`; a row depends on its seed alone.

    Philox is counter-based (Salmon et al. 2011): no state is shared between rows, and number `t` of a
    seed is the same whatever `count` is.
    """
    return np.stack([np.random.Generator(np.random.Philox(key=seed)).random(count) for seed in seeds])


def inverse_cdf(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The token at which the cumulative probability first exceeds `uniform`, `[rows]`.

    Args:
        probabilities: `[rows, vocabulary]`, float64; a token of probability 0 is never chosen.
        uniform: `[rows]` in [0, 1), float64.
    """
    cumulative = probabilities.cumsum(dim=-1)
    targets = uniform[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, targets, right=True).squeeze(1)
    # Only a row of NaN gets past the last token.
    return tokens.clamp_max(probabilities.shape[-1] - 1)


def presence_penalised(scores: Tensor, responses: Tensor, penalty: float) -> Tensor:
    """Scores, less `penalty` for each token that the row's response already holds."""
    return scores - torch.zeros_like(scores).scatter_(1, responses, penalty)


class Sampler:
    """Draws the next token of each row as a decoding configuration says."""

    def __init__(self, decoding: DecodingConfig) -> None:
        self._greedy = decoding.temperature == 0
        self._temperature = decoding.temperature or 1.0
        self._presence_penalty = decoding.presence_penalty
        self._penalties = LogitsProcessorList()
        if decoding.repetition_penalty != 1:
            self._penalties.append(RepetitionPenaltyLogitsProcessor(decoding.repetition_penalty))
        self._warpers = LogitsProcessorList()
        if decoding.top_k:
            self._warpers.append(TopKLogitsWarper(decoding.top_k))
        if decoding.top_p < 1:
            self._warpers.append(TopPLogitsWarper(decoding.top_p))
        if decoding.min_p:
            self._warpers.append(MinPLogitsWarper(decoding.min_p))
        penalised = bool(self._penalties) or self._presence_penalty != 0
        self._plain = not (self._greedy or penalised or self._warpers)

    def draw(
        self, logits: Tensor, prompts: Tensor, responses: Tensor, uniform: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens and their log-probabilities, `[rows]` each.

        Args:
            logits: `[rows, vocabulary]`, as the model gave them.
            prompts: token ids `[rows, width]`; the repetition penalty counts them too.
            responses: token ids drawn so far, `[rows, drawn]`.
            uniform: one number in [0, 1) a row, float64.

        Returns:
            The log-probabilities are the model's at the sampling temperature (1 for greedy decoding),
            before penalties and truncation. NaN marks a row whose logits are not usable.
        """
        scores = logits.double()
        logprobs = torch.log_softmax(scores / self._temperature, dim=-1)
        if self._plain:
            tokens = inverse_cdf(logprobs.exp(), uniform)
        else:
            tokens = self._choose(scores, prompts, responses, uniform)
        return tokens, logprobs.gather(1, tokens[:, None]).squeeze(1)

    def _choose(self, scores: Tensor, prompts: Tensor, responses: Tensor, uniform: Tensor) -> Tensor:
        seen = torch.cat([prompts, responses], dim=1)
        scores = self._penalties(seen, scores)  # type: ignore[arg-type]
        if self._presence_penalty:
            scores = presence_penalised(scores, responses, self._presence_penalty)
        if self._greedy:
            return scores.argmax(dim=-1)
        scores = self._warpers(seen, scores / self._temperature)  # type: ignore[arg-type]
        return inverse_cdf(scores.softmax(dim=-1), uniform)
