"""Spikes and hills in one projection: the hypotheses about rises, overlaps and flattening.

From the rises of memorized and fresh texts along all their own directions (`core.curvature.spikes`)
and of memorized, fresh and probe texts along the top shared eigendirections u_i v_jᵀ. For a table
R[x, y], the rise of y along D_x:

    own       R[x, x]                  median over x
    others    mean of R[x, y], y ≠ x of x's group; median over x
    fresh     mean of R[x, y] over fresh y; median over x
    probes    the same over probes, which own no direction: columns beyond the rows

Intervals: the groups are drawn again, x and y together; own rises never enter a mean of others.
A ratio of medians whose denominator is not positive is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.curvature.overlap import (
    Flattening,
    flattening,
    overlaps,
    random_spikes,
    subsets,
    unit_norm,
)
from core.curvature.resampling import Ints, estimate, pair_mean, percentiles
from core.curvature.spikes import Spikes
from core.curvature.verdicts import Verdict
from core.intervals import Estimate

Floats = NDArray[np.float64]

OWN_TO_FRESH, OWN_TO_OTHERS = 10.0, 3.0
FRESH_BAND, SHARED_BAND = 1.5, 3.0


@dataclass(frozen=True)
class StepFinding:
    """Rises at one step: medians by whose direction and whose loss, and three verdicts.

    fraction  the step as a fraction of ‖W‖_F
    medians   "memorized own", "memorized others", "memorized to fresh", and the same for fresh;
              "memorized to probes" where there are probes
    larger    the same with the larger of both signs in place of their mean
    verdicts  the hypotheses about ratios of these medians
    """

    fraction: float
    medians: dict[str, Estimate]
    larger: dict[str, Estimate]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class OverlapFinding:
    """How far own directions point apart.

    means     mean |⟨D_x, D_y⟩|: "memorized", "fresh", "between", "random"
    flattening  S(n) by "memorized", "fresh", each raw ("… raw") and with gradients of length 1
    verdicts  memorized directions overlap less; S(n) falls faster for them
    """

    means: dict[str, Estimate]
    flattening: dict[str, Flattening]
    verdicts: tuple[Verdict, ...]


def step_finding(
    fraction: float, even_xy: Floats, larger_xy: Floats, memorized: int, seed: int = 0
) -> StepFinding:
    """What one table of rises says; the first `memorized` rows and columns are the strings.

    Then come the fresh texts, and in further columns the probes.
    """
    sizes = (memorized, len(even_xy) - memorized)
    own, others, to_fresh = _own(even_xy, 0), _others(even_xy, 0), _to_fresh(even_xy, memorized)
    fresh_own, fresh_others = _own(even_xy, 1, memorized), _others(even_xy, 1, memorized)

    def claimed(claim: str, top: _Statistic, under: _Statistic, low: float, high: float) -> Verdict:
        measured = estimate(lambda m, f: _times(top(m, f), under(m, f)), sizes, seed)
        return Verdict(claim, measured, low, high)

    return StepFinding(
        fraction,
        _medians(even_xy, memorized, seed),
        _medians(larger_xy, memorized, seed),
        (
            claimed("memorized own ÷ fresh", own, to_fresh, OWN_TO_FRESH, math.inf),
            claimed("memorized own ÷ other memorized", own, others, OWN_TO_OTHERS, math.inf),
            claimed("fresh own ÷ other fresh", fresh_own, fresh_others, 1 / FRESH_BAND, FRESH_BAND),
        ),
    )


def overlap_finding(
    memorized: Spikes, fresh: Spikes, gram: Floats, seed: int = 0
) -> OverlapFinding:
    """Overlaps and S(n); `gram` holds the strings first, then the fresh texts."""
    m, f = len(memorized), len(fresh)
    inside = {"memorized": overlaps(memorized, memorized), "fresh": overlaps(fresh, fresh)}
    between = overlaps(memorized, fresh)
    noise = random_spikes(memorized, seed)
    table = overlaps(noise, noise)
    means = {name: estimate(_inside(table), (len(table),), seed) for name, table in inside.items()}
    means["between"] = estimate(
        lambda a, b: pair_mean(between, a, b, same_group=False), (m, f), seed
    )
    means["random"] = estimate(_inside(table), (m,), seed)
    mean_m, mean_f = _inside(inside["memorized"]), _inside(inside["fresh"])
    less = estimate(lambda a, b: _ratio(mean_m(a), mean_f(b)), (m, f), seed)
    parts = {"memorized": gram[:m, :m], "fresh": gram[m:, m:]}
    units = {name: unit_norm(part) for name, part in parts.items()}
    curves = {name: flattening(part, seed=seed) for name, part in units.items()}
    curves |= {f"{name} raw": flattening(part, seed=seed) for name, part in parts.items()}
    return OverlapFinding(
        means,
        curves,
        (
            Verdict("overlap of memorized ÷ of fresh directions", less, at_most=1.0),
            Verdict("S(n) of memorized ÷ of fresh gradients", _flatter(units, seed), at_most=1.0),
        ),
    )


def medians(rises_xy: Floats) -> tuple[float, float, float]:
    """Own, others and fresh of the strings, the first of the columns, along their directions."""
    m = len(rises_xy)
    everyone, rest = np.arange(m), np.arange(rises_xy.shape[1] - m)
    statistics = _own(rises_xy, 0), _others(rises_xy, 0), _to_fresh(rises_xy, m)
    own, others, to_fresh = (statistic(everyone, rest) for statistic in statistics)
    return own, others, to_fresh


def shared_spread(rises_dy: Floats, groups: Sequence[Ints], seed: int = 0) -> Estimate:
    """How far the groups' mean rises lie apart along shared directions, as a factor ≥ 1.

    Along each direction the largest of the groups' mean rises over the smallest; the median over
    directions. Infinite where a group's mean rise is not positive. Examples are drawn again.
    """

    def statistic(*drawn: Ints) -> float:
        means = np.array(
            [rises_dy[:, some[chosen]].mean(1) for some, chosen in zip(groups, drawn, strict=True)]
        )
        factors = [_ratio(float(column.max()), float(column.min())) for column in means.T]
        return _median(np.array(factors))

    return estimate(statistic, [len(some) for some in groups], seed)


_Statistic = Callable[[Ints, Ints], float]


def _medians(table: Floats, memorized: int, seed: int) -> dict[str, Estimate]:
    rows, columns = table.shape
    sizes = (memorized, rows - memorized)
    found = {name: estimate(s, sizes, seed) for name, s in _statistics(table, memorized).items()}
    if columns > rows:
        sizes = (memorized, columns - rows)
        found["memorized to probes"] = estimate(_to_fresh(table, rows), sizes, seed)
    return found


def _statistics(table: Floats, memorized: int) -> dict[str, _Statistic]:
    return {
        "memorized own": _own(table, 0),
        "memorized others": _others(table, 0),
        "memorized to fresh": _to_fresh(table, memorized),
        "fresh own": _own(table, 1, memorized),
        "fresh others": _others(table, 1, memorized),
        "fresh to memorized": _to_memorized(table, memorized),
    }


def _own(table: Floats, group: int, first: int = 0) -> _Statistic:
    own = table.diagonal()
    return lambda *drawn: _median(own[drawn[group] + first])


def _others(table: Floats, group: int, first: int = 0) -> _Statistic:
    def statistic(*drawn: Ints) -> float:
        some = drawn[group] + first
        values = np.where(some[:, None] == some[None, :], np.nan, table[np.ix_(some, some)])
        return _median(np.nanmean(values, axis=1))

    return statistic


def _to_fresh(table: Floats, first: int) -> _Statistic:
    return lambda m, f: _median(table[np.ix_(m, f + first)].mean(1))


def _to_memorized(table: Floats, memorized: int) -> _Statistic:
    return lambda m, f: _median(table[np.ix_(f + memorized, m)].mean(1))


def _inside(table: Floats) -> Callable[[Ints], float]:
    return lambda some: pair_mean(table, some, some, same_group=True)


def _flatter(units: dict[str, Floats], seed: int) -> Estimate:
    """S of the memorized ÷ S of the fresh on half of each group, over random halves.

    The spread of half samples is that of a whole sample (the delete-half jackknife), so these are
    95 % intervals of the ratio at that n.
    """
    rng = np.random.default_rng(seed)
    n = min(len(part) for part in units.values()) // 2
    drawn = subsets(units["memorized"], n, rng) / subsets(units["fresh"], n, rng)
    return Estimate(float(drawn.mean()), *percentiles(drawn), n)


def _times(top: float, under: float) -> float:
    """How many times as far one loss rises as another: 0 where neither rises."""
    return _ratio(top, under) if under > 0 or top > 0 else 0.0


def _ratio(top: float, under: float) -> float:
    return top / under if under > 0 else math.inf


def _median(values: Floats) -> float:
    return float(np.median(values))
