"""Tokens a second of the decoding loop against what memory and arithmetic of the machine allow."""

import argparse
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import PreTrainedModel

from schemas.config.models import DecodingConfig
from tests.benchmarks.measuring import copy_rate, in_turn, matrix_rate, seconds
from tests.benchmarks.models import MODELS, SMOLLM2, prompts_of
from tests.benchmarks.table import Table
from zppo.engines.batching import Company, Queue
from zppo.engines.decoding import Decoder
from zppo.engines.sampling import Sampler
from zppo.ports import GenerationRequest

COLUMNS = (
    "model",
    "responses",
    "tokens/s",
    "a step, ms",
    "limit by bytes, ms",
    "limit by arithmetic, ms",
    "of the nearer limit",
    "where a step's time goes",
)
ROWS = {"pocket": (1, 32, 256), SMOLLM2: (1, 16, 64)}
PROMPT = 16
NOTES = (
    "A step draws one token for every response: the time of a batch, less that of the same batch with one "
    "token, over the further tokens; CPU seconds, the median of repetitions taken in turn. Bytes: every "
    "weight of a matrix product once and the key-value cache up to the middle of the response, over the "
    "rate at which a large copy reads. Arithmetic: two operations a weight and response, over the rate of "
    "a large product of two matrices. Both rates are measured in the same process.",
    "The last column is the profile of a batch by kernel; *other* is dispatch and Python.",
)


@dataclass(frozen=True)
class Limits:
    """Least seconds of a decoding step."""

    bytes: float
    arithmetic: float

    @property
    def nearer(self) -> float:
        """The one that binds."""
        return max(self.bytes, self.arithmetic)


def limits_of(
    weights: int, cached: int, rows: int, bytes_a_second: float, operations_a_second: float, size: int = 4
) -> Limits:
    """Limits of a step.

    Args:
        weights: In matrix products.
        cached: Numbers in the key-value cache of a response.
        rows: Responses.
        bytes_a_second: Read.
        operations_a_second: A multiplication and an addition are two.
        size: Bytes of a number.
    """
    return Limits(
        bytes=size * (weights + rows * cached) / bytes_a_second,
        arithmetic=2 * weights * rows / operations_a_second,
    )


def main(arguments: Sequence[str]) -> list[Table]:
    """Measure.

    Args:
        arguments: Of the command line; `--help` tells.
    """
    parser = argparse.ArgumentParser(prog="decode", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--tokens", type=int, default=17, help="of every response")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args(arguments)
    cells = []
    for name in given.models:
        model = MODELS[name]().eval()  # type: ignore[no-untyped-call]
        for rows in ROWS[name]:
            cells.append((name, *_measured(model, rows, given.tokens, given.repeats)))
    return [Table("Decoding against the machine's limits", COLUMNS, tuple(cells), NOTES)]


def _measured(model: PreTrainedModel, rows: int, tokens: int, repeats: int) -> tuple[str, ...]:
    sampler = Sampler(DecodingConfig(temperature=1.0, top_p=1.0, top_k=0, presence_penalty=0.0))
    request = _request(rows, model.config.vocab_size)

    def run(limit: int) -> None:
        company = Company(max_tokens=rows * (PROMPT + limit))
        with torch.inference_mode():
            deque(
                Decoder(model, sampler, [model.config.vocab_size]).decode(Queue([request], [limit], company)),
                0,
            )

    taken = in_turn(
        {
            "whole": lambda: seconds(lambda: run(tokens)),
            "start": lambda: seconds(lambda: run(1)),
            "bytes": copy_rate,
            "operations": matrix_rate,
        },
        repeats,
    )
    step = (median(taken["whole"]) - median(taken["start"])) / (tokens - 1)
    limits = limits_of(
        _multiplied(model), _cached(model, tokens), rows, max(taken["bytes"]), max(taken["operations"])
    )
    return (
        str(rows),
        f"{rows / step:,.0f}",
        f"{1e3 * step:.2f}",
        f"{1e3 * limits.bytes:.2f}",
        f"{1e3 * limits.arithmetic:.2f}",
        f"{limits.nearer / step:.0%}",
        _profiled(lambda: run(tokens)),
    )


def _request(rows: int, vocabulary: int) -> GenerationRequest:
    """Responses to one prompt, which is read once."""
    prompt = tuple(int(word[1:]) for word in prompts_of(1, PROMPT, vocabulary)[0].split())
    return GenerationRequest("q", prompt, tuple(range(rows)))


def _multiplied(model: PreTrainedModel) -> int:
    """Weights that a token is multiplied with: all, but the input embeddings where the head has its own."""
    embeddings = model.get_input_embeddings().get_parameter("weight").numel()
    return model.num_parameters() - (0 if model.config.tie_word_embeddings else embeddings)


def _cached(model: PreTrainedModel, tokens: int) -> int:
    """Keys and values of a response in the middle of it."""
    config = model.config
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * config.num_key_value_heads * head * (PROMPT + tokens // 2))


KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "attention": ("aten::_scaled_dot_product_flash_attention_for_cpu",),
    "copies": ("aten::copy_", "aten::index_select", "aten::cat"),
    "drawing": ("aten::_log_softmax", "aten::exp", "aten::cumsum", "aten::searchsorted"),
    "other element-wise": ("aten::mul", "aten::add", "aten::silu", "aten::pow", "aten::mean", "aten::sum"),
}


def _profiled(act: Callable[[], None]) -> str:
    """Shares of the time by kind of kernel, the largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        act()
    by_name = {each.key: each.self_cpu_time_total for each in recorded.key_averages()}
    total = sum(by_name.values())
    shares = {kind: sum(by_name.get(name, 0) for name in names) / total for kind, names in KINDS.items()}
    shares["other"] = 1 - sum(shares.values())
    return ", ".join(
        f"{kind} {share:.0%}" for kind, share in sorted(shares.items(), key=lambda each: -each[1])
    )
