from hypothesis import given
from hypothesis import strategies as st

from zppo.core.randomness import derive_seed, generator

paths = st.lists(st.integers() | st.text(st.characters(codec="utf-8", exclude_characters="\x1f")), min_size=1)


def test_seeds_are_the_same_on_every_machine() -> None:
    assert derive_seed(1, "r1/q/plain", "rollout", 0) == 4251986341145276433
    assert derive_seed(0) == 6711488920161924273


@given(paths, paths)
def test_different_names_have_different_seeds(first: list[int | str], second: list[int | str]) -> None:
    assert (derive_seed(*first) == derive_seed(*second)) == (first == second)


def test_a_number_is_another_name_than_its_text() -> None:
    assert derive_seed(1) != derive_seed("1")


@given(paths)
def test_a_seed_fits_a_signed_64_bit_integer(path: list[int | str]) -> None:
    assert 0 <= derive_seed(*path) < 2**63


def test_generators_do_not_disturb_each_other() -> None:
    alone = [generator("a").random() for _ in range(2)]
    first = generator("a")
    generator("b").random()
    assert [first.random(), generator("a").random()] == alone
