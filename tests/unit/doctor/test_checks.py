"""Every finding, each with the fault that provokes it."""

import errno
import importlib.metadata
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from schemas.config.endpoints import EndpointAccess, EndpointsConfig
from schemas.config.machine import GivenServers, ManagedServers
from schemas.config.models import VllmEngineConfig
from schemas.config.run import Runtime
from schemas.doctor import Finding
from zppo.doctor import engines, servers, store
from zppo.doctor.examine import examine, findings_text
from zppo.doctor.privacy import check_keys, check_telemetry
from zppo.doctor.versions import check_versions, requirements
from zppo.environment import prepare_environment
from zppo.recipes import load_recipe
from zppo.stores.files import Operations

GB = 1000**3
CPU = engines.Probe(torch="2.13.0", built_for_cuda=True)
GOOD = Finding(check="Prefect", level="ok", found="fine")
GPU = engines.Device(name="H100", free=70 * 2**30, total=80 * 2**30)


def _only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    assert (finding.todo == "") == (finding.level == "ok")
    return finding


@contextmanager
def _server(answers: dict[str, tuple[int, str]]) -> Iterator[str]:
    """An HTTP server with these answers by path; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = answers.get(self.path, (404, ""))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_installed_packages_fit_the_pins_of_the_metadata() -> None:
    assert _only(check_versions(requirements())).level == "ok"


def test_a_package_that_does_not_fit_or_is_missing_is_named_with_what_is_needed() -> None:
    def installed(name: str) -> str:
        if name == "missing":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.165.0"

    found = check_versions([Requirement("fastapi<0.151"), Requirement("missing>=1")], installed)
    assert [each.level for each in found] == ["problem", "problem"]
    assert found[0].found == "fastapi 0.165.0 is installed; needed <0.151"
    assert "missing is not installed; needed >=1" in found[1].found


def test_a_store_that_takes_commits_is_left_as_it_was(tmp_path: Path) -> None:
    assert _only(store.check_store(tmp_path)).level == "ok"
    assert list((tmp_path / "tmp").iterdir()) == list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize(
    ("call", "number", "said"),
    [
        ("write", errno.EROFS, "cannot be written to"),
        ("write", errno.ENOSPC, "is full"),
        ("sync", errno.EIO, "does not take a commit"),
        ("rename", errno.EXDEV, "lie on different file systems"),
    ],
)
def test_a_store_that_does_not_take_a_commit_is_a_problem(
    tmp_path: Path, call: str, number: int, said: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(number, "broken")

    finding = _only(store.check_store(tmp_path, Operations(**{call: fail})))
    assert finding.level == "problem"
    assert said in finding.found


def test_a_home_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    assert _only(store.check_store(tmp_path / "home")).level == "problem"
    assert _only(store.check_locks(tmp_path / "home")).level == "problem"


def test_locks_that_two_can_hold_are_a_problem(tmp_path: Path) -> None:
    assert _only(store.check_locks(tmp_path)).level == "ok"
    assert "given to a second holder" in _only(store.check_locks(tmp_path, lambda descriptor: True)).found

    def unsupported(descriptor: int) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    assert _only(store.check_locks(tmp_path, unsupported)).level == "problem"


@pytest.mark.parametrize(("free", "level"), [(20 * GB, "ok"), (9 * GB, "warning"), (GB // 10, "problem")])
def test_little_free_space_is_a_warning_and_none_a_problem(tmp_path: Path, free: int, level: str) -> None:
    assert _only(store.check_disk(tmp_path, free)).level == level


def test_two_machines_see_the_same_store_by_its_token(tmp_path: Path) -> None:
    token = _only(store.leave_token(tmp_path / "a")).found.rpartition(" ")[2]
    assert _only(store.leave_token(tmp_path / "a")).found.endswith(token)
    assert _only(store.check_token(tmp_path / "a", token)).level == "ok"
    finding = _only(store.check_token(tmp_path / "b", token))
    assert finding.level == "problem"
    assert "is another store" in finding.found


def test_a_given_prefect_server_answers_with_its_version() -> None:
    ours = importlib.metadata.version("prefect")
    with _server({"/api/health": (200, "true"), "/api/admin/version": (200, f'"{ours}"')}) as url:
        assert _only(servers.check_prefect(f"{url}/api")).level == "ok"
    with _server({"/api/health": (200, "true"), "/api/admin/version": (200, '"2.1.0"')}) as url:
        assert "is of version 2.1.0" in _only(servers.check_prefect(f"{url}/api")).found
    with _server({"/api/health": (200, "true"), "/api/admin/version": (401, "")}) as url:
        assert "PREFECT_API_AUTH_STRING" in _only(servers.check_prefect(f"{url}/api")).todo
    with _server({}) as url:
        assert "HTTP 404" in _only(servers.check_prefect(f"{url}/wrong")).found


def test_a_prefect_server_that_is_away_is_a_problem_whose_password_is_not_shown() -> None:
    finding = _only(servers.check_prefect("http://me:secret@127.0.0.1:1/api"))
    assert finding.level == "problem"
    assert "secret" not in finding.model_dump_json()


def test_a_server_of_ones_own_that_cannot_start_is_a_problem_with_its_cause() -> None:
    assert _only(servers.check_own_prefect(["-c", "pass"])).level == "ok"
    finding = _only(servers.check_own_prefect(["-c", "raise TypeError('min_items')"]))
    assert finding.level == "problem"
    assert "min_items" in finding.found


def test_an_mlflow_database_answers_or_will_be_made(tmp_path: Path, mlflow_database: Path) -> None:
    assert "answers" in _only(servers.check_mlflow(f"sqlite:///{mlflow_database}")).found
    assert "will be made" in _only(servers.check_mlflow(f"sqlite:///{tmp_path / 'mlflow.db'}")).found


def test_an_mlflow_server_that_does_not_answer_is_a_problem_whose_password_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    finding = _only(servers.check_mlflow("http://me:secret@127.0.0.1:1"))
    assert finding.level == "problem"
    assert "secret" not in finding.model_dump_json()


def test_an_engine_that_cannot_be_imported_is_a_problem_with_its_cause() -> None:
    finding = _only(engines.check_engine(engines.probe("raise ImportError('libcudart.so.13')")))
    assert finding.level == "problem"
    assert "libcudart.so.13" in finding.found
    assert _only(engines.check_engine(engines.probe("print('hello')"))).level == "problem"
    assert _only(engines.check_engine(CPU)).level == "ok"


def test_a_gpu_that_torch_does_not_see_is_a_problem() -> None:
    assert "driver" in _only(engines.check_gpu(CPU, True, None)).found
    for_cpu = CPU.model_copy(update={"built_for_cuda": False})
    assert "it is for CPUs" in _only(engines.check_gpu(for_cpu, True, None)).found
    assert _only(engines.check_gpu(CPU, False, None)).level == "ok"


def test_a_gpu_is_shown_with_its_memory_and_warned_of_where_it_is_taken_or_old() -> None:
    good = CPU.model_copy(update={"devices": (GPU,), "bfloat16": True})
    assert _only(engines.check_gpu(good, True, None)).found == "cuda:0 H100, 70 of 80 GiB free, bfloat16"
    taken = good.model_copy(update={"devices": (GPU.model_copy(update={"free": 2**30}),)})
    assert "nvidia-smi" in _only(engines.check_gpu(taken, True, None)).todo
    old = good.model_copy(update={"bfloat16": False})
    assert "float32" in _only(engines.check_gpu(old, True, None)).todo


def test_a_recipe_in_bfloat16_without_a_gpu_is_a_warning() -> None:
    recipe = load_recipe("pocket", ["student.dtype=bfloat16"])
    assert _only(engines.check_gpu(CPU, False, recipe)).level == "warning"
    assert _only(engines.check_gpu(CPU, False, load_recipe("pocket"))).level == "ok"


def test_vllm_is_looked_for_where_somebody_wants_it(tmp_path: Path) -> None:
    absent = ManagedServers(python=tmp_path / "bin" / "python")
    assert engines.check_vllm(absent, "student", wanted=False) == []
    assert "no interpreter at" in _only(engines.check_vllm(absent, "student", wanted=True)).found
    without = ManagedServers(python=Path(sys.executable))
    assert "has no vLLM" in _only(engines.check_vllm(without, "student", wanted=True)).found


def test_a_given_vllm_server_answers_or_is_a_problem() -> None:
    with _server({"/health": (200, "")}) as url:
        assert _only(engines.check_vllm(GivenServers(urls=(url,)), "teacher", True)).level == "ok"
    away = GivenServers(urls=("http://127.0.0.1:1",))
    assert "no healthy server" in _only(engines.check_vllm(away, "teacher", True)).found


def test_telemetry_that_somebody_turned_on_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepare_environment(tmp_path)
    off = {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1",
    }  # fmt: skip
    assert _only(check_telemetry(off)).level == "ok"
    for name, on in {**dict.fromkeys(off, ""), "PREFECT_SERVER_ANALYTICS_ENABLED": "true"}.items():
        assert name in _only(check_telemetry(off | {name: on})).found
    assert "vLLM" in _only(check_telemetry(off | {"VLLM_NO_USAGE_STATS": "0"})).found


def test_a_key_is_there_or_missed_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    access = EndpointAccess(url="http://localhost:8000/v1", api_key="env:ZPPO_TEST_KEY")
    endpoints = EndpointsConfig(teacher=access)
    monkeypatch.setenv("ZPPO_TEST_KEY", "sk-very-secret")
    finding = _only(check_keys(endpoints))
    assert (finding.level, "sk-very" in finding.model_dump_json()) == ("ok", False)
    monkeypatch.delenv("ZPPO_TEST_KEY")
    assert "ZPPO_TEST_KEY" in _only(check_keys(endpoints)).found
    assert _only(check_keys(EndpointsConfig())).level == "ok"


def test_the_text_marks_problems_says_what_to_do_and_gives_a_verdict() -> None:
    found = [
        Finding(check="store", level="ok", found="fine"),
        Finding(check="MLflow", level="problem", found="away", todo="start it"),
    ]
    text = findings_text(found)
    assert text.splitlines()[0] == "OK       store   fine"
    assert "PROBLEM  MLflow  away" in text
    assert "-> start it" in text
    assert text.endswith("1 problem, 0 warnings. Runs will fail until the problems are solved.")
    assert findings_text(found[:1]).endswith("0 problems, 0 warnings. Ready.")


def test_the_whole_examination_covers_every_part_of_an_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zppo.doctor.examine.probe", lambda: CPU)
    monkeypatch.setattr("zppo.doctor.servers.check_own_prefect", lambda: [GOOD])
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    recipe = load_recipe("pocket").model_copy(update={"engine": VllmEngineConfig()})
    runtime = Runtime.model_validate({"home": tmp_path, "vllm": {"student": {"python": "/no/python"}}})
    found = examine(runtime, recipe, None)
    assert {each.check for each in found} == {
        "versions", "store", "locks", "disk", "room", "token", "Prefect", "MLflow", "engine", "GPU", "vLLM",
        "telemetry", "keys",
    }  # fmt: skip
    assert [each.check for each in found if each.level == "problem"] == ["vLLM"]
