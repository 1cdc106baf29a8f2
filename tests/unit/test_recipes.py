"""Recipes load, and what is wrong with one is said in the user's words."""

from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.config.method import Grpo, MethodConfig
from schemas.config.run import RunConfig
from zppo.errors import InputError
from zppo.recipes import load_recipe, resolve, shipped_recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_loads(name):
    assert isinstance(load_recipe(name), RunConfig)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_survives_json(name):
    config = load_recipe(name)
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


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
