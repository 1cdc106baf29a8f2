"""Exit codes, messages and what a command imports."""

import io
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.run import ResolvedModel, RunRecord
from tests.homes import Home, RunPlan
from zppo.cli import main
from zppo.layout import RunPaths, StudyPaths
from zppo.options import Told
from zppo.recipes import load_recipe
from zppo.runs import RUN_FILE
from zppo.stores.identity import identify
from zppo.stores.local import LocalStore
from zppo.stores.locks import exclusive

ROUNDS = load_recipe("pocket").rounds


def call(*arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return caught.value.code


def store_run(home, name="first"):
    config = load_recipe("pocket")
    with LocalStore(home).commit(RunPaths(name).manifest, identify("run", {"recipe": config})) as staging:
        student = ResolvedModel(reference="pocket/student", digest="sha256:0")
        record = RunRecord(name=name, recipe=config, student=student, data=config.data)
        (staging.directory / RUN_FILE).write_text(record.model_dump_json())


def test_help_imports_no_heavy_library():
    heavy = ("torch", "prefect", "mlflow", "transformers", "pandas", "pyarrow", "numpy")
    program = (
        "import sys; from zppo.cli import main\n"
        "try: main(['--help'])\n"
        f"except SystemExit: sys.exit([name for name in {heavy} if name in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "resume" in done.stdout


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "zppo", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("zppo ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "pokket"), "did you mean 'pocket'?"),
        (("study", "smoek"), "did you mean 'smoke'?"),
        (("run", "pocket", "--set", "method.tua=1"), "did you mean 'tau'?"),
        (("run", "pocket", "--name", "../up"), "cannot name a run"),
        (("run", "pocket", "--name", "store"), "kept for the store"),
        (("resume", "nothing"), "there are no runs yet"),
        (("status", "nothing"), "there are no runs yet"),
        (("check", "absent.yaml"), "no recipe at absent.yaml"),
        (("runn",), "No such command"),
    ],
)
def test_bad_input_ends_with_code_2_and_one_message(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_debug_shows_the_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "zppo", "--debug", "run", "pokket"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_status_tells_a_stopped_run_from_a_running_one(tmp_path, capsys):
    store_run(tmp_path)

    def state():
        assert call("status", "first", "--home", str(tmp_path), "--json") == 0
        return json.loads(capsys.readouterr().out)

    assert (state()["state"], state()["rounds_done"], state()["rounds"]) == ("stopped", 0, ROUNDS)
    with exclusive(tmp_path / RunPaths("first").root):
        assert (state()["state"], state()["process"]) == ("running", os.getpid())
    assert state()["state"] == "stopped"


def test_status_lists_every_run(tmp_path, capsys):
    assert call("status", "--home", str(tmp_path)) == 0
    assert "There are no runs" in capsys.readouterr().out
    store_run(tmp_path, "first")
    store_run(tmp_path, "second")
    assert call("status", "--home", str(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert "first" in shown
    assert "second" in shown
    assert f"0/{ROUNDS}" in shown


def test_a_run_is_not_continued_under_another_recipe(tmp_path, capsys):
    store_run(tmp_path)
    changed = ("--set", "rounds=7", "--set", "method.tau=0.4")
    assert call("run", "pocket", "--name", "first", "--home", str(tmp_path), *changed) == 2
    error = capsys.readouterr().err
    assert f"recipe.rounds: {ROUNDS} -> 7" in error
    assert "recipe.method.tau: 0.5 -> 0.4" in error


def test_an_unknown_run_is_refused_with_the_nearest_name(tmp_path, capsys):
    store_run(tmp_path, "baseline")
    assert call("resume", "baselin", "--home", str(tmp_path)) == 2
    assert "did you mean 'baseline'?" in capsys.readouterr().err


def test_schema_check_fails_on_a_changed_folder(tmp_path, capsys):
    assert call("schema", "export", str(tmp_path)) == 0
    assert call("schema", "check", str(tmp_path)) == 0
    (tmp_path / "round.json").unlink()
    assert call("schema", "check", str(tmp_path)) == 1
    assert "round" in capsys.readouterr().err


def stopped_by(number, home, *arguments):
    """A command on a home whose pipeline meets a signal instead of running, as it ends."""
    program = (
        "import os, signal, sys, types\n"
        "from zppo import cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"def end(*_): os.kill(os.getpid(), {int(number)})\n"
        "names = ('run_pipeline', 'evaluate_run', 'promote_run')\n"
        "sys.modules['flows.pipeline'] = types.SimpleNamespace(**dict.fromkeys(names, end))\n"
        "cli.main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", program, *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=home)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_with_its_code_and_one_line(tmp_path, number, code):
    store_run(tmp_path)
    done = stopped_by(number, tmp_path, "resume", "first")
    assert (done.returncode, done.stderr) == (
        code,
        f"\nstopped; go on with: zppo resume first --home {tmp_path}\n",
    )


@pytest.mark.parametrize(
    ("command", "again"),
    [
        (["resume", "first"], ["resume", "first"]),
        (["evaluate", "first"], ["evaluate", "first"]),
        (["promote", "first", "--force", "--reason", "it is good"],) * 2,
    ],
    ids=["resume", "evaluate", "promote"],
)
def test_the_command_to_go_on_with_repeats_what_this_one_was_told(tmp_path, command, again):
    store_run(tmp_path)
    (tmp_path / "one gpu.yaml").write_text("threads: 1\n")
    told = ["--home", str(tmp_path), "--device", "cpu", "--threads", "2", "--machine", "one gpu.yaml"]
    done = stopped_by(signal.SIGINT, tmp_path, *command, *told[2:])
    assert done.stderr == f"\nstopped; go on with: zppo {shlex.join([*again, *told])}\n"


def test_the_default_home_is_not_repeated():
    assert Told(Path("runs")).options == ""
    assert Told(Path("elsewhere"), threads=0).options == " --home elsewhere --threads 0"


def test_a_run_that_another_process_holds_is_refused_by_its_name_before_anything_starts(tmp_path, capsys):
    store_run(tmp_path)
    with exclusive(tmp_path / RunPaths("first").root):
        assert call("resume", "first", "--home", str(tmp_path)) == 1
    error = capsys.readouterr().err
    assert f"process {os.getpid()} on " in error
    assert not (tmp_path / "prefect" / "prefect.db").exists()


def test_a_studys_plan_is_shown_at_once_and_runs_nothing(tmp_path):
    heavy = ("torch", "prefect", "mlflow", "transformers", "matplotlib")
    program = (
        "import sys; from zppo.cli import main\n"
        f"try: main(['study', 'smoke', '--plan', '--home', {str(tmp_path)!r}])\n"
        f"except SystemExit: sys.exit([name for name in {heavy} if name in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 runs, 0 of them done; 24 rounds." in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_another_process_holds_is_refused_before_anything_starts(tmp_path, capsys):
    with exclusive(tmp_path / StudyPaths("smoke").root):
        assert call("study", "smoke", "--home", str(tmp_path)) == 1
    assert f"process {os.getpid()} on " in capsys.readouterr().err
    assert not (tmp_path / "prefect" / "prefect.db").exists()


def test_gc_shows_what_would_go_and_removes_it_only_when_told(tmp_path, capsys, monkeypatch):
    Home(tmp_path).run(RunPlan("first"))
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert call("gc", "--home", str(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert "first/checkpoints/00002  surplus: the run keeps the last 1 and the best 1" in shown
    assert "2 directories would go, which frees" in shown
    assert "removed" not in shown
    assert call("gc", "first", "--yes", "--home", str(tmp_path)) == 0
    assert "2 directories removed, which freed" in capsys.readouterr().out
    assert call("gc", "--home", str(tmp_path)) == 0
    assert capsys.readouterr().out == "Nothing is left over.\n"
    assert call("gc", "frist", "--home", str(tmp_path)) == 2
    assert "did you mean 'first'?" in capsys.readouterr().err
