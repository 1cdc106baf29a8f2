from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.core.compose import post_cap, pre_cap, share


@given(st.integers(0, 1000), st.integers(0, 5000))
def test_a_share_is_rounded_down_as_decimals_are_written_and_at_least_one(per_mille: int, new: int) -> None:
    exact = Fraction(per_mille, 1000) * new
    expected = max(1, int(exact)) if exact > 0 else 0
    assert share(per_mille / 1000, new) == expected


@pytest.mark.parametrize(
    ("fraction", "new", "expected"),
    [(0.25, 384, 96), (0.25, 7, 1), (0.25, 3, 1), (0.29, 100, 29), (1.0, 5, 5)],
)
def test_examples_of_shares(fraction: float, new: int, expected: int) -> None:
    assert share(fraction, new) == expected


@pytest.mark.parametrize(("fraction", "new"), [(0.0, 100), (0.5, 0)])
def test_nothing_has_no_share(fraction: float, new: int) -> None:
    assert share(fraction, new) == 0


def test_the_pre_cap_counts_only_questions_that_admit_a_reformulation() -> None:
    assert pre_cap(["a", "b", "c", "d"], 2, lambda name: name in "bcd") == ["b", "c"]


@pytest.mark.parametrize(
    ("cap", "kept"),
    [
        (0, []),
        (1, ["bcq a"]),
        (2, ["bcq a", "ncq a"]),
        (3, ["bcq a", "ncq a", "bcq b"]),
        (4, ["bcq a", "ncq a", "bcq b", "ncq b"]),
        (9, ["bcq a", "ncq a", "bcq b", "ncq b"]),
    ],
)
def test_with_one_slot_left_the_bcq_stays_and_the_ncq_goes(cap: int, kept: list[str]) -> None:
    assert post_cap([["bcq a", "ncq a"], ["bcq b", "ncq b"]], cap) == kept


def test_the_walk_stops_at_the_first_prompt_that_does_not_fit() -> None:
    assert post_cap([["bcq a", "ncq a"], ["ncq b"]], 1) == ["bcq a"]
