"""Intervals of statistics that have none in closed form: examples are drawn again, group by group.

The example is the unit: its tokens, and the pairs it enters, are not independent. A statistic of
pairs is given the numbers of the examples drawn and leaves out pairs of an example with itself.

Source: the percentile bootstrap (Efron & Tibshirani 1993, chapter 13).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from core.intervals import Estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REPLICATES = 1000


def bootstrap(
    statistic: Callable[..., float],
    sizes: Sequence[int],
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Floats:
    """The statistic on `replicates` draws with replacement from groups of these sizes, (B,).

    It is called with one int64 array of drawn numbers for each group.
    """
    rng = np.random.default_rng(seed)
    return np.array([statistic(*(rng.integers(0, n, n) for n in sizes)) for _ in range(replicates)])


def estimate(
    statistic: Callable[..., float],
    sizes: Sequence[int],
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Estimate:
    """The statistic on all examples, with its 95 % percentile interval; n counts examples.

    A statistic may be infinite, not NaN.
    """
    value = statistic(*(np.arange(n) for n in sizes))
    drawn = bootstrap(statistic, sizes, seed, replicates)
    return Estimate(value, *percentiles(drawn), sum(sizes))


def percentiles(drawn: Floats) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles: of the values themselves, since some may be infinite."""
    low, high = np.quantile(drawn, [0.025, 0.975], method="closest_observation")
    return float(low), float(high)


def pair_mean(values_xy: Floats, rows: Ints, columns: Ints, *, same_group: bool) -> float:
    """The mean of a table over drawn rows and columns, without pairs of one with itself."""
    drawn = values_xy[np.ix_(rows, columns)]
    if not same_group:
        return float(drawn.mean())
    apart = rows[:, None] != columns[None, :]
    return float(drawn[apart].mean())
