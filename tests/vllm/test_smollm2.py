"""A real language model, of 135 million parameters, on a real server."""

import pytest
import torch

from schemas.config.models import ModelConfig, TransformersEngineConfig
from tests.vllm.test_agreement import CPU, TOLERANCE, flat, largest_difference, plain
from tests.vllm_servers import machine, served
from zppo.engines.transformers import TransformersEngine
from zppo.errors import InputError
from zppo.models.loading import checkpoint_directory, load_model, load_tokenizer, resolve
from zppo.ports import GenerationRequest

pytestmark = pytest.mark.vllm
TEXTS = ("What is the capital of France?", "Compute 12 + 7. Explain each step.")


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    config = ModelConfig(model="smollm2")
    try:
        directory = checkpoint_directory(resolve(config))
    except InputError as error:
        pytest.skip(f"make smollm2 first: {error}")
    torch.set_num_threads(1)
    module = load_model(config, resolve(config), CPU)
    chat = load_tokenizer(config, resolve(config))
    transformers = TransformersEngine(module, chat, TransformersEngineConfig())
    with served(str(directory), machine(tmp_path_factory.mktemp("home"), silence_seconds=120.0)) as model:
        yield model.engine, transformers, module


def test_greedy_decoding_and_log_probabilities_are_those_of_transformers(smollm2):
    engine, transformers, _ = smollm2
    requests = [GenerationRequest(text, engine.encode(text), (0,)) for text in TEXTS]
    ours, theirs = (flat(each.generate(requests, plain(0.0, 24))) for each in (engine, transformers))
    for one, other in zip(ours, theirs, strict=True):
        assert (one.token_ids, one.text) == (other.token_ids, other.text)
        assert one.logprobs == pytest.approx(other.logprobs, abs=TOLERANCE)


def test_sampled_log_probabilities_are_those_of_transformers(smollm2):
    engine, _, module = smollm2
    requests = [GenerationRequest(text, engine.encode(text), (1, 2)) for text in TEXTS]
    answers = engine.generate(requests, plain(0.7, 24))
    assert largest_difference(module, requests, answers, 0.7) < TOLERANCE
