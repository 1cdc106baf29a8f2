"""The file of clipped tokens."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from schemas.clipping import ClippedTokens
from zppo.stores.clipping import read_clipped, write_clipped

ROLLOUTS = [f"r1/q{index}/plain#0" for index in range(4)]
PLACES = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4, unique=True).map(sorted).map(tuple)
BOUNDS = st.sampled_from(["low", "high", "dual"])
UPDATE = st.lists(st.builds(ClippedTokens, rollout=st.sampled_from(ROLLOUTS), bound=BOUNDS, places=PLACES))


@given(st.lists(UPDATE, max_size=3))
def test_what_was_clipped_is_read_of_the_rollouts_asked_for_and_of_no_other(
    updates: list[list[ClippedTokens]],
) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "clipped.parquet"
        write_clipped(file, updates)
        found = read_clipped(file, ROLLOUTS[:2])
        again = file.read_bytes()
        write_clipped(file, updates)
        assert file.read_bytes() == again
    written = [each for update in updates for each in update]
    expected = {name: tuple(each for each in written if each.rollout == name) for name in ROLLOUTS[:2]}
    assert found == {name: each for name, each in expected.items() if each}
