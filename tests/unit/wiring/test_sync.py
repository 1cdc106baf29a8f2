"""Ways of bringing weights to servers that fit neither recipe nor machine are refused before any work."""

from pathlib import Path

import pytest
import torch

from schemas.config.machine import ManagedServers, VllmRuntime
from schemas.config.run import Runtime
from tests.pipelines import recipe
from zppo.errors import InputError
from zppo.wiring.context import open_run
from zppo.wiring.sync import check_weight_sync

VLLM = "engine={type: vllm}"


@pytest.fixture(autouse=True)
def devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every device that is named is there."""
    monkeypatch.setattr("zppo.wiring.sync.pick_device", torch.device)


def machine(device: str = "cpu", **servers: object) -> Runtime:
    student = ManagedServers.model_validate(servers)
    return Runtime(device=device, vllm=VllmRuntime(student=student))


@pytest.mark.parametrize(
    ("setting", "device", "says"),
    [
        ("learner={type: fsdp, processes: 2}", "cuda:0", r"'fsdp'.*weight_sync to disk"),
        ("rounds=1", "cpu", r"'cpu'.*weight_sync to disk"),
    ],
)
def test_weights_over_nccl_need_a_learner_in_one_process_on_a_gpu(
    tmp_path: Path, setting: str, device: str, says: str
) -> None:
    config = recipe(tmp_path, VLLM, setting)
    with pytest.raises(InputError, match=f"weight_sync is nccl, .*{says}"):
        check_weight_sync(config, machine(device, weight_sync="nccl", devices=(1, 2)))


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("rounds=1", "no adapters"),
        ("learner={type: fsdp, processes: 2}", "no adapters"),
        ("learner.lora.rank=513", "up to rank 512, not 513"),
    ],
)
def test_adapters_are_sent_where_some_are_trained(tmp_path: Path, setting: str, says: str) -> None:
    config = recipe(tmp_path, VLLM, setting)
    with pytest.raises(InputError, match=f"weight_sync is adapter, .*{says}.*weight_sync to disk"):
        check_weight_sync(config, machine(weight_sync="adapter"))


@pytest.mark.parametrize(
    ("settings", "device", "servers"),
    [
        ([VLLM, "learner.lora.rank=16"], "cpu", {"weight_sync": "adapter"}),
        ([VLLM, "learner.lora.rank=16"], "cpu", {}),
        ([VLLM, "learner={type: fsdp, processes: 2}"], "cpu", {}),
        ([VLLM], "cuda:0", {"weight_sync": "nccl", "devices": (1, 2)}),
        (["rounds=1"], "cpu", {"weight_sync": "nccl", "devices": (1, 2)}),  # no servers are asked for
    ],
)
def test_what_fits_is_let_go_on(
    tmp_path: Path, settings: list[str], device: str, servers: dict[str, object]
) -> None:
    check_weight_sync(recipe(tmp_path, *settings), machine(device, **servers))


def test_a_run_is_refused_before_it_leaves_anything_behind(tmp_path: Path) -> None:
    runtime = machine(weight_sync="adapter").model_copy(update={"home": tmp_path / "home"})
    with (
        pytest.raises(InputError, match="weight_sync"),
        open_run(recipe(tmp_path, VLLM), "refused", runtime),
    ):
        raise AssertionError("it is refused")
    assert not (tmp_path / "home").exists()
