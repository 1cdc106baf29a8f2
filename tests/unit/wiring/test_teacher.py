"""Which runs share a pool of teacher responses, what hints add to it, and when the teacher stays loaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.config.run import RunConfig, Runtime
from schemas.config.teacher import ModelTeacher
from schemas.teacher import TeacherPool
from tests.pipelines import RECIPE
from zppo.ports import Visit
from zppo.rendering import SETS
from zppo.stages.precompute import REPORT
from zppo.teachers.pool import RESPONSES, PoolTable
from zppo.wiring.context import RunContext, open_run
from zppo.wiring.precompute import pool_inputs, run_precompute
from zppo.wiring.prepare import run_prepare
from zppo.wiring.teacher import teacher, works_in_rounds

SHARING = (
    "grpo_both",
    "grpo_replay_bcq",
    "prefix",
    "off_policy_distillation",
    "off_policy_distillation_replay",
    "control_no_gradient",
)
ASKING_FOR_NONE = (
    "grpo",
    "grpo_replay",
    "grpo_replay_ncq",
    "on_policy_distillation",
    "control_wrong_pair",
    "control_extra_plain",
)


def config_of(method: str, asked: dict[str, Any] | None = None, **settings: Any) -> RunConfig:
    """The tiny recipe with another method."""
    whole = RECIPE | {"method": {"type": method} | settings}
    return RunConfig.model_validate(whole | {"teacher": RECIPE["teacher"] | (asked or {})})


@contextmanager
def opened(home: Path, config: RunConfig, name: str) -> Iterator[RunContext]:
    with open_run(config, name, Runtime(home=home)) as run:
        yield run


def inputs(home: Path, config: RunConfig, name: str) -> dict[str, Any]:
    assert isinstance(config.teacher, ModelTeacher)
    with opened(home, config, name) as run:
        return pool_inputs(run, config.teacher)


def test_methods_that_ask_for_the_same_share_one_pool(tmp_path: Path) -> None:
    with opened(tmp_path, config_of("zppo"), "first") as run:
        path = run_precompute(run)
    for method in SHARING:
        with opened(tmp_path, config_of(method), method) as run:
            assert run_precompute(run) == path
            assert run.teacher is not None
            assert "module" not in vars(run.teacher)


@pytest.mark.parametrize("method", ASKING_FOR_NONE)
def test_methods_that_ask_for_no_responses_have_no_pool(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with opened(tmp_path, config_of(method), method) as run:
        monkeypatch.setattr(run.progress, "say", said.append)
        assert run_precompute(run) == ""
    assert f"{method} asks no teacher" in said[-1]


def test_hints_are_made_with_the_pool_and_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with opened(tmp_path, config_of("hint", teacher_group_size=2), "hints") as run:
        monkeypatch.setattr(run.progress, "say", said.append)
        path = run_precompute(run)
        report = TeacherPool.model_validate_json(run.store.file(path, REPORT).read_bytes())
        table = PoolTable(run.store.file(path, RESPONSES))
        train = run.questions(run_prepare(run), "train")
        responses = [
            each for question in train.at(range(len(train))) for each in table.responses(question.id)
        ]
    assert report.hints + report.hints_revealing + report.hints_missing == report.correct > 0
    assert sum(each.hint is not None for each in responses) == report.hints
    assert all(each.token_ids for each in responses)
    assert f"{report.hints:,} hints from the correct ones" in said[-1]


def test_what_hints_depend_on_identifies_the_pool(tmp_path: Path) -> None:
    own = copytree(SETS / "pocket", tmp_path / "own")
    own_set = {"model": {"model": "pocket/teacher", "templates": str(own)}}
    before = [inputs(tmp_path, config_of(method, own_set), method) for method in ("hint", "zppo")]
    shorter = inputs(tmp_path, config_of("hint", own_set, max_hint_tokens=9), "shorter")
    assert shorter != before[0]
    assert {"max_hint_tokens", "hint_template", "length_tokenizer"} == before[0].keys() - before[1].keys()


def test_the_general_prompt_for_hints_counts_where_a_set_lacks_one(tmp_path: Path) -> None:
    own = copytree(SETS / "pocket", tmp_path / "own")
    own_set = {"model": {"model": "pocket/teacher", "templates": str(own)}}
    ours = inputs(tmp_path, config_of("hint", own_set), "ours")
    (own / "write_hint.txt").unlink()
    general = inputs(tmp_path, config_of("hint", own_set), "general")
    assert ours["hint_template"] != general["hint_template"]


def test_without_a_pool_every_visit_is_drawn_online_with_its_tokens(tmp_path: Path) -> None:
    config = config_of("hint", {"visits": 0, "when_dry": "online"})
    with opened(tmp_path, config, "online") as run:
        assert run_precompute(run) == ""
        (question,) = run.questions(run_prepare(run), "train").at([0])
        online = teacher(run, "")
        assert online is not None
        (answer,) = online.respond([Visit(question=question, served=0, count=3, seed=1)])
        assert run.teacher is not None
        decode = run.teacher.tokenizer.decode
    assert (answer.served, answer.drawn) == (0, 3)
    assert [decode(each.token_ids) for each in answer.responses] == [each.text for each in answer.responses]
    assert answer.tokens > sum(len(each.token_ids) for each in answer.responses)


@pytest.mark.parametrize(
    ("method", "asked", "settings", "needed"),
    [
        ("zppo", {}, {}, False),
        ("hint", {}, {}, False),
        ("prefix", {}, {}, False),
        ("hint", {"when_dry": "online"}, {}, True),
        ("grpo", {"when_dry": "online"}, {}, False),
        ("zppo", {}, {"compression": {"type": "teacher"}}, True),
        ("grpo_replay_ncq", {}, {"compression": {"type": "teacher"}}, True),
        ("off_policy_distillation", {}, {}, True),
        ("on_policy_distillation_replay", {}, {}, True),
    ],
)
def test_the_teacher_stays_where_rounds_need_it(
    method: str, asked: dict[str, Any], settings: dict[str, Any], needed: bool
) -> None:
    assert works_in_rounds(config_of(method, asked, **settings)) is needed


def test_off_policy_distillation_wants_responses_to_every_question() -> None:
    with pytest.raises(ValidationError, match=r"only_hard is true; set it to false"):
        config_of("off_policy_distillation", {"only_hard": True})
