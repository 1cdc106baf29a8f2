"""The lock pins what the project asks for, and the project's commands are what its Makefile runs."""

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "constraints.txt").read_text().splitlines()


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins():
    return dict(line.partition(" ;")[0].split("==") for line in LOCK)


def test_the_lock_holds_exact_versions_and_nothing_else():
    pin = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; .+)?")
    assert [line for line in LOCK if not pin.fullmatch(line)] == []


def test_everything_that_the_project_asks_for_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [
        *project["project"]["dependencies"],
        *(name for extra in project["project"]["optional-dependencies"].values() for name in extra),
        *project["build-system"]["requires"],
    ]
    names = {canonical(re.match(r"[A-Za-z0-9_.-]+", requirement)[0]) for requirement in asked}
    assert names - pins().keys() == set()


def test_what_is_installed_is_what_is_locked():
    different = []
    for name, pinned in pins().items():
        try:
            installed = version(name).partition("+")[0]
        except PackageNotFoundError:
            continue
        if installed != pinned and name not in ("pip", "setuptools"):
            different.append(f"{name}: {installed} installed, {pinned} locked")
    assert different == []


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_passes_recipe_name_and_settings_on():
    shown = subprocess.run(
        ["make", "-n", "run", "RECIPE=other.yaml", "NAME=first", "SET=rounds=3 seed=1", "RUNS=/data/runs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        # What an outer make sets for its children would change what this one prints.
        env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")},
    )
    last = shown.stdout.splitlines()[-1]
    assert last.endswith(
        "/zppo run other.yaml --home /data/runs --name first --set 'rounds=3' --set 'seed=1'"
    )


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_says_what_is_missing_where_there_is_no_python(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh", "echo"):
        (tools / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        ["make", "install", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Python 3.11 or newer with its venv module is needed" in done.stderr
