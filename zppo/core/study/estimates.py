"""Means over seeds, with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.evaluation import Interval
from zppo.core.randomness import derive_seed
from zppo.core.statistics import mean, mean_interval

FEWEST = 2
"""Values below which there is no interval: one seed says nothing about the spread over seeds."""
_SEED = derive_seed("study", "bootstrap")
"""One for all intervals, so that a report made again is the same."""


@dataclass(frozen=True)
class Estimate:
    """The mean of one value a seed."""

    mean: float
    interval: Interval | None
    """Percentile bootstrap, resampling seeds; None with fewer than two of them."""
    values: tuple[float, ...]

    @property
    def count(self) -> int:
        """Number of seeds."""
        return len(self.values)

    @property
    def positive(self) -> int:
        """Seeds whose value is above zero."""
        return sum(value > 0.0 for value in self.values)

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval is above zero."""
        return self.interval is not None and self.interval.low > 0.0

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval is below zero."""
        return self.interval is not None and self.interval.high < 0.0


@dataclass(frozen=True)
class Bootstrap:
    """How intervals over seeds are made."""

    confidence: float
    """Level, such as 0.95."""
    resamples: int

    def estimate(self, values: Sequence[float]) -> Estimate | None:
        """Mean and interval of one value a seed; None without values."""
        if not values:
            return None
        interval = None
        if len(values) >= FEWEST:
            interval = mean_interval(values, self.confidence, self.resamples, _SEED)
        return Estimate(mean(values), interval, tuple(values))

    def band(self, curves_SX: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Pointwise interval of the mean curve; whole curves are resampled.

        Args:
            curves_SX: One row a seed, one column a point of the horizontal axis.

        Returns:
            Lower and upper bounds, one value a column; None with fewer than two seeds.
        """
        seeds = len(curves_SX)
        if seeds < FEWEST:
            return None
        generator = np.random.default_rng(_SEED)
        drawn_RS = generator.multinomial(seeds, np.full(seeds, 1.0 / seeds), size=self.resamples)
        tail = (1.0 - self.confidence) / 2.0
        low, high = np.quantile(drawn_RS @ curves_SX / seeds, [tail, 1.0 - tail], axis=0)
        return low, high
