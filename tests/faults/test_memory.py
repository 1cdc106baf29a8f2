"""Memory that runs out in an update and in sampling: a real limit on the address space of a process."""

import subprocess
import sys

import pytest
import torch

from tests.pipelines import ROOT
from zppo.errors import EngineError
from zppo.models.memory import memory_explained

PROGRAM = """
import resource
from pathlib import Path
import torch
from schemas.config.models import DecodingConfig, TransformersEngineConfig
from tests.learning import random_rows, tiny_learner, weights
from tests.tiny import tiny_chat, tiny_model
from zppo.engines.transformers import TransformersEngine
from zppo.errors import EngineError
from zppo.ports import GenerationRequest, MiniBatch

torch.set_num_threads(1)
model = tiny_model("llama")
learner = tiny_learner(model, max_batch_tokens=10**9)
engine = TransformersEngine(model, tiny_chat(), TransformersEngineConfig(max_batch_tokens=10**9))
small, large = MiniBatch(tuple(random_rows(4))), MiniBatch(tuple(random_rows(20_000)))

def sample(count):
    engine.generate([GenerationRequest("q", (3, 5, 4), tuple(range(count)))], DecodingConfig())

work = {
    "update": (lambda: learner.update(small), lambda: learner.update(large)),
    "logprobs": (lambda: learner.logprobs(small.rows), lambda: learner.logprobs(large.rows)),
    "generate": (lambda: sample(2), lambda: sample(50_000)),
}
for fits, _ in work.values():
    fits()
before = weights(model)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, resource.RLIM_INFINITY))
for name, (_, fits_not) in work.items():
    try:
        fits_not()
    except EngineError as error:
        print(name, error)
assert weights(model) == before
for fits, _ in work.values():
    fits()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_a_lack_of_memory_names_the_setting_to_lower_and_leaves_the_weights_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    update, logprobs, generate = done.stdout.splitlines()
    assert "update the memory does not suffice for update 2" in update
    assert "with a lower learner.max_batch_tokens, or with learner.gradient_checkpointing" in update
    assert "with a lower learner.max_batch_tokens" in logprobs
    assert "with a lower engine.max_batch_tokens" in generate


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_every_kind_of_lack_of_memory_is_explained(error: Exception) -> None:
    with pytest.raises(EngineError, match="does not suffice for the work"), memory_explained("the work", "x"):
        raise error


def test_another_runtime_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), memory_explained("the work", "x"):
        raise RuntimeError("shapes differ")
