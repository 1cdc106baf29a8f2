"""What every adapter of the `Learner` port, and its fake, must do with either kind of rows."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.fakes.learner import UnigramLearner
from tests.learning import distillation_rows, random_rows, tiny_distiller, tiny_fsdp, tiny_learner
from tests.tiny import VOCABULARY
from zppo.errors import EngineError, StoreError
from zppo.ports import DistillationRow, DriftCheck, Learner, MiniBatch, PolicyRow, StaleRolloutsError

Rows = list[PolicyRow] | list[DistillationRow]


@dataclass(frozen=True)
class Job:
    """A learner and the kind of rows that it learns from."""

    make: Callable[[], Learner]
    """Learners that start with the same weights."""
    draw: Callable[[int, int], Rows]
    """So many rows of a seed; some have no gradient."""
    distils: bool

    def batch(self, seed: int = 0) -> MiniBatch:
        return MiniBatch(tuple(self.draw(9, seed)))  # type: ignore[arg-type]

    def scaled(self, value: float, rows: slice = slice(None)) -> MiniBatch:
        """The batch with another advantage, or weight, in some rows."""
        scaled: list[PolicyRow | DistillationRow] = list(self.batch().rows)
        scaled[rows] = [scale(row, value) for row in scaled[rows]]
        return MiniBatch(tuple(scaled))  # type: ignore[arg-type]


def scale(row: PolicyRow | DistillationRow, value: float) -> PolicyRow | DistillationRow:
    return replace(row, advantage=value) if isinstance(row, PolicyRow) else replace(row, weight=value)


def learns_from(row: PolicyRow | DistillationRow) -> bool:
    return (row.advantage if isinstance(row, PolicyRow) else row.weight) != 0.0


def fake() -> UnigramLearner:
    return UnigramLearner(VOCABULARY)


class Warm:
    """Learners in processes, which are started once and get their first weights back for every test."""

    def __init__(self, distils: bool) -> None:
        self._distils = distils
        self._stack = ExitStack()
        self._started: list[tuple[Learner, Path]] = []
        self._given = 0

    def make(self) -> Learner:
        if self._given == len(self._started):
            directory = Path(self._stack.enter_context(TemporaryDirectory()))
            started = self._stack.enter_context(tiny_fsdp(directory, distils=self._distils))
            started.save(directory / "first")
            self._started.append((started, directory / "first"))
        learner, first = self._started[self._given]
        learner.load(first)
        self._given += 1
        return learner

    def take_back(self) -> None:
        self._given = 0

    def close(self) -> None:
        self._stack.close()
        self._started = []


POLICY, DISTILLATION = Warm(distils=False), Warm(distils=True)
FSDP = [pytest.mark.slow, pytest.mark.timeout(900)]
POLICY_JOBS = [
    pytest.param(Job(fake, random_rows, distils=False), id="policy, fake"),
    pytest.param(Job(tiny_learner, random_rows, distils=False), id="policy, torch"),
    pytest.param(Job(POLICY.make, random_rows, distils=False), id="policy, fsdp", marks=FSDP),
]
DISTILLATION_JOBS = [
    pytest.param(Job(fake, distillation_rows, distils=True), id="distillation, fake"),
    pytest.param(Job(tiny_distiller, distillation_rows, distils=True), id="distillation, torch"),
    pytest.param(
        Job(DISTILLATION.make, distillation_rows, distils=True), id="distillation, fsdp", marks=FSDP
    ),
]


@pytest.fixture(params=[*POLICY_JOBS, *DISTILLATION_JOBS])
def job(request: pytest.FixtureRequest) -> Job:
    result: Job = request.param
    return result


@pytest.fixture(autouse=True)
def take_back() -> Iterator[None]:
    yield
    for warm in (POLICY, DISTILLATION):
        warm.take_back()


@pytest.fixture(autouse=True, scope="module")
def close() -> Iterator[None]:
    yield
    for warm in (POLICY, DISTILLATION):
        warm.close()


def on_policy(learner: Learner, job: Job) -> tuple[PolicyRow, ...]:
    """Rows that the learner's weights could have sampled."""
    rows = [row for row in job.draw(9, 0) if isinstance(row, PolicyRow)]
    scored = zip(rows, learner.logprobs(rows), strict=True)
    return tuple(replace(row, old_logprobs=logprobs) for row, logprobs in scored)


