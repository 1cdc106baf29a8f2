"""Updates against the machine's arithmetic limit: `python -m tests.benchmarks.update [--small]`.

The limit of an update is 6 operations a parameter and token that goes through the model (2 forward, 4
backward) at the rate that a large matrix product of the same type reaches in the same process on the same
threads. Both are timed in turn, in seconds of this process's CPU, so that neighbours on the machine matter
less; on several threads these are wall-clock seconds.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from schemas.config.learner import TorchLearnerConfig
from tests.tiny import tiny_tokenizer
from zppo.core.objective import ClipBounds
from zppo.learners.batching import micro_batches
from zppo.learners.head import score_tokens
from zppo.learners.objectives import PolicyObjective
from zppo.learners.packing import sharing_of
from zppo.learners.torch import TorchLearner
from zppo.ports import MiniBatch, PolicyRow

POCKET = Path(__file__).parents[2] / "zppo" / "pocket" / "student"
VOCABULARIES = (1_000, 8_000, 49_152, 152_000, 248_000)
HEAD_TOKENS, HEAD_HIDDEN = 2048, 64


@dataclass(frozen=True)
class Work:
    """Updates of one model."""

    name: str
    model: Callable[[], PreTrainedModel]
    groups: int
    prompt: int
    response: int
    """Tokens of every response, 8 to a prompt."""
    max_batch_tokens: int


def load_pocket() -> PreTrainedModel:
    """The pocket student, float32."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(POCKET, dtype=torch.float32)
    return model


def smollm2_shape() -> PreTrainedModel:
    """A Llama of SmolLM2-135M's shape with random weights."""
    config = LlamaConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


WORKS = (
    Work("pocket, plain prompts", load_pocket, 4, 16, 13, 1024),
    Work("pocket, long prompts", load_pocket, 4, 110, 13, 1024),
    Work("SmolLM2-135M's shape", smollm2_shape, 1, 64, 32, 4096),
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


def clock() -> float:
    """Seconds that count: see the module."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def seconds(act: Callable[[], object]) -> float:
    """Of one call."""
    start = clock()
    act()
    return clock() - start


def matrix_product(size: int = 1024) -> Callable[[], object]:
    """A product of two square float32 matrices."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    return lambda: a @ b


def measure(work: Work, repeats: int) -> str:
    """A line of the table: tokens a second with and without sharing, and both against the limit."""
    learners: dict[str, TorchLearner] = {}
    for share in ("never", "auto"):
        model = work.model()
        config = TorchLearnerConfig.model_validate(
            {"max_batch_tokens": work.max_batch_tokens, "share_prompts": share}
        )
        learners[share] = TorchLearner(model, tiny_tokenizer(), config, PolicyObjective(ClipBounds(), 1.0))
    rows = rows_of(work, model.config.vocab_size)
    batch, product = MiniBatch(tuple(rows)), matrix_product()
    times: dict[str, list[float]] = {"never": [], "auto": [], "product": []}
    for repeat in range(repeats + 1):
        taken = {share: seconds(lambda each=each: each.update(batch)) for share, each in learners.items()}
        taken["product"] = min(seconds(product) for _ in range(3))
        if repeat:  # the first one warms up
            for name, value in taken.items():
                times[name].append(value)
    rate = 2 * 1024**3 / min(times["product"])
    sharing = sharing_of(model, work.max_batch_tokens)
    parts = [f"{work.name:22} {rate / 1e9:6.1f} GFLOP/s"]
    asked = sum(len(row.prompt_ids) + len(row.response_ids) for row in rows)
    for share in ("never", "auto"):
        packs = micro_batches(rows, work.max_batch_tokens, sharing if share == "auto" else None)
        computed = sum(pack.length for packed in packs for pack in packed)
        taken_s = median(times[share])
        limit = 6 * model.num_parameters() * computed / rate
        parts.append(f"{share}: {asked / taken_s:8.0f} tokens/s, {limit / taken_s:4.0%} of the limit")
    parts.append(f"auto takes {median(times['auto']) / median(times['never']):.2f} of never")
    return " | ".join(parts)


def head_memory(vocabulary: int) -> float:
    """MiB that scores and gradient of a head take at their peak, weights and their gradient left out."""
    head = nn.Linear(HEAD_HIDDEN, vocabulary, bias=False)
    head.weight.grad = torch.ones_like(head.weight)
    hidden = torch.randn(HEAD_TOKENS, HEAD_HIDDEN, requires_grad=True)
    targets = torch.randint(vocabulary, (HEAD_TOKENS,))
    Path("/proc/self/clear_refs").write_text("5")  # begins the peak anew (Linux)
    before = peak_memory()
    score_tokens(head, hidden, targets, 1.0)[0].sum().backward()  # type: ignore[no-untyped-call]
    return peak_memory() - before


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def head_lines() -> Iterator[str]:
    """A line a vocabulary, each measured in a process of its own."""
    for vocabulary in VOCABULARIES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak = pool.apply(head_memory, (vocabulary,))
        whole = HEAD_TOKENS * vocabulary * 4 / 2**20
        yield f"head of {vocabulary:7,}: peak {peak:6.0f} MiB; one copy of all logits {whole:6.0f} MiB"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="leave SmolLM2's shape out")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for work in WORKS[: 2 if arguments.small else None]:
        print(measure(work, arguments.repeats if "pocket" in work.name else 2), flush=True)
    for line in head_lines():
        print(line, flush=True)


if __name__ == "__main__":
    main()
