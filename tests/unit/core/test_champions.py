from hypothesis import given
from hypothesis import strategies as st

from schemas.promotion import ChampionMove
from zppo.core.champions import predecessor, rolled_back


def _moves(*versions: int | tuple[str, int]) -> list[ChampionMove]:
    """Promotions of the versions, or `("rollback", version)`."""
    found: list[ChampionMove] = []
    for number, each in enumerate(versions, start=1):
        kind, version = ("promotion", each) if isinstance(each, int) else each
        previous = found[-1].version if found else None
        found.append(
            ChampionMove(
                registered_model="m", number=number, kind=kind, version=f"models:/m/{version}",
                previous=previous, reason="because", decision=None,
            )
        )  # fmt: skip
    return found


def _predecessor(moves: list[ChampionMove]) -> str | None:
    return predecessor(moves, moves[-1].version)


def test_the_first_champion_has_none_before_it() -> None:
    assert predecessor([], "models:/m/1") is None
    assert _predecessor(_moves(1)) is None


def test_a_second_rollback_goes_further_back_and_not_to_what_the_first_one_left() -> None:
    assert _predecessor(_moves(1, 2, 3)) == "models:/m/2"
    assert _predecessor(_moves(1, 2, 3, ("rollback", 2))) == "models:/m/1"
    assert _predecessor(_moves(1, 2, 3, ("rollback", 2), ("rollback", 1))) is None


def test_after_a_rollback_and_a_promotion_the_way_back_leads_to_the_version_rolled_back_to() -> None:
    assert _predecessor(_moves(1, 2, 3, ("rollback", 1), 4)) == "models:/m/1"


def test_a_champion_from_outside_of_the_history_is_part_of_the_way_back() -> None:
    first = _moves(2)[0].model_copy(update={"previous": "models:/m/1"})
    assert predecessor([first], "models:/m/2") == "models:/m/1"
    assert predecessor([first], "models:/m/7") == "models:/m/2"


def test_a_version_is_rolled_back_until_somebody_makes_it_champion_again() -> None:
    assert rolled_back(_moves(1, 2), "models:/m/1") is None
    moves = _moves(1, 2, ("rollback", 1))
    assert rolled_back(moves, "models:/m/2") == moves[-1]
    assert rolled_back(_moves(1, 2, ("rollback", 1), 3), "models:/m/2") is not None
    assert rolled_back(_moves(1, 2, ("rollback", 1), 2), "models:/m/2") is None


@given(st.integers(min_value=1, max_value=8))
def test_every_champion_is_reached_by_going_back_one_by_one(count: int) -> None:
    moves, seen = _moves(*range(1, count + 1)), [f"models:/m/{count}"]
    while (before := predecessor(moves, moves[-1].version)) is not None:
        seen.append(before)
        number = int(before.rpartition("/")[2])
        moves = _moves(
            *range(1, count + 1), *(("rollback", each) for each in range(count - 1, number - 1, -1))
        )
    assert seen == [f"models:/m/{version}" for version in range(count, 0, -1)]
