import pytest

from schemas.config.study import VariantGroup
from zppo.core.study.estimates import Bootstrap
from zppo.study.report.figures.style import palette
from zppo.study.report.words import accuracy_fraction, amount, difference, estimate, plural, table

BOOTSTRAP = Bootstrap(confidence=0.95, resamples=200)


def test_a_difference_is_bold_only_where_its_interval_excludes_zero() -> None:
    assert difference(BOOTSTRAP.estimate([0.1, 0.1])) == "**+0.100 [+0.100, +0.100]** 2/2"
    assert difference(BOOTSTRAP.estimate([-0.1, -0.1])) == "**-0.100 [-0.100, -0.100]** 0/2"
    assert difference(BOOTSTRAP.estimate([-0.1, 0.1])) == "+0.000 [-0.100, +0.100] 1/2"


def test_one_seed_is_written_without_an_interval_and_nothing_as_a_dash() -> None:
    assert estimate(BOOTSTRAP.estimate([0.25])) == "0.250"
    assert difference(BOOTSTRAP.estimate([0.25])) == "+0.250 1/1"
    assert estimate(None) == difference(None) == "–"


def test_amounts_carry_their_unit() -> None:
    assert amount(20480, "rollouts") == "20,480 rollouts"
    assert amount(80, "rounds") == "80 rounds"
    assert amount(31.24, "seconds") == "31.2 seconds"
    assert amount(3124.4, "seconds") == "3,124 seconds"


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (0.125, "1/8"), (1 / 3, "1/3"), (2 / 7, "2/7")])
def test_accuracies_of_groups_are_fractions(value: float, text: str) -> None:
    assert accuracy_fraction(value) == text


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert table(("a", "b"), [("x|y", "1")]) == ["| a | b |", "| --- | ---: |", "| x\\|y | 1 |"]


def test_only_one_is_singular() -> None:
    assert [plural(number, "seed") for number in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]


def group(name: str, *variants: str) -> VariantGroup:
    return VariantGroup(name=name, title=name, variants=variants)


def test_variants_of_a_group_look_different_and_keep_their_look_in_the_next_group() -> None:
    first, second = palette([group("one", *"abcdefgh"), group("two", "h", "x", "a", "y")])
    assert len(set(first.values())) == 8
    assert len(set(second.values())) == 4
    assert (second["a"], second["h"]) == (first["a"], first["h"])
