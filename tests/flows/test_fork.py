"""A fork by its command."""

import shutil
from pathlib import Path

from schemas.run import RunStatus
from tests.flows.conftest import Commanded
from tests.flows.prefect_records import flow_runs
from tests.pipelines import NAME, ROUNDS, tracked, zppo
from zppo.layout import RunPaths

LAST_TWO = ("--at-round", str(ROUNDS - 1))


def files(home: Path, part: str) -> dict[str, bytes]:
    """Of a part of a run, those that give neither times nor origins."""
    found = (home / part).rglob("*")
    return {
        str(file.relative_to(home / part)): file.read_bytes()
        for file in found
        if file.is_file() and file.name not in ("manifest.json", "timings.json")
    }


def test_a_fork_goes_on_to_its_end_by_one_command_and_its_refusals_say_what_to_do(
    finished: Commanded, tmp_path: Path
) -> None:
    home = tmp_path / "runs"
    shutil.copytree(finished.home, home)
    refused = zppo("fork", NAME, "--as", "late", "--at-round", "9", home=home)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"it has committed {ROUNDS} rounds. Rounds that can: " in refused.stderr
    other = zppo("fork", NAME, "--as", "late", *LAST_TWO, "--set", "data.seed=5", home=home)
    assert other.returncode == 2
    assert "data.seed: 0 -> 5 (" in other.stderr
    done = zppo("fork", NAME, "--as", "fork", *LAST_TWO, home=home)
    assert (done.returncode, done.stderr) == (0, "")
    shared = f"fork: reuses data, teacher pool and rounds 1 to {ROUNDS - 1}"
    assert f"{shared}; goes on with round {ROUNDS}" in done.stdout
    for path in (RunPaths(NAME).update(ROUNDS), RunPaths(NAME).checkpoint(ROUNDS)):
        assert files(home, path.replace(NAME, "fork", 1)) == files(home, path)
    assert tracked(home)["parameter forked_from.run"] == NAME
    assert sorted(flow_runs(home)) == [("fork", "COMPLETED"), (NAME, "COMPLETED")]
    assert zppo("resume", "fork", home=home).returncode == 0
    status = RunStatus.model_validate_json(zppo("status", "fork", "--json", home=home).stdout)
    assert (status.state, status.rounds_done) == ("finished", ROUNDS)