def lengths(rows: Sequence[PolicyRow | DistillationRow]) -> list[int]:
    return [len(row.response_ids) for row in rows]


def test_logprobs_come_in_the_order_of_rows_and_tokens(job: Job) -> None:
    learner, rows = job.make(), job.batch().rows
    together = learner.logprobs(rows)
    assert [len(logprobs) for logprobs in together] == lengths(rows)
    assert all(logprob < 0 for logprobs in together for logprob in logprobs)
    for row, expected in zip(rows, together, strict=True):
        (alone,) = learner.logprobs([row])
        assert alone == pytest.approx(expected, abs=1e-5)


def test_no_rows_have_no_logprobs(job: Job) -> None:
    assert job.make().logprobs([]) == []


def test_logprobs_change_no_weights(job: Job) -> None:
    learner, rows = job.make(), job.batch().rows
    assert learner.logprobs(rows) == learner.logprobs(rows)


@pytest.mark.parametrize("job", POLICY_JOBS)
@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_an_update_moves_the_probability_of_a_response_with_its_advantage(job: Job, advantage: float) -> None:
    learner, row = job.make(), random_rows(1)[0]
    (before,) = learner.logprobs([row])
    learner.update(MiniBatch((replace(row, advantage=advantage, old_logprobs=before),)))
    (after,) = learner.logprobs([row])
    assert (sum(after) - sum(before)) * advantage > 0


@pytest.mark.parametrize("job", POLICY_JOBS)
def test_weights_of_tokens_scale_their_share_of_loss_and_gradient(job: Job) -> None:
    (row,) = random_rows(1)
    old = job.make().logprobs([row])[0]
    plain, halved, none = (
        job.make().update(MiniBatch((replace(row, old_logprobs=old, advantage=0.1, importance=weights),)))
        for weights in (None, (0.5,) * len(old), (0.0,) * len(old))
    )
    assert halved.loss == pytest.approx(plain.loss / 2, rel=1e-5)
    assert halved.grad_norm == pytest.approx(plain.grad_norm / 2, rel=1e-4)
    assert (none.loss, none.grad_norm) == (0.0, 0.0)


@pytest.mark.parametrize("job", POLICY_JOBS)
def test_rollouts_of_other_weights_are_refused_and_change_nothing(job: Job) -> None:
    learner, untouched = job.make(), job.make()
    rows = on_policy(learner, job)
    old = (*rows[4].old_logprobs[:-1], rows[4].old_logprobs[-1] - 0.5)
    assert rows[4].advantage
    stale = MiniBatch((*rows[:4], replace(rows[4], old_logprobs=old), *rows[5:]))
    with pytest.raises(StaleRolloutsError) as caught:
        learner.update(stale, DriftCheck(frozenset({rows[4].rollout}), limit=0.1))
    assert caught.value.drift.max == pytest.approx(0.5, abs=1e-4)
    assert caught.value.drift.tokens == len(rows[4].response_ids)
    assert learner.logprobs(rows) == untouched.logprobs(rows)
    assert learner.update(MiniBatch(rows)) == untouched.update(MiniBatch(rows))
    assert learner.logprobs(rows) == untouched.logprobs(rows)


