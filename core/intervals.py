"""Estimates with their 95 % intervals; every number that is shown carries one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution


@dataclass(frozen=True)
class Estimate:
    """A value, its interval, and the number of units (items or tokens) behind it."""

    value: float
    low: float
    high: float
    n: int


def wilson(k: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a share k/n.

    (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n), p = k/n (Wilson 1927). Unlike p ± z·se it
    is no point at 0 and 1. Raises ValueError unless 0 <= k <= n and n > 0.
    """
    if n <= 0 or not 0 <= k <= n:
        raise ValueError(f"no share: {k} of {n}")
    p = k / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if k == 0 else (centre - half) / scale
    high = 1.0 if k == n else (centre + half) / scale
    return low, high


def share(hits: ArrayLike) -> Estimate:
    """The share of hits among n >= 1 outcomes, with Wilson's interval."""
    outcomes = np.asarray(hits, dtype=bool)
    k, n = int(outcomes.sum()), outcomes.size
    return Estimate(k / n, *wilson(k, n), n)


def mean(values: ArrayLike) -> Estimate:
    """The mean of n >= 1 values ± t standard errors; a single value has no spread to show.

    t is the 97.5 % quantile of Student's distribution with n − 1 degrees of freedom: 1.96 standard
    errors of two values would cover the truth in 70 of 100 cases, not in 95.
    """
    numbers = np.asarray(values, dtype=np.float64)
    centre = float(numbers.mean())
    n = numbers.size
    half = t95(n - 1) * float(numbers.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    return Estimate(centre, centre - half, centre + half, n)


def ratio_of_sums(tops: NDArray[np.float64], counts: NDArray[np.int64]) -> Estimate:
    """Σ tops / Σ counts over S independent clusters, by the delta method.

    r = Σ t_s / Σ n_s, se² = S/(S−1) · Σ (t_s − r n_s)² / (Σ n_s)², interval r ± t se (the ratio
    estimator of cluster sampling, Cochran 1977, §6), t as in `mean` with S − 1 degrees of freedom;
    a single cluster has no spread to show. tops, counts: (S,); n is Σ counts.
    """
    total = int(counts.sum())
    value = float(tops.sum()) / total
    clusters = counts.size
    half = 0.0
    if clusters > 1:
        spread = float(np.square(tops - value * counts).sum()) * clusters / (clusters - 1)
        half = t95(clusters - 1) * math.sqrt(spread) / total
    return Estimate(value, value - half, value + half, total)


@cache
def t95(freedom: int) -> float:
    """The 97.5 % quantile of Student's t."""
    from scipy.special import stdtrit  # here: pages that only read shares start without SciPy

    return float(stdtrit(freedom, 0.975))
