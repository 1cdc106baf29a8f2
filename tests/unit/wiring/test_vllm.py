"""What vLLM's servers are given to load."""

import sys
from pathlib import Path

import httpx
import pytest

from schemas.config.machine import GivenServers, ManagedServers, VllmRuntime
from schemas.config.models import ModelConfig, VllmEngineConfig
from schemas.config.run import Runtime
from schemas.run import ResolvedModel
from tests.fakes.vllm_server import fake_vllm
from tests.learning import random_rows, tiny_learner
from tests.pipelines import ROOT, recipe
from tests.tiny import save_checkpoint
from tests.unit.engines.vllm.engines import PLAIN, expected, questions, tokens
from zppo.models.loading import ModelReference, digest
from zppo.ports import MiniBatch
from zppo.wiring.models import LoadedModel
from zppo.wiring.vllm import servable


def test_a_plain_checkpoint_is_served_where_it_lies(tmp_path):
    checkpoint = save_checkpoint(tmp_path / "checkpoint")
    assert servable(checkpoint, tmp_path) == checkpoint


def test_a_learners_checkpoint_is_served_without_its_optimizer(tmp_path):
    learner, checkpoint, scratch = tiny_learner(), tmp_path / "00002", tmp_path / "scratch"
    learner.update(MiniBatch(tuple(random_rows(4))))
    learner.save(checkpoint)
    scratch.mkdir()
    view = servable(checkpoint, scratch)
    assert [file.name for file in view.glob("*.safetensors")] == ["model.safetensors"]
    names = {file.name for file in view.iterdir()}
    assert {"config.json", "generation_config.json", "tokenizer.json"} <= names
    assert (view / "model.safetensors").read_bytes() == (checkpoint / "model.safetensors").read_bytes()


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """Starts a fake server for any command line of vLLM's, and notes each start."""
    program = tmp_path / "python"
    fake = f"exec {sys.executable} -m tests.fakes.vllm_server"
    program.write_text(f'#!/bin/sh\necho start >> {tmp_path}/starts\ncd {ROOT}\n{fake} "$@"\n')
    program.chmod(0o700)
    return program


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "base")


@pytest.fixture
def trained(tmp_path: Path, base: Path) -> Path:
    learner, checkpoint = tiny_learner(), tmp_path / "00002"
    learner.update(MiniBatch(tuple(random_rows(4))))
    learner.save(checkpoint)
    return checkpoint


def student(directory: Path, base: Path, machine: Runtime) -> LoadedModel:
    """The model in a directory, in a run whose recipe names the base."""
    found = digest(ModelReference(str(directory), directory=directory))
    resolved = ResolvedModel(reference=str(directory), digest=found)
    config = ModelConfig(model=str(base))
    return LoadedModel(config, resolved, VllmEngineConfig(), recipe(machine.home), machine)


def test_models_of_one_architecture_take_turns_on_a_server_that_is_asked_what_it_holds(
    tmp_path: Path, interpreter: Path, base: Path, trained: Path
) -> None:
    servers = ManagedServers(python=interpreter, start_seconds=60.0)
    machine = Runtime(home=tmp_path, device="cpu", vllm=VllmRuntime(student=servers))
    first, second = (student(directory, base, machine) for directory in (base, trained))
    asked = questions(2)
    assert tokens(first.engine.generate(asked, PLAIN)) == expected(asked)
    url = first.engine._replicas[0]._server.url  # type: ignore[attr-defined]
    second.take_servers(first)
    first.unload()
    assert httpx.get(f"{url}/weight_info").json() == {"weight_version": "default"}
    assert tokens(second.engine.generate(asked, PLAIN)) == expected(asked)
    assert httpx.get(f"{url}/weight_info").json() == {"weight_version": second.resolved.digest}
    second.unload()
    assert (tmp_path / "starts").read_text().count("start") == 1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")
    assert not [each for each in (tmp_path / "tmp").iterdir() if each.is_dir()]


def test_a_server_that_was_not_started_is_not_handed_on(tmp_path: Path, base: Path, trained: Path) -> None:
    machine = Runtime(home=tmp_path, device="cpu")
    first, second = (student(directory, base, machine) for directory in (base, trained))
    second.take_servers(first)
    assert "_served" not in vars(second)


def test_a_given_server_of_the_recipes_model_is_not_taken_for_one_of_the_trained_student(
    tmp_path: Path, base: Path, trained: Path
) -> None:
    with fake_vllm(str(base)) as fake:
        servers = GivenServers(urls=(fake.url,))
        machine = Runtime(home=tmp_path, device="cpu", vllm=VllmRuntime(student=servers))
        model = student(trained, base, machine)
        model.engine.generate(questions(1), PLAIN)
        assert fake.weights == model.resolved.digest
        (loaded,) = fake.loaded
        model.unload()
    assert not Path(loaded).exists()