@pytest.mark.parametrize("job", POLICY_JOBS)
def test_a_check_looks_at_the_rollouts_that_it_names_alone_and_changes_no_update(job: Job) -> None:
    learner, unchecked = job.make(), job.make()
    rows = on_policy(learner, job)
    active = [row for row in rows if row.advantage]
    stale = replace(active[0], old_logprobs=tuple(value - 0.5 for value in active[0].old_logprobs))
    batch = MiniBatch(tuple(stale if row is active[0] else row for row in rows))
    idle = {row.rollout for row in rows if not row.advantage}
    check = DriftCheck(frozenset({row.rollout for row in active[1:]} | idle | {"not here"}), limit=0.1)
    checked, plain = learner.update(batch, check), unchecked.update(batch)
    assert checked.drift is not None
    assert plain.drift is None
    assert checked.drift.tokens == sum(lengths(active[1:]))
    assert checked.drift.max < 1e-4
    assert replace(checked, drift=None) == plain
    assert learner.logprobs(rows) == unchecked.logprobs(rows)
    assert learner.update(batch, DriftCheck(frozenset({"not here"}), limit=0.1)).drift is None


@pytest.mark.parametrize("job", DISTILLATION_JOBS)
def test_updates_bring_the_student_closer_to_the_teacher(job: Job) -> None:
    learner = job.make()
    losses = [learner.update(job.batch()).loss for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert 0 < losses[-1] < losses[0] <= math.log(2) * sum(row.weight for row in distillation_rows(9))


def test_statistics_count_all_tokens_and_those_with_a_gradient(job: Job) -> None:
    rows = job.batch().rows
    statistics = job.make().update(job.batch())
    assert statistics.tokens == sum(lengths(rows))
    assert statistics.active_tokens == sum(lengths([row for row in rows if learns_from(row)]))
    assert 0 < statistics.entropy <= math.log(VOCABULARY) + 1e-6
    assert statistics.grad_norm > 0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_distillation_alone_reports_no_clipping(job: Job, value: float) -> None:
    statistics = job.make().update(job.scaled(value))
    fractions = (statistics.clip_low_fraction, statistics.clip_high_fraction, statistics.dual_clip_fraction)
    assert all((fraction is None) == job.distils for fraction in fractions)


def test_without_an_advantage_or_a_weight_nothing_changes(job: Job) -> None:
    learner, rows = job.make(), job.batch().rows
    before = learner.logprobs(rows)
    statistics = learner.update(job.scaled(0.0))
    assert learner.logprobs(rows) == before
    assert (statistics.loss, statistics.grad_norm, statistics.active_tokens) == (0.0, 0.0, 0)
    learner.update(job.batch())  # nor does it leave a trace in the optimizer
    untouched = job.make()
    untouched.update(job.batch())
    assert learner.logprobs(rows) == untouched.logprobs(rows)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_raises_names_the_rollout_and_changes_nothing(
    job: Job, value: float
) -> None:
    learner, untouched = job.make(), job.make()
    batch = job.batch()
    with pytest.raises(EngineError, match=batch.rows[4].rollout):
        learner.update(job.scaled(value, slice(4, 5)))
    assert learner.logprobs(batch.rows) == untouched.logprobs(batch.rows)
    learner.update(batch)
    untouched.update(batch)
    assert learner.logprobs(batch.rows) == untouched.logprobs(batch.rows)


def test_going_on_from_a_checkpoint_equals_never_having_stopped(job: Job, tmp_path: Path) -> None:
    learner, restored = job.make(), job.make()
    learner.update(job.batch())
    learner.save(tmp_path / "checkpoint")
    restored.update(job.scaled(-3.0))  # leaves other weights and moments, to be replaced
    restored.load(tmp_path / "checkpoint")
    for seed in (1, 2):
        assert restored.update(job.batch(seed)) == learner.update(job.batch(seed))
    assert restored.logprobs(job.batch().rows) == learner.logprobs(job.batch().rows)


def test_a_missing_checkpoint_raises_and_changes_nothing(job: Job, tmp_path: Path) -> None:
    learner, rows = job.make(), job.batch().rows
    before = learner.logprobs(rows)
    with pytest.raises(StoreError):
        learner.load(tmp_path / "nothing here")
    assert learner.logprobs(rows) == before
