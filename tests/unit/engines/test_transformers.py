import inspect
import random
from dataclasses import replace

import pytest
import torch
from transformers import Lfm2Config, Lfm2ForCausalLM, PreTrainedModel

from schemas.config.models import DecodingConfig, TransformersEngineConfig
from tests.tiny import ARCHITECTURES, EOS, VOCABULARY, tiny_chat, tiny_model
from zppo.engines.ending import end_of_sequence_ids
from zppo.engines.transformers import TransformersEngine, tolerates_left_padding
from zppo.errors import InputError
from zppo.ports import Generation, GenerationFailure, GenerationRequest

PLAIN = DecodingConfig(temperature=1.0, top_p=1.0, top_k=0, presence_penalty=0.0, max_response_tokens=16)
# In float64 no uniform number falls between two cumulative probabilities that differ by rounding alone;
# the recurrent layers of Qwen3.5 compute in float32 whatever the type of the weights.
EXACT = ("llama", "qwen2", "qwen3")


def engine_of(model: PreTrainedModel, max_batch_tokens: int = 65536) -> TransformersEngine:
    return TransformersEngine(model, tiny_chat(), TransformersEngineConfig(max_batch_tokens=max_batch_tokens))


def some_requests(lengths=(1, 3, 3, 9, 17, 70), group=4) -> list[GenerationRequest]:
    numbers = random.Random(0)
    return [
        GenerationRequest(
            f"q{place}",
            tuple(numbers.randrange(5, VOCABULARY) for _ in range(length)),
            tuple(numbers.randrange(2**62) for _ in range(group)),
        )
        for place, length in enumerate(lengths)
    ]


def one_by_one(engine: TransformersEngine, requests, decoding):
    return [
        tuple(engine.generate([replace(request, seeds=(seed,))], decoding)[0][0] for seed in request.seeds)
        for request in requests
    ]


