"""What a real server draws is what transformers computes, and it follows the learner."""

import httpx
import pytest
import torch
from transformers import PreTrainedModel

from schemas.config.models import DecodingConfig, ModelConfig, TransformersEngineConfig
from schemas.run import ResolvedModel
from tests.vllm_servers import machine, processes, served
from zppo.engines.transformers import TransformersEngine
from zppo.models.loading import ModelReference, digest, load_model, load_tokenizer, resolve
from zppo.ports import Generation, GenerationRequest, RolloutEngine

pytestmark = pytest.mark.vllm
TOLERANCE = 1e-4
CPU = torch.device("cpu")


def plain(temperature: float, tokens: int = 32) -> DecodingConfig:
    return DecodingConfig(
        temperature=temperature, top_p=1.0, top_k=0, presence_penalty=0.0, max_response_tokens=tokens
    )


def chains(engine: RolloutEngine, count: int = 12, size: int = 6) -> list[GenerationRequest]:
    texts = [f"start {place + 1} *3 +{place % 6 + 1} *2 mod 19" for place in range(count)]
    return [
        GenerationRequest(text, engine.encode(text), tuple(range(place * size, (place + 1) * size)))
        for place, text in enumerate(texts)
    ]


def flat(answers) -> list[Generation]:
    return [each for group in answers for each in group]


@torch.no_grad()
def scored(model: PreTrainedModel, request: GenerationRequest, token_ids, temperature: float) -> list[float]:
    """Log-probabilities of a response, by one forward pass over prompt and response."""
    ids = torch.tensor([request.prompt_ids + token_ids], device=model.device)
    logits = model(ids).logits[0].double().cpu()
    logprobs = torch.log_softmax(logits / temperature, dim=-1)[len(request.prompt_ids) - 1 : -1]
    return logprobs[torch.arange(len(token_ids)), torch.tensor(token_ids)].tolist()


def largest_difference(model, requests, answers, temperature) -> float:
    return max(
        abs(ours - theirs)
        for request, group in zip(requests, answers, strict=True)
        for drawn in group
        for ours, theirs in zip(
            scored(model, request, drawn.token_ids, temperature), drawn.logprobs, strict=True
        )
    )


@pytest.fixture(scope="module")
def pocket(tmp_path_factory):
    config = ModelConfig(model="pocket/student")
    module = load_model(config, resolve(config), CPU)
    with served("pocket/student", machine(tmp_path_factory.mktemp("home"))) as model:
        model.follow(module)
        chat = load_tokenizer(config, resolve(config))
        yield model.engine, TransformersEngine(module, chat, TransformersEngineConfig()), module


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_are_the_models_at_the_sampling_temperature(pocket, temperature):
    engine, _, module = pocket
    requests = chains(engine)
    answers = engine.generate(requests, plain(temperature))
    assert largest_difference(module, requests, answers, temperature) < TOLERANCE


def assert_greedy_is_equal(engine, transformers, count=12, tokens=32):
    requests = chains(engine, count, 1)
    ours, theirs = (flat(each.generate(requests, plain(0.0, tokens))) for each in (engine, transformers))
    for one, other in zip(ours, theirs, strict=True):
        assert (one.token_ids, one.text, one.stop) == (other.token_ids, other.text, other.stop)
        assert one.logprobs == pytest.approx(other.logprobs, abs=TOLERANCE)


def test_greedy_decoding_gives_the_tokens_of_transformers(pocket):
    assert_greedy_is_equal(*pocket[:2])


def test_more_prompts_than_the_server_reads_in_one_step_are_all_answered(pocket):
    """Their tokens end in the middle of a prompt wherever a step is full."""
    engine, _, module = pocket
    texts = [f"start {place % 18 + 1} " + "*3 +2 " * (place % 20 + 1) + "mod 19" for place in range(400)]
    requests = [
        GenerationRequest(f"{place}", engine.encode(text), (place,)) for place, text in enumerate(texts)
    ]
    assert sum(len(each.prompt_ids) for each in requests) > 8192
    answers = engine.generate(requests, plain(1.0))
    assert largest_difference(module, requests[::20], answers[::20], 1.0) < TOLERANCE


def test_the_sampling_distribution_is_the_models(pocket):
    """Of 600 first tokens, each likely one comes up as often as its probability says, within 5 deviations."""
    engine, _, module = pocket
    (request,) = chains(engine, 1, 600)
    drawn = [each.token_ids[0] for each in flat(engine.generate([request], plain(1.0, 1)))]
    with torch.no_grad():
        probabilities = module(torch.tensor([request.prompt_ids])).logits[0, -1].softmax(-1)
    for token in range(len(probabilities)):
        p = probabilities[token].item()
        deviation = (600 * p * (1 - p)) ** 0.5
        assert abs(drawn.count(token) - 600 * p) < 5 * deviation + 1


def test_a_seed_gives_the_same_tokens_whatever_else_is_in_the_batch(pocket):
    engine, _, _ = pocket
    requests = chains(engine)
    together = engine.generate(requests, plain(1.0))
    for request, group in list(zip(requests, together, strict=True))[::5]:
        (alone,) = engine.generate([request], plain(1.0))
        assert [each.token_ids for each in alone] == [each.token_ids for each in group]


def test_changed_weights_are_sampled_from_at_the_next_call_with_no_stale_keys(pocket):
    engine, transformers, module = pocket
    assert_greedy_is_equal(engine, transformers)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.03)
    assert_greedy_is_equal(engine, transformers)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.div_(1.03)
    assert_greedy_is_equal(engine, transformers)


def test_the_responses_of_a_prompt_share_its_prefill(pocket):
    engine, _, _ = pocket
    text = "start 1 " + "*3 +2 " * 60 + "mod 19"
    request = GenerationRequest("long", engine.encode(text), tuple(range(16)))
    url = engine._replicas[0]._server.url

    def hits() -> float:
        lines = httpx.get(f"{url}/metrics").text.splitlines()
        return sum(
            float(each.split()[-1]) for each in lines if each.startswith("vllm:prefix_cache_hits_total")
        )

    before = hits()
    engine.generate([request], plain(1.0))
    assert hits() - before >= 15 * (len(request.prompt_ids) // 32 - 1) * 32


def test_running_servers_serve_as_well_as_managed_ones(pocket, tmp_path):
    engine, transformers, _ = pocket
    with served("pocket/student", machine(tmp_path, urls=[engine._replicas[0]._server.url])) as given:
        assert_greedy_is_equal(given.engine, transformers)
    assert processes("api_server")


def test_another_checkpoint_of_the_architecture_takes_its_turn_on_the_same_server(tmp_path):
    """As a student before and after training in an evaluation."""
    config, reference = ModelConfig(model="pocket/student"), resolve(ModelConfig(model="pocket/student"))
    module, chat = load_model(config, reference, CPU), load_tokenizer(config, reference)
    transformers = TransformersEngine(module, chat, TransformersEngineConfig())
    with served("pocket/student", machine(tmp_path / "home")) as model:
        assert_greedy_is_equal(model.engine, transformers, count=2)
        servers = processes("api_server")
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.mul_(1.03)
        trained = tmp_path / "trained"
        module.save_pretrained(trained)
        chat.tokenizer.save_pretrained(trained)
        later = ModelReference(str(trained), directory=trained)
        model.serve(config, later, ResolvedModel(reference=str(trained), digest=digest(later)))
        assert_greedy_is_equal(model.engine, transformers, count=2)
        assert processes("api_server") == servers
