"""A study's runs: all combinations, each once, each with the recipe that its place in the grid says."""

import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipelines import ROOT
from zppo.errors import InputError
from zppo.recipes import load_recipe
from zppo.runs import check_name
from zppo.study.grid import StudyPlan, command, load_plan, shipped_studies

KEYS = {
    "method.tau": [0.25, 0.5, 0.75],
    "rounds": [1, 2, 30],
    "learner.betas": [[0.9, 0.95], [0.9, 0.999]],
    "teacher.when_dry": ["plain", "reuse"],
}
VARIANTS = {
    "plain": ["method={type: grpo}"],
    "replay": ["method={type: grpo_replay, buffer_capacity: 9}"],
    "all-of.it": [],
}


@st.composite
def studies(draw):
    """Studies over a few keys of the recipe `pocket`."""
    seeds = st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True)
    names = draw(st.lists(st.sampled_from(sorted(VARIANTS)), min_size=1, unique=True))
    keys = draw(st.lists(st.sampled_from(sorted(KEYS)), max_size=2, unique=True))
    return {
        "title": "A study",
        "recipe": "pocket",
        "set": ["questions_per_round=16"],
        "seeds": draw(seeds),
        "variants": [
            {"name": name, "set": VARIANTS[name], "seeds": draw(st.none() | seeds)} for name in names
        ],
        "factors": [
            {
                "key": key,
                "values": [
                    KEYS[key][index]
                    for index in draw(st.sets(st.integers(0, len(KEYS[key]) - 1), min_size=1))
                ],
            }
            for key in keys
        ],
    }


def plan_of(study: dict) -> StudyPlan:
    with TemporaryDirectory() as directory:
        return load_plan(str(write(Path(directory), study)))


def write(directory: Path, study: dict, name: str = "some") -> Path:
    file = directory / f"{name}.yaml"
    file.write_text(yaml.safe_dump(study))
    return file


def identity(run) -> tuple:
    return run.variant, tuple((key, str(value)) for key, value in run.factors.items()), run.seed


def value_at(recipe, key):
    settings = recipe.model_dump(mode="json")
    for part in key.split("."):
        settings = settings[part]
    return settings


@given(studies())
@settings(max_examples=40)
def test_every_combination_is_one_run_with_a_name_of_its_own(study) -> None:
    runs = plan_of(study).runs
    cells = 1
    for factor in study["factors"]:
        cells *= len(factor["values"])
    seeds = sum(len(variant["seeds"] or study["seeds"]) for variant in study["variants"])
    assert (
        len(runs) == len({identity(run) for run in runs}) == len({run.name for run in runs}) == cells * seeds
    )
    assert all(check_name(run.name).startswith("some.") for run in runs)
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)


@given(studies())
@settings(max_examples=40)
def test_a_recipe_is_the_studys_then_the_variants_then_the_factors_then_the_seed(study) -> None:
    for run in plan_of(study).runs:
        for key, value in run.factors.items():
            assert value_at(run.recipe, key) == value
        overrides = [*study["set"], *VARIANTS[run.variant]]
        overrides += [
            f"{key}={yaml.safe_dump(value, default_flow_style=True)}" for key, value in run.factors.items()
        ]
        overrides = [override.replace("\n...\n", "") for override in overrides]
        assert run.recipe == load_recipe("pocket", [*overrides, f"seed={run.seed}"])


@given(studies(), st.data())
@settings(max_examples=40)
def test_more_variants_values_and_seeds_leave_the_runs_that_were_there_as_they_were(study, data) -> None:
    smaller = study | {
        "variants": study["variants"][: data.draw(st.integers(1, len(study["variants"])))],
        "seeds": study["seeds"][: data.draw(st.integers(1, len(study["seeds"])))],
        "factors": [factor | {"values": factor["values"][:1]} for factor in study["factors"]],
    }
    before, after = ({run.name: run for run in plan_of(each).runs} for each in (smaller, study))
    assert all(after[name] == run for name, run in before.items())


def grid(tmp_path: Path, **changes) -> StudyPlan:
    study = {
        "title": "A study",
        "recipe": "pocket",
        "seeds": [3, 4],
        "variants": [{"name": "zppo"}, {"name": "grpo", "set": ["method={type: grpo}"]}],
    }
    return load_plan(str(write(tmp_path, study | changes)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"factors": [{"key": "method.tua", "values": [0.4]}]}, "variant 'zppo', method.tua=0.4, seed 3"),
        ({"factors": [{"key": "method.tua", "values": [0.4]}]}, "did you mean 'tau'?"),
        ({"factors": [{"key": "method.replay_fraction", "values": [0.4]}]}, "variant 'grpo', method.replay"),
        ({"factors": [{"key": "method.replay_fraction", "values": [0.4]}]}, "unknown setting of type 'grpo'"),
        ({"factors": [{"key": "rounds.x", "values": [1]}]}, "variant 'zppo', rounds.x=1, seed 3"),
        ({"variants": [{"name": "a", "set": ["method={type: gprop}"]}]}, "unknown type 'gprop'"),
        ({"variants": [{"name": "a", "set": ["data.validation_questions=0"]}]}, "give it some"),
        ({"variants": [{"name": "x" * 99}]}, "cannot name a run"),
        ({"recipe": "pokket"}, "did you mean 'pocket'?"),
        ({"recipe": "absent.yaml"}, "no recipe at"),
        ({"sedes": [1]}, "did you mean 'seeds'?"),
    ],
)
def test_a_wrong_study_is_refused_before_anything_runs(tmp_path, changes, said) -> None:
    with pytest.raises(InputError) as caught:
        grid(tmp_path, **changes)
    assert said in str(caught.value)


def test_an_unknown_study_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'smoke'"):
        load_plan("smoek")


def test_a_recipes_path_is_relative_to_the_studys_own(tmp_path) -> None:
    (tmp_path / "own.yaml").write_text(load_recipe("pocket", ["rounds=7"]).model_dump_json())
    assert {run.recipe.rounds for run in grid(tmp_path, recipe="own.yaml").runs} == {7}


def test_a_study_in_a_directory_of_its_own_is_named_by_it(tmp_path) -> None:
    directory = tmp_path / "mine"
    directory.mkdir()
    file = write(directory, yaml.safe_load(shipped_studies()["smoke"].read_text()), "study")
    assert load_plan(str(file)).name == "mine"
    assert command(str(file), "mine", 2) == f"zppo study {file} --jobs 2"
    assert command(str(file), "other", 1) == f"zppo study {file} --name other"


@pytest.mark.parametrize("name", shipped_studies())
def test_every_shipped_study_can_be_run(name) -> None:
    plan = load_plan(name)
    assert plan.name == name
    assert all(run.recipe.validation.out_of_distribution for run in plan.runs)


def test_every_shipped_study_is_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for path in shipped_studies().values():
        inside = path.relative_to(ROOT / "deployments" / "studies")
        assert included[str(path.relative_to(ROOT))] == f"zppo/shipped_studies/{inside}"
