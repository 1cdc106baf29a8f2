"""Every command that the documents and the files of an installation show exists, with the options shown."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from tests.pipelines import ROOT
from zppo.cli import app

FOLDER = ROOT / "deployments"
DOCUMENTS = [ROOT / "README.md", *sorted(FOLDER.rglob("*.md"))]
_CODE = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z_]+=")
PROGRAMS = {"zppo", "make", "prefect", "mlflow", "python"}


def _shown(text: str) -> Iterator[list[str]]:
    """Commands in the code of a document, as words."""
    for block, span in _CODE.findall(text):
        for line in (block or span).replace("\\\n", " ").splitlines():
            for part in re.split(r";|&&|\|", line.partition("#")[0]):
                words = part.replace("[", " ").replace("]", " ").replace("'", "").split()
                while words and _ASSIGNMENT.match(words[0]):
                    words = words[1:]
                if words and Path(words[0]).name in PROGRAMS:
                    yield [Path(words[0]).name, *words[1:]]


def _started() -> Iterator[list[str]]:
    """Commands of the services, the pods and the job."""
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"].values()
    yield from (each["command"] for each in services if each.get("command", [""])[0] in PROGRAMS)
    for file in (FOLDER / "kubernetes").glob("*.yaml"):
        yield from _commands(list(yaml.safe_load_all(file.read_text())))
    job = (FOLDER / "slurm" / "gpu-worker.sbatch").read_text()
    (line,) = [each for each in job.splitlines() if '/bin/prefect"' in each]
    yield ["prefect", *shlex.split(line.rstrip("& "))[1:]]


def _commands(content: Any) -> Iterator[list[str]]:
    """Of all containers below."""
    below = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    command = content.get("command") if isinstance(content, dict) else None
    if isinstance(command, list) and command[0] in PROGRAMS:
        yield command + content.get("args", [])
    for each in below:
        yield from _commands(each)


def _all(program: str) -> list[str]:
    found = [command for file in DOCUMENTS for command in _shown(file.read_text())]
    found += [[str(word) for word in command] for command in _started()]
    return sorted({" ".join(command) for command in found if command[0] == program and len(command) > 1})


SERVERS = (
    "prefect server start",
    "prefect server database upgrade",
    "prefect work-pool pause",
    "prefect work-pool resume",
    "prefect worker start",
    "mlflow server",
    "mlflow db upgrade",
)
SHOWN = [*_all("prefect"), *_all("mlflow")]


def _options(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if word.startswith("--")}


@pytest.mark.parametrize("shown", _all("zppo"))
def test_a_command_of_zppo_that_is_shown_exists(shown: str) -> None:
    command, words = get_command(app), shown.split()[1:]
    while commands := getattr(command, "commands", None):
        assert words[0] in commands, f"no command {words[0]!r}"
        command, words = commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert _options(words) <= known


@pytest.mark.parametrize("shown", _all("make"))
def test_a_target_of_make_that_is_shown_exists(shown: str) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = takewhile(lambda word: not _ASSIGNMENT.match(word), shown.split()[1:])
    assert set(asked) <= targets


@pytest.mark.parametrize("shown", _all("python"))
def test_a_module_that_is_shown_as_a_program_is_there(shown: str) -> None:
    words = shown.split()[1:]
    if words[0] == "-m":
        path = ROOT / words[1].replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()
    elif words[0] == "-c":
        compile(shown.partition(" -c ")[2], "command", "exec")
    else:
        assert (ROOT / words[0]).is_file()


def test_the_commands_of_the_servers_that_are_shown_are_known() -> None:
    unknown = [each for each in SHOWN if not any(each.startswith(known) for known in SERVERS)]
    assert not unknown


@pytest.mark.deploy
@pytest.mark.parametrize("command", SERVERS)
def test_a_command_of_the_servers_has_the_options_that_are_shown(command: str) -> None:
    """Five seconds each."""
    help_text = subprocess.run(
        [sys.executable, "-m", *command.split(), "--help"], capture_output=True, text=True, check=True
    ).stdout
    options = {option for each in SHOWN if each.startswith(command) for option in _options(each.split())}
    assert {option for option in options if option not in help_text} == set()
