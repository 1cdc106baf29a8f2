"""The FSDP2 learner over NCCL: one process for each GPU of the machine."""

from pathlib import Path

import pytest
import torch

from tests.learning import random_rows, tiny_fsdp, tiny_learner
from tests.tiny import tiny_model
from zppo.ports import MiniBatch

pytestmark = pytest.mark.gpu


def test_gpus_learn_what_the_cpu_does(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    settings: dict[str, object] = {"learning_rate": 1e-3, "max_batch_tokens": 40}
    alone = tiny_learner(tiny_model("llama"), **settings)
    on_gpu = tiny_model("llama").to("cuda")
    with tiny_fsdp(tmp_path, torch.cuda.device_count(), model=on_gpu, **settings) as learner:
        for seed in range(3):
            batch = MiniBatch(tuple(random_rows(11, seed)))
            ours, theirs = learner.update(batch), alone.update(batch)
            assert ours.loss == pytest.approx(theirs.loss, abs=1e-4)
            assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-3)
        learner.save(tmp_path / "checkpoint")
        alone.load(tmp_path / "checkpoint")
        rows = random_rows(4)
        for gpu, cpu in zip(learner.logprobs(rows), alone.logprobs(rows), strict=True):
            assert gpu == pytest.approx(cpu, abs=1e-4)
