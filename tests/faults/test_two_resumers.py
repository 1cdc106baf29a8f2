"""Two processes that resume a killed run at once: one goes on, the other says who has it and leaves."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import Finished
from tests.pipelines import NAME, ROOT, differences, results

pytestmark = pytest.mark.timeout(300)

PROGRAM = """
import os, signal, sys
from pathlib import Path
from zppo.environment import prepare_environment
home = Path(sys.argv[1])
prepare_environment(home)
import flows.pipeline, zppo.engines.transformers
from tests import pipelines
from zppo.errors import ZppoError
from zppo.layout import RunPaths
from zppo.stores.local import MANIFEST

def die_after_round_2(*arguments):
    if (home / RunPaths(pipelines.NAME).update(2) / MANIFEST).exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(*arguments)

def live(name, sample):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(home / name, os.O_WRONLY | os.O_CREAT), 1)
        zppo.engines.transformers.Decoder.decode = sample
        try:
            pipelines.run_without_prefect(pipelines.recipe(home), home)
            os._exit(0)
        except ZppoError as error:
            print(error, flush=True)
            os._exit(error.exit_code)
    return child

def end(child):
    print(child, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

decode = zppo.engines.transformers.Decoder.decode
end(live("killed", die_after_round_2))
for child in [live(name, decode) for name in ("one", "other")]:
    end(child)
"""


def test_of_two_processes_that_resume_a_killed_run_one_completes_it_and_the_other_names_it(
    tmp_path: Path, mlflow_database: Path, undisturbed: Finished
) -> None:
    shutil.copy(mlflow_database, tmp_path / "mlflow.db")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    killed, *both = (tuple(map(int, line.split())) for line in done.stdout.splitlines())
    assert killed[1] == -signal.SIGKILL, done.stderr
    assert sorted(code for _, code in both) == [0, 1]
    outputs = ((tmp_path / name).read_text() for name in ("one", "other"))
    said = {code: text for (_, code), text in zip(both, outputs, strict=True)}
    (winner,) = (process for process, code in both if code == 0)
    assert "goes on with round 3" in said[0]
    assert said[1].startswith(f"{tmp_path / NAME} is in use by process {winner} on ")
    assert "Wait until it ends, or stop it" in said[1]
    assert differences(results(tmp_path), undisturbed.results) == []
