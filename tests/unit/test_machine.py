"""The machine file, and the command line on top of it."""

from pathlib import Path

import pytest

from schemas.config.machine import GivenServers
from schemas.config.run import Runtime
from zppo.errors import InputError
from zppo.machine import MACHINE_FILE, load_machine

TEXT = """
device: cuda:1
vllm:
  teacher: {urls: ["http://teacher:8000"]}
"""


def test_without_a_file_the_machine_is_what_the_command_line_says(tmp_path):
    assert load_machine(tmp_path, None, None, None) == Runtime(home=tmp_path)
    assert load_machine(tmp_path, None, "cpu", 2) == Runtime(home=tmp_path, device="cpu", threads=2)


@pytest.mark.parametrize("named", [True, False])
def test_a_file_is_read_and_the_command_line_goes_before_it(tmp_path, named):
    file = tmp_path / ("other.yaml" if named else MACHINE_FILE)
    file.write_text(TEXT)
    machine = load_machine(tmp_path, file if named else None, None, 3)
    assert (machine.device, machine.threads) == ("cuda:1", 3)
    assert isinstance(machine.vllm.teacher, GivenServers)
    assert load_machine(tmp_path, file if named else None, "cpu", None).device == "cpu"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("home: /elsewhere", "--home"),
        ("thread: 2", "did you mean 'threads'"),
        ("vllm: {student: {replica: 2}}", "did you mean 'replicas'"),
        ("vllm: {student: {urls: [teacher]}}", "http://localhost:8000"),
        ("- cpu", "mapping"),
        ("threads: [", "not valid YAML"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, text, says):
    (tmp_path / MACHINE_FILE).write_text(text)
    with pytest.raises(InputError, match=says):
        load_machine(tmp_path, None, None, None)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"no machine file at there\.yaml"):
        load_machine(Path("runs"), Path("there.yaml"), None, None)
