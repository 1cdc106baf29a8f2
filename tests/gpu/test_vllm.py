"""A vLLM server on a GPU: beside the learner, asleep while that works, and on its current weights."""

import pytest
import torch

from schemas.config.machine import ManagedServers
from schemas.config.models import ModelConfig, TransformersEngineConfig
from schemas.config.run import Runtime
from tests.vllm.test_agreement import assert_greedy_is_equal, chains, largest_difference, plain
from tests.vllm_servers import PYTHON, served
from zppo.engines.transformers import TransformersEngine
from zppo.engines.vllm.weights import Weights
from zppo.models.loading import load_model, load_tokenizer, resolve

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def pocket(tmp_path_factory):
    if not torch.cuda.is_available() or not PYTHON.is_file():
        pytest.skip("needs a CUDA device and make vllm-env VLLM_BUILD=cuda")
    config = ModelConfig(model="pocket/student")
    module = load_model(config, resolve(config), torch.device("cuda"))
    chat = load_tokenizer(config, resolve(config))
    student = ManagedServers(python=PYTHON, colocated=True)
    runtime = Runtime.model_validate(
        {"home": tmp_path_factory.mktemp("home"), "device": "cuda", "vllm": {"student": student}}
    )
    with served("pocket/student", runtime, gpu_memory_fraction=0.3) as model:
        model.follow(module)
        yield model.engine, TransformersEngine(module, chat, TransformersEngineConfig()), module


def test_log_probabilities_are_the_models_at_the_sampling_temperature(pocket):
    engine, _, module = pocket
    requests = chains(engine)
    answers = engine.generate(requests, plain(0.7))
    assert largest_difference(module, requests, answers, 0.7) < 1e-3


def test_a_server_asleep_frees_the_gpu_and_wakes_up_with_the_current_weights(pocket):
    engine, transformers, module = pocket
    assert_greedy_is_equal(engine, transformers)
    used = torch.cuda.mem_get_info()[0]
    engine.rest()
    assert torch.cuda.mem_get_info()[0] > used
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.03)
    assert_greedy_is_equal(engine, transformers)


def test_weights_go_to_a_server_on_another_gpu_past_the_disk(tmp_path, monkeypatch):
    if torch.cuda.device_count() < 2 or not PYTHON.is_file():
        pytest.skip("needs two CUDA devices and make vllm-env VLLM_BUILD=cuda")
    monkeypatch.setattr(Weights, "directory", refuse)
    config = ModelConfig(model="pocket/student")
    module = load_model(config, resolve(config), torch.device("cuda:0"))
    transformers = TransformersEngine(
        module, load_tokenizer(config, resolve(config)), TransformersEngineConfig()
    )
    student = ManagedServers(python=PYTHON, devices=(1,), weight_sync="nccl")
    runtime = Runtime.model_validate({"home": tmp_path, "device": "cuda:0", "vllm": {"student": student}})
    with served("pocket/student", runtime, gpu_memory_fraction=0.3) as model:
        model.follow(module)
        for _ in range(3):
            assert_greedy_is_equal(model.engine, transformers)
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.mul_(1.03)


def refuse(weights):
    raise AssertionError("weights on the disk")