def recomputed(model: PreTrainedModel, prompt_ids, token_ids, temperature: float = 1.0) -> list[float]:
    """Log-probabilities of one response without cache, padding or batch."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt_ids + token_ids])).logits[0]
    logprobs = (logits[len(prompt_ids) - 1 : -1] / temperature).log_softmax(-1)
    return logprobs.gather(1, torch.tensor(token_ids)[:, None]).squeeze(1).tolist()


def transformed(model: PreTrainedModel, change) -> PreTrainedModel:
    """The model with its logits changed by `change(input_ids, logits)`."""
    forward = model.forward

    def changed(input_ids, **kwargs):
        output = forward(input_ids=input_ids, **kwargs)
        output.logits = change(input_ids, output.logits)
        return output

    changed.__signature__ = inspect.signature(forward)
    model.forward = changed
    return model


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_of_a_padded_shared_batch_equal_those_of_the_sequence_alone(
    architecture, temperature
):
    model = tiny_model(architecture)
    decoding = PLAIN.model_copy(update={"temperature": temperature})
    requests = some_requests()
    for request, group in zip(requests, engine_of(model).generate(requests, decoding), strict=True):
        for generation in group:
            expected = recomputed(model, request.prompt_ids, generation.token_ids, temperature)
            assert generation.logprobs == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("architecture", ["llama", "qwen3_5"])
def test_padding_is_safe_with_every_attention_implementation(architecture, attention):
    model = tiny_model(architecture)
    model.set_attn_implementation(attention)
    requests = some_requests(lengths=(1, 40))
    for request, group in zip(requests, engine_of(model).generate(requests, PLAIN), strict=True):
        for generation in group:
            expected = recomputed(model, request.prompt_ids, generation.token_ids)
            assert generation.logprobs == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("architecture", EXACT)
@pytest.mark.parametrize("decoding", [PLAIN, DecodingConfig(max_response_tokens=16)], ids=["plain", "paper"])
def test_tokens_depend_on_the_seed_and_not_on_the_company(architecture, decoding):
    engine = engine_of(tiny_model(architecture).double())
    requests = some_requests(lengths=(1, 3, 17), group=3)
    together = engine.generate(requests, decoding)
    alone = one_by_one(engine, requests, decoding)
    assert [[g.token_ids for g in group] for group in together] == [
        [g.token_ids for g in group] for group in alone
    ]


@pytest.mark.parametrize("max_batch_tokens", [1, 40, 200])
def test_tokens_do_not_depend_on_the_size_of_the_batches(max_batch_tokens):
    model = tiny_model("llama").double()
    requests = some_requests(lengths=(1, 3, 3, 17), group=3)
    large, small = (
        engine_of(model, tokens).generate(requests, PLAIN) for tokens in (65536, max_batch_tokens)
    )
    for one, other in zip(large, small, strict=True):
        assert [g.token_ids for g in one] == [g.token_ids for g in other]


def test_a_prompt_is_prefilled_once_and_finished_rows_leave_the_batch():
    shapes = []

    def record(input_ids, logits):
        shapes.append(tuple(input_ids.shape))
        return logits

    model = transformed(tiny_model("llama"), record)
    model.generation_config.eos_token_id = list(range(0, VOCABULARY, 4))
    engine_of(model).generate(some_requests(lengths=(2, 5, 7), group=20), PLAIN)
    assert shapes[0] == (3, 7)
    rows = [shape[0] for shape in shapes[1:]]
    assert rows == sorted(rows, reverse=True)
    assert rows[0] <= 60
    assert rows[-1] < 10
    assert {shape[1] for shape in shapes[1:]} == {1}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_decoding_is_that_of_transformers(architecture):
    model = tiny_model(architecture)
    decoding = DecodingConfig(temperature=0.0, presence_penalty=0.0, max_response_tokens=16)
    for request in some_requests(lengths=(3, 9), group=1):
        expected = model.generate(
            torch.tensor([request.prompt_ids]), do_sample=False, max_new_tokens=16, pad_token_id=0
        )
        ((generation,),) = engine_of(model).generate([request], decoding)
        assert generation.token_ids == tuple(expected[0, len(request.prompt_ids) :].tolist())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_responses_of_one_group_differ(architecture):
    (group,) = engine_of(tiny_model(architecture)).generate(some_requests(lengths=(5,), group=16), PLAIN)
    assert len({generation.token_ids for generation in group}) > 8


def test_every_end_of_sequence_token_of_the_generation_config_ends_a_response():
    model = tiny_model("llama")
    model.generation_config.eos_token_id = list(range(0, VOCABULARY, 3))
    answers = engine_of(model).generate(some_requests(), PLAIN)
    generations = [generation for group in answers for generation in group]
    assert {generation.stop for generation in generations} == {"eos"}
    assert len({generation.token_ids[-1] for generation in generations}) > 1
    for generation in generations:
        assert [token % 3 == 0 for token in generation.token_ids] == [False] * (
            len(generation.token_ids) - 1
        ) + [True]


def test_the_text_is_that_of_the_tokens_before_the_end():
    engine, chat = engine_of(tiny_model("llama")), tiny_chat()
    answers = [g for group in engine.generate(some_requests(group=8), PLAIN) for g in group]
    assert {generation.stop for generation in answers} == {"eos", "length"}
    for generation in answers:
        assert generation.text == chat.decode([token for token in generation.token_ids if token != EOS])


def test_log_probabilities_after_a_prefix_are_those_of_the_whole_sequence():
    model = tiny_model("llama")
    prefixes = [(), (7, 8), (9,) * 6, (5,), (11, 12, 13), (20,)]
    requests = [
        replace(request, prefix_ids=prefix) for request, prefix in zip(some_requests(), prefixes, strict=True)
    ]
    for request, group in zip(requests, engine_of(model, 200).generate(requests, PLAIN), strict=True):
        for generation in group:
            before = request.prompt_ids + request.prefix_ids
            assert generation.logprobs == pytest.approx(
                recomputed(model, before, generation.token_ids), abs=1e-4
            )


@pytest.mark.parametrize(
    ("prompt", "prefix", "cause"),
    [
        (0, 3, "a prompt of 1 to 255 tokens fits into the context window; this one has 0"),
        (256, 0, "a prompt of 1 to 255 tokens fits into the context window; this one has 256"),
        (300, 3, "this one has 300"),
        (4, 16, "has at most 16 tokens, and its forced prefix of 16 leaves none to draw"),
        (250, 9, "has at most 6 tokens, and its forced prefix of 9 leaves none to draw"),
    ],
)
def test_a_response_without_room_says_what_takes_it(prompt, prefix, cause):
    request = GenerationRequest("q", (7,) * prompt, (1,), (7,) * prefix)
    ((failure,),) = engine_of(tiny_model("llama")).generate([request], PLAIN)
    assert isinstance(failure, GenerationFailure)
    assert cause in failure.cause


def test_the_tokenizer_names_the_end_where_the_model_does_not():
    generation = tiny_model("llama").generation_config
    generation.eos_token_id = None
    assert end_of_sequence_ids(generation, tiny_chat(), "tiny") == (EOS,)
    chat = tiny_chat()
    chat.tokenizer.eos_token = None
    with pytest.raises(InputError, match="eos_token_id"):
        end_of_sequence_ids(generation, chat, "tiny")


def test_nan_logits_fail_their_own_response_and_no_other():
    cursed = 20

    def curse(input_ids, logits):
        return logits.masked_fill((input_ids[:, -1:] == cursed)[:, :, None], float("nan"))

    requests = some_requests(group=8)
    clean = engine_of(tiny_model("llama").double()).generate(requests, PLAIN)
    broken = engine_of(transformed(tiny_model("llama").double(), curse)).generate(requests, PLAIN)
    failures = 0
    for request, one, other in zip(requests, clean, broken, strict=True):
        for before, after in zip(one, other, strict=True):
            if request.prompt_ids[-1] == cursed or cursed in before.token_ids[:-1]:
                assert isinstance(after, GenerationFailure)
                assert "finite" in after.cause
                failures += 1
            else:
                assert isinstance(after, Generation)
                assert after.token_ids == before.token_ids
    assert failures


def test_generating_leaves_no_trace_on_the_model_or_the_global_generator():
    model = tiny_model("llama").train()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    engine_of(model).generate(some_requests(), PLAIN)
    assert model.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    loss = model(input_ids=torch.tensor([[5, 6, 7]])).logits.sum()
    loss.backward()


def test_dropout_is_off_while_sampling():
    model = tiny_model("llama").double()
    requests = some_requests()
    expected = engine_of(model).generate(requests, PLAIN)
    model.config.attention_dropout = 0.9
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.9
    assert engine_of(model.train()).generate(requests, PLAIN) == expected


def test_the_sampler_follows_the_weights():
    model = tiny_model("llama")
    engine = engine_of(model)
    before = engine.generate(some_requests(), PLAIN)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    after = engine.generate(some_requests(), PLAIN)
    assert before != after
    for request, group in zip(some_requests(), after, strict=True):
        for generation in group:
            expected = recomputed(model, request.prompt_ids, generation.token_ids)
            assert generation.logprobs == pytest.approx(expected, abs=1e-4)


def test_an_unknown_recurrent_model_is_batched_by_length_and_still_right():
    config = Lfm2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention"],
        max_position_embeddings=256,
        eos_token_id=EOS,
        pad_token_id=0,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Lfm2ForCausalLM(config).eval()
    assert not tolerates_left_padding(model)
    requests = some_requests()
    for request, group in zip(requests, engine_of(model).generate(requests, PLAIN), strict=True):
        for generation in group:
            expected = recomputed(model, request.prompt_ids, generation.token_ids)
            assert generation.logprobs == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_tested_architectures_share_batches_of_unequal_prompts(architecture):
    assert tolerates_left_padding(tiny_model(architecture))
