"""Engines on servers of the tests."""

from pathlib import Path

from schemas.config.models import DecodingConfig
from tests.fakes.vllm_server import EOS, VOCABULARY, FakeVllm, drawn
from tests.tiny import tiny_chat
from zppo.engines.vllm.engine import VllmEngine
from zppo.engines.vllm.replica import Terms
from zppo.engines.vllm.servers import GivenServer, Server
from zppo.engines.vllm.weights import Weights
from zppo.ports import Generation, GenerationFailure, GenerationRequest

WINDOW = 256
PLAIN = DecodingConfig(temperature=0.7, top_p=1.0, top_k=0, presence_penalty=0.0, max_response_tokens=8)


def weights_of(directory: Path) -> Weights:
    """Of a checkpoint that nothing changes."""
    return Weights(directory / "checkpoint", "tiny", "sha256:tiny", directory / "weights")


def terms(**changes: float | bool) -> Terms:
    """Patient for a second."""
    return Terms(**{"eos_ids": (EOS,), "vocabulary": VOCABULARY, "window": WINDOW, "concurrency": 64,
                    "silence_seconds": 1.0, "restarts": 2, **changes})  # fmt: skip


def given(*fakes: FakeVllm) -> list[Server]:
    """The fakes as running servers."""
    return [GivenServer(fake.url, 5.0) for fake in fakes]


def engine_on(servers: list[Server], weights: Weights, **changes: float | bool) -> VllmEngine:
    """An engine with a tiny tokenizer."""
    return VllmEngine(tiny_chat(), servers, weights, terms(**changes))


def questions(count: int, size: int = 4) -> list[GenerationRequest]:
    """Prompts of one to some tokens, with seeds of their own."""
    prompts = [(4, *range(5, 6 + place % 7), place) for place in range(count)]
    return [
        GenerationRequest(f"q{place}", prompt, tuple(range(place, place + size)))
        for place, prompt in enumerate(prompts)
    ]


def tokens(answers: list[tuple[Generation | GenerationFailure, ...]]) -> list[list[tuple[int, ...]]]:
    """Token ids of every response; there must be no failure among them."""
    return [[response.token_ids for response in group] for group in answers]


def expected(
    requests: list[GenerationRequest], limit: int = PLAIN.max_response_tokens
) -> list[list[tuple[int, ...]]]:
    """What the fakes draw."""
    return [
        [tuple(drawn(list(request.prompt_ids), seed, limit)) for seed in request.seeds]
        for request in requests
    ]  # fmt: skip
