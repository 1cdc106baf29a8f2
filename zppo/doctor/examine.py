"""The whole examination: every check, side by side, in one order."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from schemas.config.models import VllmEngineConfig
from schemas.config.run import RunConfig, Runtime
from schemas.doctor import Finding
from zppo.doctor.engines import check_engine, check_gpu, check_vllm, probe
from zppo.doctor.privacy import check_keys, check_telemetry
from zppo.doctor.servers import check_mlflow, check_prefect
from zppo.doctor.store import check_disk, check_locks, check_store, check_token, leave_token
from zppo.doctor.versions import check_versions, requirements
from zppo.errors import InputError
from zppo.wiring.registry import mlflow_uri

_NVIDIA = Path("/proc/driver/nvidia/version")
_MARKS = {"ok": "OK     ", "warning": "WARNING", "problem": "PROBLEM"}


def examine(runtime: Runtime, recipe: RunConfig | None, token: str | None) -> list[Finding]:
    """All findings on this machine.

    Args:
        runtime: The machine, its home above all.
        recipe: To be run here, where one is named.
        token: Of the store, as another machine showed it; None: leave one.
    """
    home = runtime.home
    checks: Sequence[Callable[[], Iterable[Finding]]] = (
        lambda: check_versions(requirements()),
        lambda: check_store(home),
        lambda: check_locks(home),
        lambda: check_disk(home),
        lambda: _room(home, recipe),
        lambda: leave_token(home) if token is None else check_token(home, token),
        lambda: check_prefect(os.environ.get("PREFECT_API_URL")),
        lambda: check_mlflow(mlflow_uri(runtime)),
        lambda: _models(recipe),
        lambda: check_vllm(runtime.vllm.student, "student", _student_wants_vllm(recipe)),
        lambda: check_vllm(runtime.vllm.teacher, "teacher", _teacher_wants_vllm(recipe)),
        lambda: check_telemetry(os.environ),
        lambda: check_keys(runtime.endpoints),
    )
    with ThreadPoolExecutor(len(checks)) as pool:
        running = [pool.submit(check) for check in checks]
        return [finding for each in running for finding in each.result()]


def findings_text(findings: Sequence[Finding]) -> str:
    """A line for each finding, what to do below it, and a verdict."""
    width = max(len(each.check) for each in findings)
    lines = []
    for each in findings:
        lines.append(f"{_MARKS[each.level]}  {each.check:<{width}}  {each.found}")
        if each.todo:
            lines.append(f"{'':{width + 11}}-> {each.todo}")
    counts = {level: sum(each.level == level for each in findings) for level in _MARKS}
    problems, warnings = counts["problem"], counts["warning"]
    verdict = "Ready." if not problems else "Runs will fail until the problems are solved."
    found = f"{problems} problem{'s' * (problems != 1)}, {warnings} warning{'s' * (warnings != 1)}."
    return "\n".join([*lines, "", f"{found} {verdict}"])


def _models(recipe: RunConfig | None) -> list[Finding]:
    found = probe()
    return check_engine(found) + check_gpu(found, _NVIDIA.exists(), recipe)


def _room(home: Path, recipe: RunConfig | None) -> list[Finding]:
    """Whether a run of the recipe fits on the disk."""
    if recipe is None:
        return []
    from zppo.plan.space import check_space

    try:
        warning = check_space([recipe], home)
    except InputError as error:
        return [
            Finding(check="room", level="problem", found=str(error), todo="as said, or choose another --home")
        ]
    if warning:
        return [
            Finding(check="room", level="warning", found=warning, todo="as said, or choose another --home")
        ]
    return [Finding(check="room", level="ok", found="a run of the recipe fits on the disk")]


def _student_wants_vllm(recipe: RunConfig | None) -> bool:
    return recipe is not None and isinstance(recipe.engine, VllmEngineConfig)


def _teacher_wants_vllm(recipe: RunConfig | None) -> bool:
    if recipe is None or recipe.teacher.type != "model":
        return False
    return isinstance(recipe.teacher.engine, VllmEngineConfig)
