"""Curvature mass, cut-off and count of pairs, exactly, without building the p x q grid.

The pair (i, j) has curvature Π_ij = λ_i μ_j, the float64 product. Pairs are taken in descending Π,
ties by i, then by j: the order of a stable sort of the row-major grid. With λ and μ descending the
set taken is a *staircase*: row i keeps its first k_i columns and k_i never increases, because
rounding a product is monotone in either factor.

A cut-off is found by bisection over the bit patterns of non-negative doubles, which are ordered
like the doubles themselves, so the search ends at one exact value of Π. Rows whose k_i is settled
leave the search; each of the others costs one binary search in μ per step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.errors import HillshadeError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOLERANCE = 1e-12
"""Relative slack of the mass rule: Σ ≥ ρ(1 - 1e-12)·total counts as reached.

Sums of float64 differ by about 1e-14 with their order; without slack a mass that is exactly a
fraction of the spectrum (half of ten equal values) would depend on it.
"""
_SORTED_GRID = 1 << 22  # pairs up to which a spectrum is simply sorted


@dataclass(frozen=True, eq=False)
class KeptSet:
    """The pairs kept: row i keeps columns 0 .. k_i - 1.

    ``mass`` is their share of ΣλΣμ, ``cutoff`` the smallest product among them (infinite where
    nothing is kept). ``whole`` means all pairs, even those of no curvature: no edit, W itself.
    """

    k: Ints
    count: int
    mass: float
    cutoff: float
    whole: bool


class Staircase:
    """Converts curvature mass, cut-off and number of pairs of one projection into each other.

    Args:
        lam: λ, eigenvalues of G, float64[p], descending, not negative.
        mu: μ, eigenvalues of A, float64[q], likewise.

    Raises HillshadeError for eigenvalues that are not finite, descending and non-negative.
    """

    def __init__(self, lam: ArrayLike, mu: ArrayLike) -> None:
        self.lam = _spectrum(lam)
        self.mu = _spectrum(mu)
        self._ascending = self.mu[::-1].copy()
        self._rows = np.arange(len(self.lam))
        self._spectra: dict[int, tuple[Ints, Floats]] = {}
        self._all = np.full(len(self.lam), len(self.mu), dtype=np.int64)
        self.pairs = len(self.lam) * len(self.mu)
        with np.errstate(over="ignore"):
            self._prefix = np.concatenate([[0.0], np.cumsum(self.mu)])
            self.total = self._sum(self._all)
        if not math.isfinite(self.total):
            raise HillshadeError(
                "The products of these eigenvalues overflow float64; collect the factors again."
            )

    def kept(self, mass: float) -> KeptSet:
        """The fewest pairs, largest first, with Σ Π ≥ mass · ΣλΣμ; at mass 1 all (``whole``).

        Σ Π of a staircase is Σ_i λ_i·(μ_0 + … + μ_{k_i - 1}), prefix sums of μ and then the sum
        over rows, in float64; reached up to `TOLERANCE`. Pairs with Π = 0 add nothing and are
        cut. Sets are nested: a smaller mass keeps a subset. Raises HillshadeError outside 0..1.
        """
        if not 0.0 <= mass <= 1.0:
            raise HillshadeError(f"A curvature mass of {mass} is impossible; choose 0 to 1.")
        if mass == 1.0:
            return self._kept(self._all)
        target = mass * (1.0 - TOLERANCE) * self.total
        return self._fewest(lambda k: self._sum(k) >= target, smallest=math.ulp(0.0))

    def at_count(self, count: int) -> KeptSet:
        """The `count` pairs of largest Π. Raises HillshadeError outside 0..p·q."""
        if not 0 <= count <= self.pairs:
            raise HillshadeError(f"{count} pairs are impossible; choose 0 to {self.pairs}.")
        return self._fewest(lambda k: int(k.sum()) >= count, smallest=0.0)

    def at_cutoff(self, cutoff: float) -> KeptSet:
        """All pairs with Π ≥ cutoff. Raises HillshadeError for a negative cut-off or NaN."""
        if not cutoff >= 0.0:
            raise HillshadeError(f"A cut-off of {cutoff} is impossible; choose 0 or more.")
        return self._kept(self._at_least(float(cutoff), self._rows))

    def spectrum(self, ranks: int = 400) -> tuple[Ints, Floats]:
        """At most `ranks` log-spaced ranks 1 .. p·q and the product Π at each, descending.

        Found once for each number of ranks; the arrays are shared, so read them only.
        """
        if ranks not in self._spectra:
            self._spectra[ranks] = self._spectrum(ranks)
        return self._spectra[ranks]

    def _spectrum(self, ranks: int) -> tuple[Ints, Floats]:
        wanted = np.unique(np.geomspace(1, self.pairs, ranks).round().astype(np.int64))
        if self.pairs <= _SORTED_GRID:
            products = np.sort(np.outer(self.lam, self.mu), axis=None)[::-1]
            return wanted, products[wanted - 1]
        return wanted, np.array([self.at_count(int(rank)).cutoff for rank in wanted])

    @cached_property
    def positive(self) -> int:
        """Number of pairs with Π > 0; the others are cut by every mass below 1."""
        return int(self._at_least(math.ulp(0.0), self._rows).sum())

    def _fewest(self, enough: Callable[[Ints], bool], smallest: float) -> KeptSet:
        """The shortest prefix of the order that is `enough`, a monotone condition.

        First the largest product v such that the pairs with Π ≥ v are enough; then, among the
        pairs with Π = v, which lie row after row, how many are needed. The pairs with
        Π ≥ `smallest` are taken to be enough.
        """
        low, high = to_bits(smallest), to_bits(float(self.lam[0] * self.mu[0])) + 1
        k_low, k_high = self._at_least(smallest, self._rows), np.zeros_like(self._all)
        while high - low > 1:
            rows = np.flatnonzero(k_low != k_high)
            middle = (low + high) // 2
            k = k_low.copy()  # right for settled rows
            k[rows] = self._at_least(from_bits(middle), rows)
            if enough(k):
                low, k_low = middle, k
            else:
                high, k_high = middle, k
        ties = k_low - k_high
        before = np.cumsum(ties) - ties
        few, many = 0, int(ties.sum())
        while few < many:
            some = (few + many) // 2
            if enough(k_high + np.clip(some - before, 0, ties)):
                many = some
            else:
                few = some + 1
        return self._kept(k_high + np.clip(few - before, 0, ties))

    def _at_least(self, cutoff: float, rows: Ints) -> Ints:
        """Per row the number of columns with fl(λ_i μ_j) ≥ cutoff, by the products themselves."""
        columns = len(self.mu)
        if cutoff == 0.0:
            return np.full(len(rows), columns, dtype=np.int64)
        lam = self.lam[rows]
        with np.errstate(divide="ignore", over="ignore"):
            bound = cutoff / lam
        k = columns - np.searchsorted(self._ascending, bound, side="left")
        # The quotient is rounded, so a column beside the edge may be on the wrong side of it.
        while True:
            more = (k < columns) & (lam * self.mu[np.minimum(k, columns - 1)] >= cutoff)
            if not more.any():
                break
            value = self.mu[k[more]]
            k[more] = columns - np.searchsorted(self._ascending, value, side="left")
        while True:
            fewer = (k > 0) & (lam * self.mu[np.maximum(k, 1) - 1] < cutoff)
            if not fewer.any():
                return k
            value = self.mu[k[fewer] - 1]
            k[fewer] = columns - np.searchsorted(self._ascending, value, side="right")

    def _sum(self, k: Ints) -> float:
        return float((self.lam * self._prefix[k]).sum())

    def _kept(self, k: Ints) -> KeptSet:
        rows = k > 0
        cutoff = float((self.lam[rows] * self.mu[k[rows] - 1]).min()) if rows.any() else math.inf
        mass = self._sum(k) / self.total if self.total > 0.0 else 0.0
        count = int(k.sum())
        return KeptSet(k, count, mass, cutoff, whole=count == self.pairs)


def staircase_mask(k: Ints, columns: int) -> NDArray[np.bool_]:
    """The kept pairs as a bool[p, q] grid."""
    return np.arange(columns) < k[:, None]


def _spectrum(values: ArrayLike) -> Floats:
    array = np.array(values, dtype=np.float64)
    good = array.ndim == 1 and len(array) > 0 and bool(np.isfinite(array).all())
    if not good or bool((np.diff(array) > 0).any()) or array[-1] < 0:
        raise HillshadeError(
            "A spectrum must be a list of finite eigenvalues, descending and not negative; "
            "take it from core.basis.bases."
        )
    return array + 0.0  # -0.0 becomes 0.0


def to_bits(value: float) -> int:
    """The bit pattern of a non-negative double as an integer, which is ordered like the double."""
    return int(np.float64(value).view(np.int64))


def from_bits(bits: int) -> float:
    """The double with this bit pattern: `to_bits` undone."""
    return float(np.int64(bits).view(np.float64))
