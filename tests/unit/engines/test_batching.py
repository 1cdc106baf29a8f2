from hypothesis import given
from hypothesis import strategies as st

from zppo.engines.batching import plan_batches
from zppo.ports import GenerationRequest

ASKED = st.lists(
    st.tuples(st.integers(1, 30), st.integers(0, 9), st.integers(0, 20)), max_size=12
)  # length of the prompt, seeds, limit


def plan(asked, max_tokens, padding):
    requests = [
        GenerationRequest(str(place), (1,) * length, tuple(range(seeds)))
        for place, (length, seeds, _) in enumerate(asked)
    ]
    return plan_batches(requests, [limit for _, _, limit in asked], max_tokens, padding)


@given(ASKED, st.integers(1, 400), st.booleans())
def test_every_response_is_in_exactly_one_batch(asked, max_tokens, padding):
    rows = [(row.request, row.index) for batch in plan(asked, max_tokens, padding) for row in batch.rows]
    expected = [
        (place, index) for place, (_, seeds, limit) in enumerate(asked) for index in range(seeds) if limit
    ]
    assert sorted(rows) == expected


@given(ASKED, st.integers(1, 400), st.booleans())
def test_a_batch_stays_under_the_bound_unless_one_row_alone_is_above_it(asked, max_tokens, padding):
    for batch in plan(asked, max_tokens, padding):
        assert batch.tokens <= max_tokens or len(batch.rows) == 1


@given(ASKED, st.integers(1, 400))
def test_without_padding_a_batch_has_one_prompt_length(asked, max_tokens):
    for batch in plan(asked, max_tokens, padding=False):
        assert len({len(row.prompt_ids) for row in batch.rows}) == 1


@given(ASKED)
def test_a_prompt_is_prefilled_once_where_its_group_fits(asked):
    batches = plan(asked, 10_000, padding=True)
    prefills = [row_request for batch in batches for row_request in {row.request for row in batch.rows}]
    assert len(prefills) == len(set(prefills))


@given(ASKED, st.integers(1, 400), st.booleans())
def test_each_row_owns_its_own_prompt(asked, max_tokens, padding):
    for batch in plan(asked, max_tokens, padding):
        owned = [batch.prompts[owner] for owner in batch.owners]
        assert owned == [row.prompt_ids for row in batch.rows]
