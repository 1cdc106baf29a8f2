import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config.evaluation import PromotionConfig
from zppo.stores.identity import canonical_json, changes, fingerprint, identify

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
INPUTS = st.dictionaries(st.text(min_size=1, max_size=8), JSON, max_size=4)


@given(INPUTS)
def test_the_fingerprint_does_not_depend_on_the_order_of_keys(inputs: dict) -> None:
    turned = dict(reversed(inputs.items()))
    assert fingerprint(identify("s", inputs)) == fingerprint(identify("s", turned))


@given(INPUTS, INPUTS)
def test_two_identities_have_changes_exactly_when_their_fingerprints_differ(old: dict, new: dict) -> None:
    before, after = identify("s", old), identify("s", new)
    if fingerprint(before) == fingerprint(after):
        assert changes(before, after) == []
    elif not any("." in key for key in [*old, *new]) and not any(_dotted(value) for value in [old, new]):
        assert changes(before, after) != []


def _dotted(value: object) -> bool:
    if isinstance(value, dict):
        return any("." in key or _dotted(item) for key, item in value.items())
    return isinstance(value, list) and any(_dotted(item) for item in value)


def test_a_change_names_the_field_and_both_values() -> None:
    old = identify("collect", {"recipe": {"method": {"tau": 0.5, "group_size": 8}, "seed": 1}})
    new = identify("collect", {"recipe": {"method": {"tau": 0.4, "group_size": 8}}})
    assert [str(change) for change in changes(old, new)] == [
        "recipe.method.tau: 0.5 -> 0.4",
        "recipe.seed: 1 -> absent",
    ]


def test_the_stage_and_the_parents_are_part_of_the_identity() -> None:
    assert fingerprint(identify("collect", {})) != fingerprint(identify("update", {}))


def test_models_count_by_their_content() -> None:
    given_as_model = identify("promote", {"config": PromotionConfig()})
    given_as_json = identify("promote", {"config": PromotionConfig().model_dump(mode="json")})
    assert given_as_model == given_as_json


def test_not_a_number_has_no_fingerprint() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": math.nan})


def test_the_fingerprint_is_the_same_in_every_version() -> None:
    identity = identify("collect", {"recipe": {"tau": 0.5, "name": "ä"}, "list": [1, 2.5, None, True]})
    identity = identity.model_copy(update={"method_version": 1})
    assert fingerprint(identity) == "34443a54b1fd0f3b47a0cd7771e4e5d47db70472b20a3ef353388d8cad8e4463"
