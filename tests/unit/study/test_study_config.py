"""What a study file may say."""

import pytest
from pydantic import ValidationError

from tests.studies import study


def claim(**test: object) -> dict[str, object]:
    return {"statement": "It is so", "source": "here", "test": test}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"variants": ["a", "a"]}, "variants: expected each once, but twice or more: a"),
        ({"variants": ["base"]}, "'base' is the base student"),
        ({"variants": [{"name": "a", "set": ["seed=1"]}]}, "list seeds under `seeds`"),
        ({"set": ["seed = 1"]}, "list seeds under `seeds`"),
        ({"set": ["rounds"]}, "should match pattern"),
        ({"seeds": [1, 1]}, "seeds: expected each once"),
        ({"seeds": []}, "at least 1 item"),
        ({"factors": [{"key": "seed", "values": [1]}]}, "the seed is no factor"),
        ({"factors": [{"key": "rounds", "values": [1, 1]}]}, "a value of 'rounds' stands twice"),
        ({"factors": [{"key": "rounds", "values": [1], "labels": ["x", "y"]}]}, "2 labels for 1 values"),
        ({"factors": [{"key": "rounds", "values": [1]}] * 2}, "factors: expected each once"),
        ({"comparisons": [{"better": "a", "baseline": "c"}]}, "comparisons.0 names 'c'"),
        ({"claims": [claim(type="difference", larger="a", smaller="bb")]}, "did you mean 'b'?"),
        (
            {"claims": [claim(type="difference", larger="a", smaller="base", measure="graduation")]},
            "no 'grad",
        ),
        (
            {
                "claims": [
                    claim(type="difference", larger="a", smaller="b", measure="seconds", axis="rollouts")
                ]
            },
            "axis 'rollouts' is for",
        ),
        (
            {"claims": [claim(type="difference", larger="a", smaller="b", entry_accuracy=0.0)]},
            "entry_accuracy is for the measure 'graduation'",
        ),
        ({"claims": [claim(type="between", measure="accuracy", variant="a", low=1, high=1)]}, "low < high"),
    ],
)
def test_a_study_that_contradicts_itself_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        study(**settings)
    assert said in str(caught.value)


def test_a_variant_has_the_studys_seeds_unless_it_has_its_own() -> None:
    found = study(variants=[{"name": "a"}, {"name": "b", "seeds": [7, 8]}], seeds=[1])
    assert [found.seeds_of(variant) for variant in found.variants] == [(1,), (7, 8)]


def test_labels_stand_for_names_and_values_where_there_are_any() -> None:
    factors = [
        {"key": "rounds", "values": [1, 2], "labels": ["few", "many"]},
        {"key": "method.tau", "label": "threshold", "values": [0.5]},
    ]
    found = study(variants=[{"name": "a", "label": "The first"}, "b"], factors=factors)
    assert [variant.title for variant in found.variants] == ["The first", "b"]
    assert [factor.title for factor in found.factors] == ["rounds", "threshold"]
    assert [found.factors[0].value_title(value) for value in (1, 2)] == ["few", "many"]
    assert found.factors[1].value_title(0.5) == "0.5"
