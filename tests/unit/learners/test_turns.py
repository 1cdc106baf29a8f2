"""A learner that shares its GPU works only when the sampler has left."""

from tests.learning import random_rows, tiny_learner
from zppo.learners.turns import TurnTakingLearner
from zppo.ports import MiniBatch


def test_the_sampler_leaves_before_anything_is_computed_and_the_results_are_the_learners(tmp_path):
    batch, left = MiniBatch(tuple(random_rows(4))), []
    alone, sharing = tiny_learner(), TurnTakingLearner(tiny_learner(), lambda: left.append(len(left)))
    sharing.save(tmp_path / "first")
    assert left == []
    assert sharing.update(batch) == alone.update(batch)
    assert sharing.logprobs(batch.rows) == alone.logprobs(batch.rows)
    sharing.publish()
    sharing.load(tmp_path / "first")
    assert left == [0, 1, 2, 3]
