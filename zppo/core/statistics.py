"""Bootstrap intervals of accuracies. The unit of resampling is the question."""

import math
from collections.abc import Sequence

import numpy as np

from schemas.evaluation import Interval


def mean(values: Sequence[float]) -> float:
    """The mean, summed exactly, so that the order does not matter."""
    return math.fsum(values) / len(values)


def mean_interval(values: Sequence[float], confidence: float, resamples: int, seed: int) -> Interval:
    """Percentile bootstrap interval of the mean of one value a question.

    Drawing n of n questions with replacement is a multinomial draw over their distinct values, of which
    accuracies have few: so the cost does not grow with the number of questions. Where all values are equal
    the interval has no width, as with any bootstrap: the data show no spread to resample.

    Args:
        values: One a question, at least one.
        confidence: Level, such as 0.95.
        resamples: Number of bootstrap samples.
        seed: The same seed gives the same interval, whatever the order of the values.
    """
    if not values:
        raise ValueError("expected at least one value, got none: a mean of no questions has no interval")
    distinct, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(values), counts / len(values), size=resamples)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(drawn @ distinct / len(values), [tail, 1.0 - tail])
    return Interval(low=float(low), high=float(high))


def difference_interval(
    after: Sequence[float], before: Sequence[float], confidence: float, resamples: int, seed: int
) -> Interval:
    """Interval of the mean of `after - before`, paired: both sequences hold the same questions in order."""
    paired = [new - old for new, old in zip(after, before, strict=True)]
    return mean_interval(paired, confidence, resamples, seed)
