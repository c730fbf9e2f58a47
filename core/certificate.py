"""How far a basis can be trusted: a certificate to be shown beside everything drawn in it.

    sample = sample_pairs(basis, 40)                      # pairs, log-spaced over the ranks of Π
    kappa = ggn_along(model, [p], texts, sample.directions(basis))      # core.curvature.exact
    certificate(basis, factors, halves=(first, second), sample=sample, curvature=kappa_mean)

What each number means, for either side (A over the q inputs, G over the p outputs):

    positions per dimension   T/q, T/p: below a few, the flat end of the spectrum is sampling noise
    effective rank            exp(−Σ s_i ln s_i), s_i = eigenvalue / trace (Roy & Vetterli 2007)
    split-half overlap        (1/r) ‖V_1ᵀ V_2‖_F² of the leading r eigenvectors of two halves of
                              the sample, r the fewest dimensions with a given share of the trace:
                              1 where both halves name the same subspace, r/d by chance
    residual, clamped         of the eigendecomposition (`core.basis.eigen`)

and for pairs: true directional curvature / λ_i μ_j on sampled directions. What K-FAC assumes away
(that activations and gradients are independent, and positions too) shows there and only there.
The two halves, mixed (`Factors.mixed`), are the factors of the whole sample: they cost no pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from core.basis import Basis, eigen
from core.curvature.resampling import estimate
from core.direction import Direction, rank_one
from core.errors import HillshadeError
from core.factors import Factors
from core.intervals import Estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHARES = (0.5, 0.9, 0.99)  # of the trace, at which subspaces are compared


@dataclass(frozen=True)
class Overlap:
    """Agreement of two halves on the leading `rank` dimensions, which hold `share` of the trace.

    ``overlap`` and ``chance`` (what two random subspaces would have) lie in 0..1. One split of the
    sample gives one number: it has no interval.
    """

    share: float
    rank: int
    overlap: float
    chance: float


@dataclass(frozen=True)
class Side:
    """What is known of one covariance, A or G; ``overlaps`` is empty without halves."""

    dimensions: int
    positions_per_dimension: float
    effective_rank: float
    residual: float
    clamped: int
    overlaps: tuple[Overlap, ...]


@dataclass(frozen=True)
class SampledPair:
    """True curvature along u_i v_jᵀ beside λ_i μ_j; ``rank`` (from 1) counts pairs by λ_i μ_j."""

    rank: int
    row: int
    column: int
    product: float
    curvature: float


@dataclass(frozen=True)
class Certificate:
    """The evidence behind one basis.

    ``ratio`` is the median of curvature / λ_i μ_j over the sampled pairs, its interval by drawing
    the pairs again; None where none were sampled.
    """

    name: str
    positions: int
    labels: str
    a: Side
    g: Side
    pairs: tuple[SampledPair, ...]
    ratio: Estimate | None

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, texts, lists and dicts, for JSON."""
        plain: dict[str, Any] = asdict(self)
        for side in (plain["a"], plain["g"]):
            side["overlaps"] = list(side["overlaps"])
        plain["pairs"] = list(plain["pairs"])
        return plain


@dataclass(frozen=True, eq=False)
class Sample:
    """Pairs (rows[k], columns[k]) of one basis and their ranks by λ_i μ_j, from 1."""

    ranks: Ints
    rows: Ints
    columns: Ints

    def directions(self, basis: Basis) -> list[Direction]:
        """The unit directions u_i v_jᵀ."""
        return [
            rank_one(basis.name, basis.u_g[:, i], basis.u_a[:, j])
            for i, j in zip(self.rows.tolist(), self.columns.tolist(), strict=True)
        ]


def sample_pairs(basis: Basis, count: int = 40, seed: int = 0) -> Sample:
    """About `count` different pairs, one at random from each of as many log-spaced bands of ranks.

    Ranks run over the pairs with Π > 0. No p x q grid is made: the pair of rank n is where the
    staircases of n and n − 1 pairs differ. Raises HillshadeError where no pair has curvature.
    """
    stairs = basis.staircase
    if not stairs.positive:
        raise HillshadeError(
            f"The factors of {basis.name} are zero; collect them on texts that reach it."
        )
    rng = np.random.default_rng(seed)
    edges = np.geomspace(1, stairs.positive + 1, count + 1)
    ranks = np.unique(np.floor(rng.uniform(edges[:-1], edges[1:])).astype(np.int64))
    rows, columns = np.empty_like(ranks), np.empty_like(ranks)
    for place, rank in enumerate(ranks.tolist()):
        with_it, without = stairs.at_count(rank).k, stairs.at_count(rank - 1).k
        rows[place] = int(np.flatnonzero(with_it != without)[0])
        columns[place] = without[rows[place]]
    return Sample(ranks, rows, columns)


