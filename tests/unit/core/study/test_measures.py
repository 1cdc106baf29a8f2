from typing import get_args

import pytest

from schemas.config.claims import ClaimMeasure
from schemas.study import Fate, StudyRun
from tests.studies import lively, point, round_point, run
from zppo.core.study.buffer import MANY_VISITS, fates_by_visits, graduations
from zppo.core.study.estimates import Bootstrap
from zppo.core.study.measures import graduation, leavers_graduated, measure

FATES = [
    Fate(entry_accuracy=0.0, visits=2, graduated=3, evicted=1, remaining=6),
    Fate(entry_accuracy=0.0, visits=9, graduated=1, evicted=0, remaining=0),
    Fate(entry_accuracy=0.125, visits=7, graduated=4, evicted=4, remaining=0),
]


@pytest.mark.parametrize("name", get_args(ClaimMeasure))
def test_every_measure_reads_a_run_with_everything(name: ClaimMeasure) -> None:
    assert measure(lively("zppo", 0, 0.9, 1.4), name) is not None


def test_a_run_without_buffer_and_bcq_has_no_measure_of_them() -> None:
    absent: list[ClaimMeasure] = ["graduation", "leavers_graduated", "bcq_accuracy", "ncq_repeats_listed"]
    assert [measure(run(), name) for name in absent] == [None] * 4


def test_entries_that_remain_have_not_graduated_but_have_not_left_either() -> None:
    ran = run(fates=FATES)
    assert graduation(ran) == pytest.approx(8 / 19)
    assert graduation(ran, 0.0) == pytest.approx(4 / 11)
    assert leavers_graduated(ran) == pytest.approx(8 / 13)
    assert leavers_graduated(ran, 0.0) == pytest.approx(4 / 5)
    assert graduation(ran, 0.25) is None


def test_gains_are_over_the_base_student_of_the_same_run() -> None:
    ran = run(curve=[point(0, 0.3, 0.1), point(4, 0.5, 0.05)])
    assert measure(ran, "gain") == pytest.approx(0.2)
    assert measure(ran, "out_of_distribution_gain") == pytest.approx(-0.05)


def late(values: list[float | None]) -> StudyRun:
    return run(rounds=[round_point(at, ncq_repeats_listed=value) for at, value in enumerate(values, start=1)])


def test_audits_are_of_the_last_quarter_of_the_rounds_that_have_them() -> None:
    assert measure(late([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.25]), "ncq_repeats_listed") == pytest.approx(
        0.375
    )
    assert measure(late([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, None, 0.25]), "ncq_repeats_listed") == 0.25
    assert measure(late([1.0, 1.0, 1.0, None]), "ncq_repeats_listed") is None


def test_counts_of_graduations_add_up_over_the_seeds() -> None:
    found = graduations([run(fates=FATES), run(seed=1, fates=FATES[:1]), run(seed=2)], Bootstrap(0.95, 200))
    assert [each.entry_accuracy for each in found] == [0.0, 0.125]
    assert (found[0].counts.graduated, found[0].counts.entries) == (7, 21)
    assert found[0].share is not None
    assert found[0].share.values == pytest.approx((4 / 11, 3 / 10))
    assert found[1].share is not None
    assert found[1].share.count == 1


def test_many_visits_are_counted_together_and_no_entry_is_lost() -> None:
    found = fates_by_visits([run(fates=FATES)])
    assert list(found) == list(range(1, MANY_VISITS + 1))
    assert found[MANY_VISITS].graduated == 5
    assert sum(counts.entries for counts in found.values()) == 19
    assert fates_by_visits([run()]) == {}
