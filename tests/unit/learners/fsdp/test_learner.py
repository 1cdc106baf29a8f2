"""The FSDP2 learner in real processes over gloo, held against the torch learner."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from transformers import PreTrainedModel

from tests.learning import distillation_rows, random_rows, tiny_distiller, tiny_fsdp, tiny_learner, weights
from tests.tiny import tiny_model
from zppo.errors import EngineError, InputError
from zppo.ports import Learner, MiniBatch, UpdateStatistics

RATE = 1e-3
BATCHES = [MiniBatch(tuple(random_rows(count, seed))) for seed, count in enumerate((11, 1, 5, 12, 3))]
"""Uneven: with few tokens a micro-batch and two processes, some turns leave one of them idle."""


def distance(one: PreTrainedModel, other: PreTrainedModel) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max((left - right).abs().max().item() for left, right in pairs)


def assert_alike(ours: UpdateStatistics, theirs: UpdateStatistics) -> None:
    assert ours.loss == pytest.approx(theirs.loss, abs=1e-6)
    assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-5)
    assert ours.entropy == pytest.approx(theirs.entropy, abs=1e-5)
    assert replace(ours, loss=0, grad_norm=0, entropy=0) == replace(theirs, loss=0, grad_norm=0, entropy=0)


def updated(learner: Learner, batches: Sequence[MiniBatch]) -> list[UpdateStatistics]:
    statistics = [learner.update(batch) for batch in batches]
    learner.publish()
    return statistics


def programs(name: str, above: int | None = None) -> list[psutil.Process]:
    """The processes below this one, or another, that run a program of the learner, oldest first."""
    found = []
    for process in psutil.Process(above).children(recursive=True):
        try:
            if f"zppo.learners.fsdp.{name}" in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return sorted(found, key=lambda process: process.create_time())


def test_two_processes_learn_what_one_does_however_uneven_their_shares(tmp_path: Path) -> None:
    model = tiny_model("llama")
    alone = tiny_learner(model, learning_rate=RATE, max_batch_tokens=40)
    with tiny_fsdp(tmp_path, learning_rate=RATE, max_batch_tokens=40) as learner:
        for ours, theirs in zip(updated(learner, BATCHES), updated(alone, BATCHES), strict=True):
            assert_alike(ours, theirs)
        assert distance(learner.model, model) < 1e-5

        bad = list(BATCHES[0].rows)
        bad[4] = replace(bad[4], advantage=math.nan)
        before = weights(learner.model)
        with pytest.raises(EngineError, match=bad[4].rollout):
            learner.update(MiniBatch(tuple(bad)))
        assert weights(learner.model) == before

        # A checkpoint of either goes on in the other.
        learner.save(tmp_path / "checkpoint")
        alone.load(tmp_path / "checkpoint")
        assert weights(model) == before
        alone.update(BATCHES[1])
        alone.save(tmp_path / "alone")
        learner.load(tmp_path / "alone")
        sampler = weights(learner.model)
        assert_alike(learner.update(BATCHES[2]), alone.update(BATCHES[2]))
        assert weights(learner.model) == sampler
        learner.publish()
        assert distance(learner.model, model) < 1e-6
    assert programs("agent") == programs("rank") == []


def test_a_killed_rank_is_named_at_once_and_a_checkpoint_goes_on_in_new_ones(tmp_path: Path) -> None:
    with tiny_fsdp(tmp_path, learning_rate=RATE) as learner:
        learner.save(tmp_path / "checkpoint")
        first = learner.update(BATCHES[0])
        os.kill(programs("rank")[-1].pid, signal.SIGKILL)
        began = time.monotonic()
        with pytest.raises(EngineError, match=r"rank [01] of the learner was ended by SIGKILL"):
            updated(learner, BATCHES[1:])
        assert time.monotonic() - began < 600  # not the half hour that the other rank would wait
        assert programs("rank") == []
        with pytest.raises(EngineError, match="SIGKILL"):
            learner.logprobs(BATCHES[0].rows)
        learner.load(tmp_path / "checkpoint")
        assert learner.update(BATCHES[0]) == first


def test_a_setting_that_does_not_fit_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"student\.dtype"),
        tiny_fsdp(tmp_path, model=tiny_model("llama").to(torch.bfloat16), autocast="bfloat16"),
    ):
        pass
    assert programs("agent") == []


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 3])
def test_a_checkpoint_of_two_processes_goes_on_in_any_number(tmp_path: Path, processes: int) -> None:
    with tiny_fsdp(tmp_path / "two", learning_rate=RATE) as two:
        updated(two, BATCHES[:2])
        two.save(tmp_path / "checkpoint")
        with tiny_fsdp(tmp_path / "more", processes, learning_rate=RATE) as other:
            other.load(tmp_path / "checkpoint")
            other.save(tmp_path / "again")
            assert weights(other.model) == weights(two.model)
            for name in ("model.safetensors", "optimizer.safetensors", "learner.json"):
                same = [(tmp_path / each / name).read_bytes() for each in ("checkpoint", "again")]
                assert same[0] == same[1]
            assert_alike(other.update(BATCHES[2]), two.update(BATCHES[2]))
            assert distance(other.model, two.model) < 1e-6


@pytest.mark.slow
def test_the_same_updates_give_the_same_weights_to_the_bit(tmp_path: Path) -> None:
    found = []
    for name in ("one", "other"):
        with tiny_fsdp(tmp_path / name, max_batch_tokens=40) as learner:
            found.append((updated(learner, BATCHES), weights(learner.model)))
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.parametrize("switch", [{"gradient_checkpointing": True}, {"autocast": "bfloat16"}])
def test_switches_mean_what_they_mean_in_one_process(tmp_path: Path, switch: dict[str, object]) -> None:
    model = tiny_model("llama")
    alone = tiny_learner(model, learning_rate=RATE, max_batch_tokens=40, **switch)
    with tiny_fsdp(tmp_path, learning_rate=RATE, max_batch_tokens=40, **switch) as learner:
        for ours, theirs in zip(updated(learner, BATCHES), updated(alone, BATCHES), strict=True):
            assert ours.loss == pytest.approx(theirs.loss, abs=1e-2)
            assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=5e-2)
        assert distance(learner.model, model) < (1e-5 if "gradient_checkpointing" in switch else 5 * RATE)


@pytest.mark.slow
def test_a_sharded_teacher_teaches_as_a_whole_one(tmp_path: Path) -> None:
    model = tiny_model("llama")
    alone = tiny_distiller(model, learning_rate=RATE, max_batch_tokens=40)
    batches = [MiniBatch(tuple(distillation_rows(9, seed))) for seed in range(3)]
    with tiny_fsdp(tmp_path, distils=True, learning_rate=RATE, max_batch_tokens=40) as learner:
        for ours, theirs in zip(updated(learner, batches), updated(alone, batches), strict=True):
            assert_alike(ours, theirs)
        assert distance(learner.model, model) < 1e-5


PARENT = """
import sys, time
from pathlib import Path
from tests.learning import random_rows, tiny_fsdp
if __name__ == "__main__":
    with tiny_fsdp(Path(sys.argv[1])) as learner:
        learner.logprobs(random_rows(1))
        print("ready", flush=True)
        time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["training process", "agent"])
def test_nothing_is_left_when_the_training_process_or_the_agent_is_killed(
    tmp_path: Path, victim: str
) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        agents, ranks = programs("agent", parent.pid), programs("rank", parent.pid)
        assert (len(agents), len(ranks)) == (1, 2)
        (parent if victim == "training process" else agents[0]).kill()
        _, alive = psutil.wait_procs([*agents, *ranks], timeout=20)
        # A dead agent keeps its number until the training process asks after it.
        assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
        parent.kill()