def certificate(
    basis: Basis,
    factors: Factors,
    *,
    halves: tuple[Factors, Factors] | None = None,
    sample: Sample | None = None,
    curvature: ArrayLike | None = None,
) -> Certificate:
    """The certificate of `basis`, made from `factors`.

    `halves` are the factors of two disjoint halves of the same texts: two more eigendecompositions
    a side. `curvature` is the true one along each pair of `sample`, per counted token and over the
    whole sample of texts (for `core.curvature.exact.ggn_along`: the mean of κ_x weighted by T_x).
    Raises HillshadeError for factors of other weights, curvatures that do not fit the sample, and
    curvatures beside factors of unknown scale, to which they have no ratio.
    """
    for given in (factors, *(halves or ())):
        if given.digests.get(basis.name) != basis.weight_digest:
            raise HillshadeError(
                f"These factors are not those of the basis of {basis.name}; "
                "collect basis and factors from the same model."
            )
    if (sample is None) != (curvature is None):
        raise HillshadeError("Sampled pairs and their curvature go together; give both or neither.")
    if curvature is not None and basis.scale == "unknown":
        raise HillshadeError(
            f"The scale of the factors of {basis.name} is unknown, so that true curvature has no "
            "ratio to theirs; leave the sampled pairs out, or collect the factors here."
        )
    name, count = basis.name, factors.count
    pairs = () if sample is None else _pairs(basis, sample, curvature)
    a_parts, g_parts = ([h.a(name) for h in halves or ()], [h.g(name) for h in halves or ()])
    return Certificate(
        name=name,
        positions=count,
        labels=factors.labels,
        a=_side(basis.mu, count, basis.residual_a, basis.clamped_a, a_parts),
        g=_side(basis.lam, count, basis.residual_g, basis.clamped_g, g_parts),
        pairs=pairs,
        ratio=_ratio(pairs) if pairs else None,
    )


def effective_rank(eigenvalues: Floats) -> float:
    """The exponential of the entropy of the normalised eigenvalues: d for d equal ones."""
    total = float(eigenvalues.sum())
    if total <= 0.0:
        return 0.0
    shares = eigenvalues[eigenvalues > 0] / total
    return math.exp(-float((shares * np.log(shares)).sum()))


def _side(
    eigenvalues: Floats, count: int, residual: float, clamped: int, halves: Sequence[Tensor]
) -> Side:
    size = len(eigenvalues)
    overlaps: list[Overlap] = []
    if halves and eigenvalues[0] > 0.0:
        one, other = (eigen(half).vectors for half in halves)
        reached = np.cumsum(eigenvalues) / eigenvalues.sum()
        for share in SHARES:
            rank = int(np.searchsorted(reached, share)) + 1
            shared = float(torch.linalg.matrix_norm(one[:, :rank].T @ other[:, :rank]) ** 2)
            overlaps.append(Overlap(share, rank, shared / rank, rank / size))
    return Side(size, count / size, effective_rank(eigenvalues), residual, clamped, tuple(overlaps))


def _pairs(basis: Basis, sample: Sample, curvature: ArrayLike | None) -> tuple[SampledPair, ...]:
    found = np.asarray(curvature, dtype=np.float64)
    if found.shape != sample.ranks.shape or not np.isfinite(found).all():
        raise HillshadeError(
            f"{len(sample.ranks)} pairs need as many finite curvatures; "
            "measure one along each sampled direction."
        )
    columns = zip(sample.ranks, sample.rows, sample.columns, found, strict=True)
    return tuple(
        SampledPair(int(r), int(i), int(j), float(basis.lam[i] * basis.mu[j]), float(kappa))
        for r, i, j, kappa in columns
    )


def _ratio(pairs: Sequence[SampledPair]) -> Estimate:
    ratios = np.array([pair.curvature / pair.product for pair in pairs])
    return estimate(lambda drawn: float(np.median(ratios[drawn])), [len(ratios)])
