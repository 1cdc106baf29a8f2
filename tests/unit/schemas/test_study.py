import pytest
from pydantic import ValidationError

from tests.studies import study


def test_a_group_of_the_report_names_variants_of_the_study() -> None:
    with pytest.raises(ValidationError, match=r"groups\.0 names 'c'"):
        study(groups=[{"name": "all", "title": "All", "variants": ["a", "c"]}])


def test_a_claim_does_not_hold_a_variant_against_itself() -> None:
    test = {"type": "difference", "larger": "a", "smaller": "a"}
    with pytest.raises(ValidationError, match="larger and smaller are both 'a'"):
        study(claims=[{"statement": "It is so", "source": "here", "test": test}])
