from hypothesis import given
from hypothesis import strategies as st

from zppo.data.rules import share

names = st.sampled_from("abcde")


@given(
    st.dictionaries(names, st.integers(0, 1000), min_size=1),
    st.fixed_dictionaries(dict.fromkeys("abcde", st.floats(0.01, 100))),
    st.integers(0, 3000),
)
def test_shares_make_the_total_and_no_source_gives_more_than_it_has(
    available: dict[str, int], weights: dict[str, float], total: int
) -> None:
    shares = share(available, weights, total)
    assert set(shares) == set(available)
    assert sum(shares.values()) == min(total, sum(available.values()))
    assert all(0 <= shares[name] <= available[name] for name in available)


def test_shares_follow_the_weights() -> None:
    available = dict.fromkeys("abc", 1000)
    assert share(available, {"a": 1, "b": 2, "c": 1}, 400) == {"a": 100, "b": 200, "c": 100}


def test_what_a_scarce_source_cannot_give_the_others_do() -> None:
    assert share({"a": 10, "b": 1000, "c": 1000}, {"a": 1, "b": 1, "c": 3}, 410) == {
        "a": 10,
        "b": 100,
        "c": 300,
    }
