"""Bands: the pairs (i, j) of a basis, or its input directions, put into a few groups by curvature.

Pairs are ranked by Π_ij = λ_i μ_j in the order of `core.staircase`, so a band is what lies between
two nested staircases and is stored as such: 2·p numbers a band, no p × q grid. Eigenvectors are
ranked by their eigenvalue; the paper's four bands of them hold the top 10 %, 10-25 %, 25-50 % and
the bottom 50 % (Merullo et al. 2025, section 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.basis import Basis, Staircase, staircase_mask
from core.errors import HillshadeError
from core.projection import Projection

Ints = NDArray[np.int64]

EIGEN_EDGES = (0.1, 0.25, 0.5)
EIGEN_LABELS = ("top 10 %", "10-25 %", "25-50 %", "bottom 50 %")


@dataclass(frozen=True, eq=False)
class Bands:
    """Disjoint groups of pairs that together hold every pair of one projection.

    labels   one a band, from high to low curvature
    edges    int64 (b + 1, p): band number n holds the columns edges[n, i] … edges[n + 1, i] − 1 of
             row i; edges[0] = 0 and edges[b] = q
    """

    labels: tuple[str, ...]
    edges: Ints

    @property
    def counts(self) -> Ints:
        """Number of pairs in each band, (b,)."""
        return np.diff(self.edges.sum(1))

    @cached_property
    def grid(self) -> Ints:
        """The band of every pair, int64 (p, q)."""
        columns = int(self.edges[-1].max())
        inside = [~staircase_mask(edge, columns) for edge in self.edges[1:-1]]
        start = np.zeros((self.edges.shape[1], columns), dtype=np.int64)
        return sum((mask.astype(np.int64) for mask in inside), start)

    @property
    def per_column(self) -> Ints:
        """n_j: how many pairs of each band lie in column j, int64 (b, q)."""
        columns = np.arange(int(self.edges[-1].max()))
        reach = [
            (len(edge) - np.searchsorted(np.sort(edge), columns, "right")) for edge in self.edges
        ]
        below = np.array(reach, dtype=np.int64)
        return below[1:] - below[:-1]


def basis_of(bases: Mapping[str, Basis], projection: Projection) -> Basis:
    """The basis of this projection; HillshadeError where there is none."""
    if projection.name not in bases:
        raise HillshadeError(
            f"There is no curvature basis for {projection.name}; collect factors with it first."
        )
    return bases[projection.name]


def rank_bands(basis: Basis, count: int = 12) -> Bands:
    """`count` bands between log-spaced ranks 1 … p·q of Π, the steepest first.

    Fewer where the spacing would leave a band without a pair. Raises HillshadeError for count < 1.
    """
    if count < 1:
        raise HillshadeError(f"{count} bands are impossible; choose 1 or more.")
    pairs = basis.staircase.pairs
    ranks = np.unique(np.geomspace(1, pairs, count + 1).round().astype(np.int64))[1:]
    return _between(basis.staircase, ranks[:-1], tuple(f"to rank {rank:,}" for rank in ranks))


def steepest(basis: Basis, count: int) -> list[tuple[int, int]]:
    """The `count` pairs (i, j) of largest Π, in descending order."""
    k = basis.staircase.at_count(count).k
    pairs = [(i, j) for i in range(len(k)) for j in range(int(k[i]))]
    return sorted(pairs, key=lambda pair: (-basis.lam[pair[0]] * basis.mu[pair[1]], pair))


def share_bands(
    basis: Basis, edges: Sequence[float] = EIGEN_EDGES, labels: Sequence[str] = EIGEN_LABELS
) -> Bands:
    """Pairs by their rank in Π, cut at these shares of their number (the pair-faithful bands)."""
    pairs = basis.staircase.pairs
    return _between(basis.staircase, [round(edge * pairs) for edge in edges], tuple(labels))


def eigen_bands(count: int, edges: Sequence[float] = EIGEN_EDGES) -> tuple[slice, ...]:
    """Eigenvectors 0 … count − 1 by rank, cut at these shares of their number.

    Raises HillshadeError where a band would be empty.
    """
    cuts = [0, *(round(edge * count) for edge in edges), count]
    if any(low >= high for low, high in pairwise(cuts)):
        raise HillshadeError(
            f"{count} eigenvectors are too few for bands that end at {', '.join(map(str, edges))} "
            "of them; use a wider model."
        )
    return tuple(slice(low, high) for low, high in pairwise(cuts))


def _between(staircase: Staircase, counts: Sequence[int] | Ints, labels: tuple[str, ...]) -> Bands:
    """The bands that end after the first `counts` pairs, and the rest."""
    rows = len(staircase.lam)
    inner = [staircase.at_count(int(count)).k for count in counts]
    outer = np.full(rows, len(staircase.mu), dtype=np.int64)
    return Bands(labels, np.array([np.zeros(rows, dtype=np.int64), *inner, outer]))
