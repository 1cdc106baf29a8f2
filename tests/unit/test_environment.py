"""Tools keep their state under the runs and do not phone home."""

import os
import subprocess
import sys

import pytest

from zppo.environment import prepare_environment, tracking_uri
from zppo.errors import InputError

PROGRAM = """
import sys
from pathlib import Path
from zppo.environment import prepare_environment
prepare_environment(Path(sys.argv[1]))
from prefect.settings import PREFECT_HOME, PREFECT_SERVER_ANALYTICS_ENABLED
print(PREFECT_HOME.value(), PREFECT_SERVER_ANALYTICS_ENABLED.value())
"""


def test_prefect_keeps_its_state_under_the_runs_and_sends_nothing(tmp_path):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], env=clean, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == [str(tmp_path / "prefect"), "False"]


def test_what_the_user_has_set_stays(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "environ", {"PREFECT_HOME": "/elsewhere"})
    prepare_environment(tmp_path)
    assert os.environ["PREFECT_HOME"] == "/elsewhere"
    assert os.environ["DO_NOT_TRACK"] == "1"


def test_the_tracking_database_has_an_absolute_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert tracking_uri(tmp_path.__class__("runs")) == f"sqlite:///{tmp_path}/runs/mlflow.db"


def test_a_home_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        prepare_environment(tmp_path / "file")
