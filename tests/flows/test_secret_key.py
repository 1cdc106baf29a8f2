"""A key in a Secret block of a real Prefect server: it reaches the endpoint, and nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect import flow
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.pipeline import as_task
from schemas.config.endpoints import EndpointAccess, EndpointsConfig
from schemas.config.run import RunConfig, Runtime
from schemas.teacher import TeacherPool
from tests.endpoint_servers import ChatServer, chat_server
from tests.pipelines import RECIPE
from tests.prefect_servers import given_server
from zppo.doctor.privacy import check_keys
from zppo.errors import InputError
from zppo.stages.precompute import REPORT
from zppo.wiring.context import open_run
from zppo.wiring.endpoints import find_key
from zppo.wiring.precompute import run_precompute

KEY = "sk-0123456789-kept-by-prefect"
BLOCK = "teacher-key"
TEACHER = {"type": "endpoint", "model": "m", "templates": "pocket", "max_response_tokens": 16}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, prefect_database: Path) -> Iterator[Path]:
    """The home of a Prefect server that has the block, and whose address is set."""
    home = tmp_path_factory.mktemp("home")
    (home / "prefect").mkdir()
    (home / "prefect" / "prefect.db").write_bytes(prefect_database.read_bytes())
    with given_server(home) as url, temporary_settings(updates={PREFECT_API_URL: url}):
        Secret(value=KEY).save(BLOCK)
        yield home


def machine(home: Path, url: str, block: str = BLOCK) -> Runtime:
    access = EndpointAccess(url=url, api_key=f"prefect-secret:{block}", concurrency=4, retries=1)
    return Runtime(home=home, endpoints=EndpointsConfig(teacher=access))


@dataclass
class Precomputed:
    """A pool drawn within a flow run."""

    home: Path
    server: ChatServer
    report: TeacherPool
    seen: str
    """What the flow could print of the run."""


@pytest.fixture(scope="module")
def precomputed(api: Path) -> Precomputed:
    config = RunConfig.model_validate(RECIPE | {"teacher": TEACHER})
    with chat_server(ChatServer(reply=lambda asked: r"\boxed{ 3 }")) as server:

        @flow(name="precompute", log_prints=True)
        def draw(config: RunConfig, runtime: Runtime) -> Precomputed:
            with open_run(config, "keyed", runtime) as run:
                path = as_task("precompute", run_precompute, run)
                report = TeacherPool.model_validate_json(run.store.file(path, REPORT).read_bytes())
                seen = f"{run.record!r} {run.runtime!r} {vars(run)} {run.committed(path)}"
                print(seen)
            return Precomputed(api, server, report, seen)

        return draw(config, machine(api, server.url))


def test_the_key_of_a_block_reaches_the_endpoint(precomputed: Precomputed) -> None:
    assert precomputed.report.correct > 0
    assert precomputed.server.asked
    assert {each.headers["authorization"] for each in precomputed.server.asked} == {f"bearer {KEY}"}


def test_the_key_of_a_block_is_in_no_file_and_in_nothing_that_prefect_shows(precomputed: Precomputed) -> None:
    files = [file for file in precomputed.home.rglob("*") if file.is_file()]
    assert any(file.name == "prefect.db" for file in files)
    assert any(file.name == "manifest.json" for file in files)
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
        logs = client.read_logs()
    assert [each.state_name for each in runs] == ["Completed"]
    shown = f"{precomputed.seen} {runs} {logs}"
    assert f"prefect-secret:{BLOCK}" in shown
    assert KEY not in shown


def test_a_block_that_is_missing_is_named_before_anything_is_asked(api: Path) -> None:
    config = RunConfig.model_validate(RECIPE | {"teacher": TEACHER | {"revision": "another pool"}})
    with (
        chat_server() as server,
        open_run(config, "keyless", machine(api, server.url, "no-such-block")) as run,
        pytest.raises(InputError, match=r"endpoints\.teacher\.api_key .*'no-such-block', but .*: make it"),
    ):
        run_precompute(run)
    assert not server.asked


def test_a_block_without_a_key_is_told_and_its_value_is_not_shown(api: Path) -> None:
    Secret(value=f"{KEY} {KEY}").save("two-keys")
    with pytest.raises(InputError, match="prefect-secret:two-keys holds no key") as error:
        find_key("prefect-secret:two-keys", "judge")
    assert KEY not in str(error.value)


def test_a_server_that_does_not_answer_is_told() -> None:
    nobody = {PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with (
        temporary_settings(updates=nobody),
        pytest.raises(InputError, match=rf"'{BLOCK}', but the Prefect server does not give it"),
    ):
        find_key(f"prefect-secret:{BLOCK}", "teacher")


def test_the_doctor_finds_the_block_and_shows_no_part_of_it(api: Path) -> None:
    for block, level in ((BLOCK, "ok"), ("no-such-block", "problem")):
        endpoints = machine(api, "http://localhost:9/v1", block).endpoints
        (finding,) = check_keys(endpoints)
        assert finding.level == level
        assert block in finding.found
        assert KEY not in finding.model_dump_json()
