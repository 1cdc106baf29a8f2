from collections import Counter
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from zppo.engines.batching import Batch, Company, Queue, Row, Size, Vacancy
from zppo.ports import GenerationRequest

ASKED = st.lists(
    st.tuples(st.integers(1, 30), st.integers(0, 9), st.integers(0, 20)), max_size=12
)  # length of the prompt, seeds, limit
COMPANIES = st.builds(
    lambda max_tokens, kind: Company(max_tokens, kind > 0, kind > 1), st.integers(1, 400), st.integers(0, 2)
)


def queue_of(asked, company: Company) -> Queue:
    requests = [
        GenerationRequest(str(place), (1,) * length, tuple(range(seeds)))
        for place, (length, seeds, _) in enumerate(asked)
    ]
    return Queue(requests, [limit for _, _, limit in asked], company)


def admissions(asked, company: Company, seed: int) -> list[tuple[tuple[Row, ...], tuple[Row, ...]]]:
    """Who ran and who joined, each time that some of those running had left at random."""
    random, queue = Random(seed), queue_of(asked, company)
    running: tuple[Row, ...] = ()
    seen = []
    while (new := queue.admit(running)) or running:
        seen.append((running, new))
        together = running + new
        running = tuple(random.sample(together, random.randrange(len(together))))
    return seen


@given(ASKED, COMPANIES, st.integers())
def test_every_response_is_admitted_exactly_once(asked, company, seed):
    rows = [(row.request, row.index) for _, new in admissions(asked, company, seed) for row in new]
    expected = [
        (place, index) for place, (_, seeds, limit) in enumerate(asked) for index in range(seeds) if limit
    ]
    assert sorted(rows) == expected


@given(ASKED, COMPANIES, st.integers())
def test_rows_stay_under_the_bound_unless_one_alone_is_above_it(asked, company, seed):
    for running, new in admissions(asked, company, seed):
        together = running + new
        assert Size().beside(together).tokens <= company.max_tokens or len(together) == 1


@given(ASKED, COMPANIES, st.integers())
def test_no_prompt_is_longer_than_those_that_run(asked, company, seed):
    for running, new in admissions(asked, company, seed):
        shortest = min((len(row.prompt_ids) for row in running), default=30)
        assert all(len(row.prompt_ids) <= shortest for row in new)


@given(ASKED, COMPANIES, st.integers())
def test_rows_join_and_prompts_are_padded_only_where_the_model_allows_it(asked, company, seed):
    for running, new in admissions(asked, company, seed):
        assert company.joining or not (running and new)
        assert company.padding or len({len(row.prompt_ids) for row in running + new}) == 1


@given(ASKED, COMPANIES, st.integers())
def test_a_prompt_is_prefilled_once_where_its_group_fits(asked, company, seed):
    prefills = Counter(
        request for _, new in admissions(asked, company, seed) for request in {row.request for row in new}
    )
    for request, count in prefills.items():
        length, seeds, limit = asked[request]
        assert count == 1 or seeds * (length + limit) > company.max_tokens


@given(ASKED, COMPANIES)
def test_as_many_groups_as_fit_begin_together(asked, company):
    asked = [(length, 1, limit) for length, _, limit in asked]
    queue = queue_of(asked, company)
    batches = []
    while new := queue.admit(()):
        batches.append(new)
    for batch, (first, *_) in pairwise(batches):
        size = Size().beside((*batch, first))
        same_length = size.prompt == len(first.prompt_ids)
        assert size.tokens > company.max_tokens or not (company.padding or same_length)


@given(ASKED, COMPANIES, st.integers())
def test_each_row_owns_its_own_prompt(asked, company, seed):
    for _, new in admissions(asked, company, seed):
        batch = Batch(new)
        assert [batch.prompts[owner] for owner in batch.owners] == [row.prompt_ids for row in new]


@given(st.integers(1, 100), st.integers(0, 100))
def test_an_empty_seat_is_filled_in_the_end_if_enough_are_empty(seats, taken):
    vacancy = Vacancy(seats)
    for _ in range(100):
        vacancy.pass_step(min(taken, seats))
    assert vacancy.ripe == (min(taken, seats) <= 0.75 * seats)


def test_one_straggler_of_a_batch_that_ended_together_is_waited_for():
    vacancy = Vacancy(64)
    for taken in [64] * 20 + [1, 1, 1]:
        vacancy.pass_step(taken)
        assert not vacancy.ripe
