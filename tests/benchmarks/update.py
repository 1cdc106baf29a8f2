"""Updates against the machine's arithmetic limit, and the memory of the output layer.

The limit of an update is 6 operations a parameter and token that goes through the model (2 forward, 4
backward) at the rate that a large matrix product of the same type reaches in the same process on the same
threads.
"""

import argparse
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import median

import torch
from torch import nn

from schemas.config.learner import TorchLearnerConfig
from tests.benchmarks.measuring import forget_peak, in_turn, matrix_rate, peak_memory, seconds
from tests.benchmarks.models import MODELS, SMOLLM2
from tests.benchmarks.table import Table
from tests.tiny import tiny_tokenizer
from zppo.core.objective import ClipBounds
from zppo.learners.batching import micro_batches
from zppo.learners.head import MAX_CHUNK_LOGITS, score_tokens
from zppo.learners.objectives import PolicyObjective
from zppo.learners.packing import sharing_of
from zppo.learners.torch import TorchLearner
from zppo.ports import MiniBatch, PolicyRow

TARGET = 0.6
"""Of the limit, for SmolLM2's shape."""
HEADS = (
    (2048, 8_000),
    (2048, 49_152),
    (1024, 248_000),
    (2048, 248_000),
    (4096, 248_000),
)
"""Tokens and vocabulary."""
HEAD_HIDDEN = 64
SHARES = ("never", "auto")
COLUMNS = (
    "update",
    "of a matrix product's, GFLOP/s",
    "prompts apart: tokens/s",
    "of the limit",
    "prompts shared: tokens/s",
    "of the limit",
    "shared / apart, time",
)
NOTES = (
    "One update on groups of 8 responses, its optimizer step included; CPU seconds, the median of "
    "repetitions taken in turn. Tokens/s counts prompts and responses as asked for; the limit counts what "
    f"goes through the model, each shared prompt once. Target: {TARGET:.0%} of the limit for {SMOLLM2}.",
)


@dataclass(frozen=True)
class Work:
    """Updates of one model."""

    name: str
    model: str
    """In `MODELS`."""
    groups: int
    prompt: int
    response: int
    """Tokens of every response, 8 to a prompt."""
    max_batch_tokens: int


WORKS = (
    Work("pocket, plain prompts, 16 + 13", "pocket", 4, 16, 13, 1024),
    Work("pocket, long prompts, 110 + 13", "pocket", 4, 110, 13, 1024),
    Work(f"{SMOLLM2}, 64 + 32", SMOLLM2, 1, 64, 32, 4096),
)


def rows_of(work: Work, vocabulary: int) -> list[PolicyRow]:
    """Groups of 8 random responses, each with an advantage."""
    random = Random(0)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(random.randrange(vocabulary) for _ in range(count))

    prompts = [tokens(work.prompt) for _ in range(work.groups)]
    return [
        PolicyRow(f"{group}#{i}", prompt, tokens(work.response), (-4.0,) * work.response, 1.0 - 2 * (i % 2))
        for group, prompt in enumerate(prompts)
        for i in range(8)
    ]


def main(arguments: Sequence[str]) -> list[Table]:
    """Measure.

    Args:
        arguments: Of the command line; `--help` tells.
    """
    parser = argparse.ArgumentParser(prog="update", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="leave SmolLM2's shape out")
    given = parser.parse_args(arguments)
    works = WORKS[: 2 if given.small else None]
    updates = tuple(_measured(work, given.repeats if work.model == "pocket" else 3) for work in works)
    return [Table("Updates against the arithmetic limit", COLUMNS, updates, NOTES), _head_table()]


def _measured(work: Work, repeats: int) -> tuple[str, ...]:
    learners = {share: _learner(work, share) for share in SHARES}
    model = MODELS[work.model]()
    rows = rows_of(work, model.config.vocab_size)
    batch = MiniBatch(tuple(rows))
    taken = in_turn(
        {
            "never": lambda: seconds(lambda: learners["never"].update(batch)),
            "auto": lambda: seconds(lambda: learners["auto"].update(batch)),
            "rate": matrix_rate,
        },
        repeats,
    )
    rate, asked = max(taken["rate"]), sum(len(row.prompt_ids) + len(row.response_ids) for row in rows)
    cells = []
    for share in SHARES:
        sharing = sharing_of(model, work.max_batch_tokens) if share == "auto" else None
        packs = micro_batches(rows, work.max_batch_tokens, sharing)
        computed = sum(pack.length for packed in packs for pack in packed)
        limit = seconds_at_least(model.num_parameters(), computed, rate)
        cells += [f"{asked / median(taken[share]):,.0f}", f"{limit / median(taken[share]):.0%}"]
    ratio = median(taken["auto"]) / median(taken["never"])
    return work.name, f"{rate / 1e9:.0f}", *cells, f"{ratio:.2f}"


def seconds_at_least(parameters: int, tokens: int, rate: float) -> float:
    """Of an update on so many tokens, at this rate of operations a second."""
    return 6 * parameters * tokens / rate


def _learner(work: Work, share: str) -> TorchLearner:
    config = TorchLearnerConfig.model_validate(
        {"max_batch_tokens": work.max_batch_tokens, "share_prompts": share}
    )
    return TorchLearner(MODELS[work.model](), tiny_tokenizer(), config, PolicyObjective(ClipBounds(), 1.0))


def _head_table() -> Table:
    """Each measured in a process of its own."""
    rows = []
    for tokens, vocabulary in HEADS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak = pool.apply(head_memory, (tokens, vocabulary))
        whole = tokens * vocabulary * 4 / 2**20
        rows.append((f"{tokens:,}", f"{vocabulary:,}", f"{peak:,.0f}", f"{whole:,.0f}"))
    columns = ("tokens", "vocabulary", "peak of scores and gradient, MiB", "one copy of all logits, MiB")
    note = (
        f"Hidden size {HEAD_HIDDEN}; weights and their gradient left out. A chunk has at most "
        f"{MAX_CHUNK_LOGITS * 4 >> 20} MiB of logits, of which the backward pass holds a few copies."
    )
    return Table("Memory of the output layer", columns, tuple(rows), (note,))


def head_memory(tokens: int, vocabulary: int) -> float:
    """MiB that scores and gradient of a head take at their peak, weights and their gradient left out."""
    head = nn.Linear(HEAD_HIDDEN, vocabulary, bias=False)
    head.weight.grad = torch.ones_like(head.weight)
    hidden = torch.randn(tokens, HEAD_HIDDEN, requires_grad=True)
    targets = torch.randint(vocabulary, (tokens,))
    forget_peak()
    before = peak_memory()
    score_tokens(head, hidden, targets, 1.0)[0].sum().backward()  # type: ignore[no-untyped-call]
    return peak_memory() - before
