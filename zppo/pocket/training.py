"""Supervised training on examples: cross-entropy on the response's tokens."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from zppo.pocket.examples import Example

IGNORED = -100
MICRO_BATCH = 48
"""Sequences, sorted by length, that are padded and computed together."""


@dataclass(frozen=True)
class Encoded:
    """Token ids of prompt and response, and how many of them are the prompt's."""

    ids: list[int]
    prompt_length: int


@dataclass(frozen=True)
class State:
    """What training changes."""

    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    updates: int


@dataclass(frozen=True)
class Taught:
    """A model whose training is over."""

    model: LlamaForCausalLM
    updates: int
    """Optimizer updates that it took."""


class Trainer:
    """A model, its tokenizer and its optimizer."""

    def __init__(self, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.updates = 0
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01)

    def step(self, examples: Sequence[Example], learning_rate: float) -> float:
        """One optimizer update; returns the loss, a mean over all response tokens (nats)."""
        rows = sorted(self._encode(examples), key=lambda row: len(row.ids))
        tokens = sum(len(row.ids) - row.prompt_length for row in rows)
        self.model.train()
        loss = 0.0
        for first in range(0, len(rows), MICRO_BATCH):
            part = self._loss_sum(rows[first : first + MICRO_BATCH]) / tokens
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.item()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.updates += 1
        return loss

    def taught(self) -> Taught:
        """A copy of the model as it is now."""
        return Taught(copy.deepcopy(self.model), self.updates)

    def state(self) -> State:
        """A copy of weights and optimizer."""
        return copy.deepcopy(State(self.model.state_dict(), self.optimizer.state_dict(), self.updates))

    def restore(self, state: State) -> None:
        """Go back to an earlier state, which stays as it is."""
        self.model.load_state_dict(state.model)
        self.optimizer.load_state_dict(copy.deepcopy(state.optimizer))
        self.updates = state.updates

    def _encode(self, examples: Sequence[Example]) -> list[Encoded]:
        chats = [[{"role": "user", "content": example.prompt}] for example in examples]
        texts = self.tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
        prompts = self.tokenizer(texts)["input_ids"]
        responses = self.tokenizer([example.response for example in examples])["input_ids"]
        end = [self.tokenizer.eos_token_id]
        return [
            Encoded(prompt + response + end, len(prompt))
            for prompt, response in zip(prompts, responses, strict=True)
        ]

    def _loss_sum(self, rows: Sequence[Encoded]) -> torch.Tensor:
        width = max(len(row.ids) for row in rows)
        ids = torch.full((len(rows), width), self.tokenizer.pad_token_id)
        labels = torch.full((len(rows), width), IGNORED)
        for index, row in enumerate(rows):
            tokens = torch.tensor(row.ids)
            ids[index, : len(row.ids)] = tokens
            labels[index, row.prompt_length : len(row.ids)] = tokens[row.prompt_length :]
        # Padding stands on the right, where causal attention never looks: no mask is needed.
        logits = self.model(input_ids=ids, use_cache=False).logits[:, :-1]
        return cross_entropy(
            logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
        )
