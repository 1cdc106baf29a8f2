"""Adapters on a real server: it draws what the learner computes, whichever adapters were there before."""

from collections.abc import Iterator

import httpx
import pytest
import torch
from transformers import PreTrainedModel

from schemas.config.learner import LoraConfig
from schemas.config.models import ModelConfig, TransformersEngineConfig
from schemas.run import ResolvedModel
from tests.vllm.test_agreement import (
    CPU,
    TOLERANCE,
    assert_greedy_is_equal,
    chains,
    flat,
    largest_difference,
    plain,
)
from tests.vllm_servers import machine, processes, served
from zppo.engines.transformers import TransformersEngine
from zppo.learners.lora import Lora
from zppo.models.adapters import save_merged
from zppo.models.loading import ModelReference, digest, load_model, load_tokenizer, resolve
from zppo.ports import GenerationRequest
from zppo.wiring.vllm import Served

pytestmark = pytest.mark.vllm
RANK = LoraConfig(rank=4, alpha=8)


@pytest.fixture(scope="module")
def adapted(tmp_path_factory) -> Iterator[tuple[Served, TransformersEngine, PreTrainedModel]]:
    """The pocket student with adapters in it, on a server that was started with the checkpoint."""
    config = ModelConfig(model="pocket/student")
    module, chat = load_model(config, resolve(config), CPU), load_tokenizer(config, resolve(config))
    runtime = machine(tmp_path_factory.mktemp("home"), weight_sync="adapter")
    with served("pocket/student", runtime, RANK) as model:
        model.follow(module)
        Lora(module, RANK)
        yield model, TransformersEngine(module, chat, TransformersEngineConfig()), module


@torch.no_grad()
def learn(module: PreTrainedModel, seed: int) -> None:
    """Other adapters, which change every layer."""
    torch.manual_seed(seed)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.normal_(std=0.05)


def test_log_probabilities_are_the_adapted_models(adapted) -> None:
    model, _, module = adapted
    learn(module, 0)
    requests = chains(model.engine)
    answers = model.engine.generate(requests, plain(0.7))
    assert largest_difference(module, requests, answers, 0.7) < TOLERANCE


def test_new_adapters_are_sampled_from_at_the_next_call(adapted) -> None:
    model, transformers, module = adapted
    drawn = []
    for seed in (1, 2, 1):
        learn(module, seed)
        assert_greedy_is_equal(model.engine, transformers)
        answers = flat(model.engine.generate(chains(model.engine), plain(0.0)))
        drawn.append([each.token_ids for each in answers])
    assert drawn[0] == drawn[2] != drawn[1]


def test_the_keys_of_earlier_adapters_are_not_used_again(adapted) -> None:
    model, transformers, module = adapted
    text = "start 1 " + "*3 +2 " * 60 + "mod 19"
    request = GenerationRequest("long", model.engine.encode(text), (0,))
    for seed in (3, 4):
        learn(module, seed)
        ours, theirs = (flat(each.generate([request], plain(0.0))) for each in (model.engine, transformers))
        assert ours[0].token_ids == theirs[0].token_ids
        assert ours[0].logprobs == pytest.approx(theirs[0].logprobs, abs=TOLERANCE)


def test_the_server_names_the_adapter_by_its_content_and_holds_one(adapted) -> None:
    model, _, module = adapted
    learn(module, 5)
    model.engine.generate(chains(model.engine, 1), plain(0.0))
    (replica,) = model.engine._replicas
    listed = httpx.get(f"{replica._server.url}/v1/models").json()["data"]
    assert [each["id"] for each in listed if each["parent"]] == [model._weights.name]


def test_a_server_that_is_killed_gets_the_adapters_again(adapted) -> None:
    model, transformers, module = adapted
    learn(module, 6)
    assert_greedy_is_equal(model.engine, transformers, count=2)
    (victim,) = processes("EngineCore")
    victim.kill()
    assert_greedy_is_equal(model.engine, transformers, count=2)


def test_a_checkpoint_with_merged_adapters_takes_its_turn_on_the_same_server(adapted, tmp_path) -> None:
    model, transformers, module = adapted
    learn(module, 7)
    assert_greedy_is_equal(model.engine, transformers, count=2)
    servers, config = processes("api_server"), ModelConfig(model="pocket/student")
    save_merged(module, tmp_path)
    load_tokenizer(config, resolve(config)).tokenizer.save_pretrained(tmp_path)
    trained = ModelReference(str(tmp_path), directory=tmp_path)
    model.serve(config, trained, ResolvedModel(reference=str(tmp_path), digest=digest(trained)))
    assert_greedy_is_equal(model.engine, transformers, count=2)
    assert processes("api_server") == servers
