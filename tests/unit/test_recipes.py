"""Recipes load, and what is wrong with one is said in the user's words."""

from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.config.method import Grpo, MethodConfig
from schemas.config.run import RunConfig
from schemas.config.teacher import ModelTeacher
from zppo.errors import InputError
from zppo.machine import load_machine
from zppo.plan import find_shape, make_plan
from zppo.plan.hardware import Hardware, student_devices, teacher_devices
from zppo.recipes import load_recipe, resolve, shipped_recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_loads(name):
    assert isinstance(load_recipe(name), RunConfig)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_survives_json(name):
    config = load_recipe(name)
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


MACHINES = {
    "qwen3.5-0.8b-one-gpu": "one-gpu",
    "qwen3.5-0.8b-node": "one-node",
    "qwen3.5-0.8b-endpoint": "one-gpu-endpoint",
}
FOLDER = Path(__file__).parents[2] / "deployments" / "machines"


def machine(name):
    return load_machine(Path("runs"), FOLDER / f"{name}.yaml", None, None)


@pytest.mark.parametrize("recipe", MACHINES)
def test_the_recipes_for_gpus_have_the_papers_settings(recipe):
    config = load_recipe(recipe)
    method, learner, sampling = config.method, config.learner, config.sampling
    assert (method.group_size, method.teacher_group_size, method.iterations) == (8, 4, 4)
    assert (method.tau, method.replay_fraction, method.augment_fraction) == (0.5, 0.25, 0.25)
    assert (method.clip_low, method.clip_high, method.dual_clip) == (0.20, 0.28, 10.0)
    assert (method.buffer_capacity, method.compression.type, method.compression.max_tokens) == (
        10_000,
        "teacher",
        512,
    )
    assert (learner.learning_rate, learner.betas, learner.weight_decay) == (1e-6, (0.9, 0.999), 0.1)
    assert (learner.adam_eps, learner.max_grad_norm, learner.warmup_updates) == (1e-8, 1.0, 0)
    assert (sampling.temperature, sampling.max_prompt_tokens, sampling.max_response_tokens) == (
        1,
        4096,
        12288,
    )
    assert (config.questions_per_round, config.rounds) == (384, 200)
    assert sampling.temperature == config.teacher.temperature == 1.0
    assert config.teacher.visits == 0  # drawn afresh at each visit


@pytest.mark.parametrize(("recipe", "name"), MACHINES.items())
def test_each_recipe_for_gpus_has_a_machine_file_on_which_it_fits(recipe, name):
    config, runtime = load_recipe(recipe), machine(name)
    hardware = Hardware(memory_bytes=80e9, vllm=runtime.vllm)
    teacher = config.teacher.model if isinstance(config.teacher, ModelTeacher) else None
    made = make_plan(config, find_shape(config.student), teacher and find_shape(teacher), hardware)
    assert len(made.fits) >= 3
    assert not any("DOES NOT FIT" in line for line in made.fits)
    assert (config.teacher.type == "endpoint") == (runtime.endpoints.teacher is not None)


def test_every_machine_file_belongs_to_a_recipe():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(MACHINES.values())


def test_the_machine_of_a_node_splits_its_gpus_as_in_the_paper():
    config, runtime = load_recipe("qwen3.5-0.8b-node"), machine("one-node")
    assert (student_devices(config, runtime), teacher_devices(config, runtime)) == (6, 2)


@pytest.mark.parametrize(("size", "fits"), [("0.8B", True), ("2B", True), ("4B", False), ("9B", False)])
def test_beside_its_teacher_a_gpu_of_80_gb_holds_a_student_of_2b_and_none_of_4b(size, fits):
    changes = [f"student.model=Qwen/Qwen3.5-{size}", "engine.gpu_memory_fraction=0.2"]
    config = load_recipe("qwen3.5-0.8b-one-gpu", changes)
    hardware = Hardware(memory_bytes=80e9, vllm=machine("one-gpu").vllm)
    made = make_plan(config, find_shape(config.student), find_shape(config.teacher.model), hardware)
    assert fits != any("DOES NOT FIT" in line for line in made.fits)


def test_a_path_and_a_name_load_the_same_recipe():
    assert load_recipe(str(shipped_recipes()["pocket"])) == load_recipe("pocket")


@given(tau=st.floats(min_value=0.01, max_value=1.0))
def test_an_override_changes_that_setting_and_nothing_else(tau):
    plain, changed = load_recipe("pocket"), load_recipe("pocket", [f"method.tau={tau}"])
    assert changed.method.tau == tau
    back = changed.method.model_copy(update={"tau": plain.method.tau})
    assert changed.model_copy(update={"method": back}) == plain


def test_an_override_reaches_into_lists_and_into_absent_parts():
    config = load_recipe("pocket", ["data.sources.0.count=100", "promotion.min_gain=0.1"])
    assert config.data.sources[0].count == 100
    assert config.promotion.min_gain == 0.1


