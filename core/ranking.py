"""Rankings of the pairs of a projection by a score: how much is kept ↔ which pairs are kept.

    product   score_ij = r_i c_j: a staircase in the order of r and c, no p x q grid is built
    grid      any score_ij >= 0: a stable sort of the row-major grid
    pool      the pairs of several projections in one ranking, with one cut-off for all

Every ranking takes pairs by descending score, ties by (projection,) row, then column, and answers
the same three questions exactly: a share of the total score, a number of pairs, a cut-off.
Pure mathematics: no model, no files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import HillshadeError
from core.pairset import Listed, PairSet, Stairs
from core.staircase import TOLERANCE, Floats, KeptSet, Staircase, from_bits, to_bits


class Ranking(Protocol):
    """The pairs of one projection in one order; ``total`` is the sum of all scores."""

    pairs: int
    total: float

    def kept(self, mass: float) -> PairSet:
        """The fewest pairs, best first, that hold `mass` of the total; at 1 all, at less no zeros.

        Reached up to `core.staircase.TOLERANCE`. HillshadeError outside 0..1.
        """
        ...

    def at_count(self, count: int) -> PairSet:
        """The `count` best pairs; HillshadeError outside 0..p·q."""
        ...

    def at_cutoff(self, cutoff: float) -> PairSet:
        """All pairs with score >= cutoff; HillshadeError for a negative one or NaN."""
        ...


class Product:
    """The ranking by r_i · c_j, rows and columns in any order (see `core.staircase`).

    Rows and columns are first put in descending order, equal ones as they stand; ties between pairs
    go by that order. Costs a sort of p and q numbers, and p binary searches a question.
    """

    def __init__(self, rows_p: Floats, columns_q: Floats, stairs: Staircase | None = None) -> None:
        self._shape = (len(rows_p), len(columns_q))
        rows, columns = (np.argsort(-x, kind="stable") for x in (rows_p, columns_q))
        orders = rows, columns
        own = all(bool((order[1:] > order[:-1]).all()) for order in orders)
        self._orders = (None, None) if own else orders
        self._stairs = stairs or Staircase(rows_p[rows], columns_q[columns])
        self.pairs, self.total = self._stairs.pairs, self._stairs.total

    @classmethod
    def of(cls, stairs: Staircase) -> Product:
        """The ranking that a staircase already stands for."""
        return cls(stairs.lam, stairs.mu, stairs)

    def kept(self, mass: float) -> PairSet:
        """The fewest pairs that hold `mass` of the total (docs of `Ranking`)."""
        return self._set(self._stairs.kept(mass))

    def at_count(self, count: int) -> PairSet:
        """The `count` best pairs."""
        return self._set(self._stairs.at_count(count))

    def at_cutoff(self, cutoff: float) -> PairSet:
        """All pairs with score >= cutoff."""
        return self._set(self._stairs.at_cutoff(cutoff))

    def _set(self, kept: KeptSet) -> PairSet:
        step = _step(kept.cutoff, self.total)
        rows, columns = self._orders
        return Stairs(
            self._shape, kept.count, kept.mass, kept.cutoff, step, kept.k, None, rows, columns
        )


class Grid:
    """The ranking by any score_ij, a float64[p, q] that is finite and not negative.

    ``order`` replaces the stable sort by a given order of the places i·q + j, best first.
    Costs one sort of p·q numbers and 24 bytes a pair.
    """

    def __init__(self, score_pq: Floats, order: NDArray[Any] | None = None) -> None:
        flat = score_pq.ravel()
        if not bool(np.isfinite(flat).all()) or bool((flat < 0).any()):
            raise HillshadeError(
                "The scores of these pairs are negative or not finite; collect the factors again."
            )
        self._shape = (score_pq.shape[0], score_pq.shape[1])
        self._order = np.argsort(-flat, kind="stable") if order is None else order
        self._sorted = flat[self._order]
        self._reached = np.concatenate([[0.0], np.cumsum(self._sorted)])
        self.pairs, self.total = flat.size, float(self._reached[-1])

    def kept(self, mass: float) -> PairSet:
        """The fewest pairs that hold `mass` of the total (docs of `Ranking`)."""
        _require_mass(mass)
        if mass == 1.0:
            return self._set(self.pairs)
        target = mass * (1.0 - TOLERANCE) * self.total
        return self._set(int(np.searchsorted(self._reached, target)))

    def at_count(self, count: int) -> PairSet:
        """The `count` best pairs."""
        _require_count(count, self.pairs)
        return self._set(count)

    def at_cutoff(self, cutoff: float) -> PairSet:
        """All pairs with score >= cutoff."""
        _require_cutoff(cutoff)
        below = int(np.searchsorted(self._sorted[::-1], cutoff))
        return self._set(self.pairs - below)

    def _set(self, count: int) -> PairSet:
        cutoff = float(self._sorted[count - 1]) if count else math.inf
        mass = float(self._reached[count]) / self.total if self.total > 0.0 else 0.0
        places = self._order[:count]  # a view: making a set costs nothing
        return Listed(self._shape, count, mass, cutoff, _step(cutoff, self.total), places)


class Pool:
    """One ranking of the pairs of several projections, cut at one place for all.

    Scores must mean the same in every projection. The cut-off is bisected over the bit patterns of
    doubles, as in `core.staircase`; each step asks every ranking for its pairs above it, so
    staircases build no grid. What lies exactly on it is taken projection after projection. Answers
    are one set per ranking, in their order.
    """

    def __init__(self, rankings: Sequence[Ranking]) -> None:
        self._rankings = tuple(rankings)
        self.pairs = sum(ranking.pairs for ranking in rankings)
        self.total = sum(ranking.total for ranking in rankings)

    def kept(self, mass: float) -> tuple[PairSet, ...]:
        """The fewest pairs that hold `mass` of the total of all; at 1 all, at less no zeros."""
        _require_mass(mass)
        if mass == 1.0:
            return tuple(ranking.kept(1.0) for ranking in self._rankings)
        target = mass * (1.0 - TOLERANCE) * self.total

        def enough(sets: Sequence[PairSet]) -> bool:
            parts = zip(sets, self._rankings, strict=True)
            return sum(chosen.mass * ranking.total for chosen, ranking in parts) >= target

        return self._fewest(enough, smallest=math.ulp(0.0))

    def at_count(self, count: int) -> tuple[PairSet, ...]:
        """The `count` best pairs of all."""
        _require_count(count, self.pairs)
        return self._fewest(lambda sets: sum(s.count for s in sets) >= count, smallest=0.0)

    def at_cutoff(self, cutoff: float) -> tuple[PairSet, ...]:
        """All pairs with score >= cutoff."""
        _require_cutoff(cutoff)
        return tuple(ranking.at_cutoff(cutoff) for ranking in self._rankings)

    @cached_property
    def _largest(self) -> float:
        return max(ranking.at_count(1).cutoff for ranking in self._rankings)

    def _fewest(
        self, enough: Callable[[Sequence[PairSet]], bool], smallest: float
    ) -> tuple[PairSet, ...]:
        """The shortest prefix of the order that is `enough`; scores >= `smallest` are."""
        low, high = to_bits(smallest), max(to_bits(smallest), to_bits(self._largest)) + 1
        while high - low > 1:
            middle = (low + high) // 2
            if enough(self.at_cutoff(from_bits(middle))):
                low = middle
            else:
                high = middle
        above, on = (
            np.array([chosen.count for chosen in self.at_cutoff(from_bits(bits))], dtype=np.int64)
            for bits in (high, low)
        )
        ties = on - above
        before = np.cumsum(ties) - ties

        def first(number: int) -> tuple[PairSet, ...]:
            counts = above + np.clip(number - before, 0, ties)
            parts = zip(self._rankings, counts, strict=True)
            return tuple(ranking.at_count(int(count)) for ranking, count in parts)

        few, many = 0, int(ties.sum())
        while few < many:
            some = (few + many) // 2
            if enough(first(some)):
                many = some
            else:
                few = some + 1
        return first(few)


def select(
    rankings: Sequence[Ranking], setting: float, until: float = 1.0, *,
    by_count: bool = False, pooled: bool = False,
) -> tuple[PairSet, ...]:  # fmt: skip
    """The pairs kept of each ranking when the band from `setting` to `until` is cut.

    Both are shares: of the total score, or of the number of pairs (rounded to the nearest number).
    Cut is what must be taken beyond `setting` to reach `until`; up to 1, the whole tail. Each
    ranking is cut at its own place, or all at one (`Pool`).
    Raises HillshadeError unless 0 <= setting <= until <= 1.
    """
    if not 0.0 <= setting <= until <= 1.0:
        raise HillshadeError(
            f"A cut from {setting} to {until} is impossible; choose 0 ≤ start ≤ end ≤ 1."
        )

    def upto(share: float) -> tuple[PairSet, ...]:
        if pooled:
            pool = Pool(rankings)
            return pool.at_count(round(share * pool.pairs)) if by_count else pool.kept(share)
        return tuple(
            ranking.at_count(round(share * ranking.pairs)) if by_count else ranking.kept(share)
            for ranking in rankings
        )

    kept = upto(setting)
    if until == 1.0:
        return kept
    return tuple(inner.resumed(outer) for inner, outer in zip(kept, upto(until), strict=True))


def _step(cutoff: float, total: float) -> float:
    return cutoff / total if total > 0.0 and math.isfinite(cutoff) else 0.0


def _require_mass(mass: float) -> None:
    if not 0.0 <= mass <= 1.0:
        raise HillshadeError(f"A mass of {mass} is impossible; choose 0 to 1.")


def _require_count(count: int, pairs: int) -> None:
    if not 0 <= count <= pairs:
        raise HillshadeError(f"{count} pairs are impossible; choose 0 to {pairs}.")


def _require_cutoff(cutoff: float) -> None:
    if not cutoff >= 0.0:
        raise HillshadeError(f"A cut-off of {cutoff} is impossible; choose 0 or more.")
