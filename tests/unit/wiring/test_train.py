"""What a recipe has done beside its sampler."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from schemas.config.endpoints import EndpointsConfig
from schemas.config.run import RunConfig
from tests.pipelines import RECIPE
from zppo.wiring.train import beside_the_sampler

ENDPOINT = {"url": "http://localhost:1/v1", "concurrency": 40}
MACHINE = EndpointsConfig.model_validate({"teacher": ENDPOINT, "judge": ENDPOINT})
FREE_FORM = {"judge": {"type": "teacher"}}


def recipe(kind: str, held_out: str | None = None, **settings: Any) -> RunConfig:
    source = {"name": "rows", "type": "files", "paths": ["rows.jsonl"], "answer_kind": kind}
    outside = [source | {"name": "others", "role": "evaluate", "answer_kind": held_out}] if held_out else []
    data = {**RECIPE["data"], "sources": [source, *outside]}  # type: ignore[dict-item]
    return RunConfig.model_validate(RECIPE | {"data": data} | settings)


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("numeric", {}, None),
        ("math", {}, (False, False)),
        ("numeric", {"held_out": "math"}, None),
        ("numeric", {"engine": {"type": "vllm"}}, (False, False)),
        ("free", FREE_FORM, None),
        ("free", {"engine": {"type": "vllm"}} | FREE_FORM, None),
        ("free", {"judge": {"type": "endpoint", "model": "judge"}}, (False, True)),
        (
            "numeric",
            {"teacher": {"type": "endpoint", "model": "teacher", "when_dry": "online"}},
            (True, False),
        ),
    ],
    ids=json.dumps,
)
def test_what_waits_for_other_processes_is_done_beside_the_sampler_and_nothing_else(
    kind: str, settings: Mapping[str, Any], expected: tuple[bool, bool] | None
) -> None:
    with beside_the_sampler(recipe(kind, **settings), MACHINE) as threads:
        found = None if threads is None else (threads.teacher is not None, threads.judged)
    assert found == expected