def test_a_bare_name_is_a_model_with_defaults():
    config = load_recipe("pocket", ["student=champion"])
    assert (config.student.model, config.student.templates) == ("champion", "general")


def test_an_override_replaces_a_whole_part():
    assert load_recipe("pocket", ["method={type: grpo}"]).method == Grpo()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("method.augment_fractoin=1", "did you mean 'augment_fraction'?"),
        ("method.type=zpo", "unknown type 'zpo'; did you mean 'zppo'?"),
        ("teacher.typ=none", "did you mean 'type'?"),
        ("data.sources.1.lenghts=[5]", "data.sources.1.lenghts: unknown setting of type 'pocket'"),
        ("learning_rate=1e-3", "did you mean 'learner.learning_rate'?"),
        ("method={type: grpo, replay_fraction: 0.2}", "unknown setting of type 'grpo' (only zppo, "),
        ("method={tau: 0.2}", "`type` is missing; expected one of control_extra_plain,"),
        ("rounds=many", "rounds: expected a valid integer"),
        ("method.tau=1.5", "method.tau: expected less than or equal to 1; got 1.5"),
        ("learner.learning_rate=.nan", "learner.learning_rate: expected a finite number"),
        ("teacher={type: none}", "method 'zppo' asks a teacher"),
        ("data.sources.1.name=chains", "each source needs a name of its own"),
        ("questions_per_round=3", "each update needs a whole group"),
        ("data.sources.9.count=1", "expected a position from 0 to 1, got '9'"),
        ("rounds.x=1", "'rounds' holds the value 80"),
        ("rounds", "--set takes KEY=VALUE"),
        ("method={tau: 1, tau: 2}", "the key 'tau' stands twice"),
        ("method={", "is not valid YAML"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_to_write_instead(override, said):
    with pytest.raises(InputError) as caught:
        load_recipe("pocket", [override])
    assert said in str(caught.value)


METHODS = {model.model_fields["type"].default: model for model in get_args(get_args(MethodConfig)[0])}
SETTINGS = sorted({name for model in METHODS.values() for name in model.model_fields})


@pytest.mark.parametrize("method", METHODS)
def test_a_misspelt_method_is_refused_with_the_nearest_one(method):
    for wrong in (method[:-1], f"{method}s", method.capitalize()):
        with pytest.raises(InputError) as caught:
            load_recipe("pocket", [f"method={{type: {wrong}}}"])
        assert f"unknown type '{wrong}'; did you mean '{method}'?" in str(caught.value)


@pytest.mark.parametrize("method", METHODS)
def test_a_setting_that_a_method_does_not_have_is_refused_with_the_methods_that_have_it(method):
    for setting in SETTINGS:
        if setting in METHODS[method].model_fields:
            continue
        with pytest.raises(InputError) as caught:
            load_recipe("pocket", [f"method={{type: {method}, {setting}: 1}}"])
        owners = [name for name, model in METHODS.items() if setting in model.model_fields]
        assert (
            f"method.{setting}: unknown setting of type '{method}' (only {', '.join(owners)} "
            f"{'has' if len(owners) == 1 else 'have'} it)" in str(caught.value)
        )


@pytest.mark.parametrize("method", METHODS)
def test_a_misspelt_setting_of_a_method_is_refused_with_the_nearest_one_that_it_has(method):
    for setting in METHODS[method].model_fields:
        with pytest.raises(InputError) as caught:
            load_recipe("pocket", [f"method={{type: {method}, {setting}s: 1}}"])
        assert f"did you mean '{setting}'?" in str(caught.value)


def test_a_missing_setting_is_named_with_its_meaning():
    with pytest.raises(InputError, match=r"student.model: required, but missing: `pocket/student`"):
        load_recipe("pocket", ["student={}"])


def test_every_problem_is_said_at_once():
    with pytest.raises(InputError) as caught:
        load_recipe("pocket", ["rounds=0", "seed=-1", "studnet={}"])
    assert all(word in str(caught.value) for word in ("rounds", "seed", "studnet"))


def test_an_unknown_recipe_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(InputError, match="did you mean 'pocket'"):
        load_recipe("pokket")
    with pytest.raises(InputError, match="no recipe at"):
        load_recipe(str(tmp_path / "absent.yaml"))


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    with pytest.raises(InputError, match="expected a mapping of settings"):
        load_recipe(str(tmp_path / "list.yaml"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    )
)
def test_any_document_is_either_a_recipe_or_an_input_error(document):
    settings = yaml.safe_load(shipped_recipes()["pocket"].read_text()) | {"method": document}
    for attempt in (document, settings):
        with pytest.raises(InputError):
            resolve(attempt, "a test")
