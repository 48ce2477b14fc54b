"""Medians, spread, percentiles and paired ratios of samples."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The summary of some samples.

    Attributes:
        median: Their median.
        low: The first quartile.
        high: The third quartile.
        count: The number of samples.
    """

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Spread":
        """Return the spread of samples, of which there is at least one."""
        low, median, high = (percentile(samples, share) for share in (25, 50, 75))
        return cls(median, low, high, len(samples))


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the value below which a share of the samples lies, from 0 to 100; between two, in proportion."""
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    place = (len(ordered) - 1) * share / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return how many times larger the first are.

    Samples that were taken in turns are compared pair by pair: a slow moment of the machine slowed both. The
    result is the median of the pairs' ratios. If the numbers of samples differ, it is the ratio of the medians.
    """
    if len(above) == len(below) and all(below):
        return statistics.median(one / other for one, other in zip(above, below, strict=True))
    return statistics.median(above) / statistics.median(below)
