"""The command lines and environments of managed servers."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.config.machine import ManagedServers
from schemas.config.models import VllmEngineConfig
from zppo.engines.vllm.launch import Launch


def launch(device: str, engine: VllmEngineConfig | None = None, rank: int = 0, **servers: object) -> Launch:
    return Launch(
        checkpoint=Path("/models/student"),
        dtype="float32",
        trust_remote_code=False,
        engine=engine or VllmEngineConfig(),
        servers=ManagedServers.model_validate(servers),
        device=device,
        adapter_rank=rank,
    )


def value(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_log_probabilities_are_asked_for_at_the_sampling_temperature(device):
    command = launch(device).command(0)
    assert value(command, "--logprobs-mode") == "processed_logprobs"
    assert value(command, "--generation-config") == "vllm"
    assert value(command, "--dtype") == "float32"
    assert launch(device).environment(0)["VLLM_SERVER_DEV_MODE"] == "1"


def test_devices_are_shared_out_among_the_replicas():
    servers = launch("cuda", replicas=2, devices=[0, 1, 4, 5])
    assert [servers.environment(each)["CUDA_VISIBLE_DEVICES"] for each in (0, 1)] == ["0,1", "4,5"]
    assert value(servers.command(0), "--tensor-parallel-size") == "2"


def test_a_colocated_server_is_on_the_learners_device_and_can_sleep():
    servers = launch("cuda:3", VllmEngineConfig(gpu_memory_fraction=0.4), colocated=True)
    assert servers.environment(0)["CUDA_VISIBLE_DEVICES"] == "3"
    assert "--enable-sleep-mode" in servers.command(0)
    assert value(servers.command(0), "--gpu-memory-utilization") == "0.4"


def test_on_the_cpu_there_is_no_device_and_no_sleep():
    servers = launch("cpu", colocated=True, cpu_cache_gib=3)
    assert "--enable-sleep-mode" not in servers.command(0)
    assert servers.environment(0)["VLLM_CPU_KVCACHE_SPACE"] == "3"


def test_the_environment_of_this_interpreter_is_not_passed_on(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/here")
    monkeypatch.setenv("VLLM_API_KEY", "secret")
    assert not {"PYTHONPATH", "VLLM_API_KEY"} & launch("cpu").environment(0).keys()


def test_limits_and_further_arguments_are_passed_on():
    engine = VllmEngineConfig(max_model_len=4096, max_sequences=77)
    command = launch("cuda", engine, arguments=["--language-model-only"]).command(0)
    assert value(command, "--max-model-len") == "4096"
    assert value(command, "--max-num-seqs") == "77"
    assert command[-1] == "--language-model-only"


def test_only_a_server_that_takes_weights_over_nccl_is_told_so():
    option = "--weight-transfer-config"
    assert option not in launch("cuda", devices=[1]).command(0)
    assert value(launch("cuda", devices=[1], weight_sync="nccl").command(0), option) == '{"backend": "nccl"}'
    with pytest.raises(ValidationError, match="GPUs that are not the learner's"):
        launch("cuda", colocated=True, weight_sync="nccl")


@pytest.mark.parametrize(("rank", "room"), [(1, "1"), (2, "8"), (8, "8"), (65, "128"), (512, "512")])
def test_a_server_for_adapters_has_room_for_one_of_the_recipes_rank(rank, room):
    servers = launch("cpu", rank=rank)
    assert value(servers.command(0), "--max-lora-rank") == room
    assert value(servers.command(0), "--max-loras") == "1"
    assert "--enable-lora" in servers.command(0)
    assert servers.environment(0)["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"


def test_a_server_without_adapters_takes_none():
    assert "--enable-lora" not in launch("cpu").command(0)
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in launch("cpu").environment(0)
