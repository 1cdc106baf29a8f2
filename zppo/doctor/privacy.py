"""What leaves this machine: telemetry, which is to be off, and keys, which are to be there and not shown."""

from collections.abc import Mapping

from schemas.config.endpoints import EndpointsConfig
from schemas.doctor import Finding
from zppo.errors import InputError
from zppo.wiring.endpoints import find_key

OFF: Mapping[str, tuple[str, frozenset[str]]] = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": ("Prefect", frozenset({"false", "0", "no", "off"})),
    "MLFLOW_DISABLE_TELEMETRY": ("MLflow", frozenset({"true", "1"})),
    "HF_HUB_DISABLE_TELEMETRY": ("Hugging Face", frozenset({"true", "1", "yes", "on"})),
    "DO_NOT_TRACK": ("others", frozenset({"true", "1"})),
}
"""The variables that turn telemetry off, whose it is, and the values that do."""


def check_telemetry(environment: Mapping[str, str]) -> list[Finding]:
    """Every switch is where this program puts it unless somebody has set it; vLLM's goes with its servers."""
    on = {name: whose for name, (whose, off) in OFF.items() if environment.get(name, "").lower() not in off}
    if environment.get("VLLM_NO_USAGE_STATS", "1") != "1":
        on["VLLM_NO_USAGE_STATS"] = "vLLM servers that are started by hand"
    if not on:
        found = "off for Prefect, MLflow, Hugging Face and vLLM"
        return [Finding(check="telemetry", level="ok", found=found)]
    return [
        Finding(
            check="telemetry",
            level="warning",
            found=f"{name} is {environment.get(name, 'not set')!r}: {whose} may send usage data",
            todo=f"unset {name}: this program turns it off",
        )
        for name, whose in on.items()
    ]


def check_keys(endpoints: EndpointsConfig) -> list[Finding]:
    """Each endpoint's key is where the machine's file says; no part of it is shown."""
    roles = {"teacher": endpoints.teacher, "judge": endpoints.judge}
    named = {role: access.api_key for role, access in roles.items() if access and access.api_key}
    if not named:
        return [Finding(check="keys", level="ok", found="no endpoint of this machine needs one")]
    return [_key(role, reference) for role, reference in named.items()]


def _key(role: str, reference: str) -> Finding:
    try:
        find_key(reference, role)
    except InputError as error:
        todo = "set the variable where the worker starts, or make the Prefect block of type Secret"
        return Finding(check="keys", level="problem", found=str(error), todo=todo)
    return Finding(check="keys", level="ok", found=f"{role}: there is a key in {reference}")
