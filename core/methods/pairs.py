"""Ways to choose among the pairs u_i v_jᵀ of a curvature basis: one ranking each, one formula.

    W' = U_G (C ⊙ M) U_Aᵀ,   C = U_Gᵀ W U_A,   M_ij = 1 for the kept pairs, else 0

The score of a pair says what its curvature is taken to be; its mass is the share of the score's own
total that the kept pairs hold. Scores of EK-FAC need Λ (`core.ekfac`) collected in the same basis.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from core.ekfac import Ekfac
from core.methods.target import Cut, Target, share
from core.pairset import PairSet
from core.ranking import Grid, Product, Ranking, select
from core.staircase import Floats

Kind = Literal["token", "sequence"]


class Coordinates:
    """W in its basis: C = U_Gᵀ W U_A. Two p x q matrix products once, two more for every cut."""

    def __init__(self, target: Target) -> None:
        basis = target.named_basis
        self._u_g, self._u_a = basis.u_g.to(target.wide), basis.u_a.to(target.wide)
        self.c = self._u_g.T @ target.wide @ self._u_a
        self._energy = float(self.c.double().square().sum())

    def keep(self, kept: PairSet) -> Cut:
        """W' for any set of pairs; all of them is W itself."""
        if kept.whole:
            return Cut(None, kept.count, kept.pairs, 1.0)
        c = self.c * torch.from_numpy(kept.mask()).to(self.c.device)
        part = share(float(c.double().square().sum()), self._energy)
        return Cut(self._u_g @ c @ self._u_a.T, kept.count, kept.pairs, part)


class PairMethod(ABC):
    """Keep the best pairs of a ranking.

    ``by_count`` says that the setting is a share of the pairs, not of the ranking's total.
    ``comparable`` says that scores of different projections mean the same, so that one cut-off can
    serve several (`core.ranking.Pool`): then they are second-order losses per counted token, in
    nats, of a step of length 1 along the pair (`KFac`, `Corrected`, `Marginal`) or of removing the
    pair from W (`WeightedKFac`), up to the factor ½. Factors of all projections must come from the
    same texts, and from summed losses.
    """

    by_count: ClassVar[bool] = False
    comparable: ClassVar[bool] = False

    def __init__(self, target: Target) -> None:
        self.coordinates = Coordinates(target)
        self.ranking = self._rank(target)

    @abstractmethod
    def _rank(self, target: Target) -> Ranking:
        """The ranking of this weight's pairs."""

    def at(self, setting: float) -> Cut:
        """Keep the best pairs up to the share `setting` of the total, or of the pairs."""
        (kept,) = select([self.ranking], setting, by_count=self.by_count)
        return self.coordinates.keep(kept)

    def keep(self, kept: PairSet) -> Cut:
        """W' for any set of pairs."""
        return self.coordinates.keep(kept)


class KFac(PairMethod):
    """Score Π_ij = λ_i μ_j, the curvature of the pair: a staircase.

    Source: Merullo et al. 2025, section 3.2.
    """

    comparable: ClassVar[bool] = True

    def _rank(self, target: Target) -> Ranking:
        return Product.of(target.named_basis.staircase)


class WeightedKFac(PairMethod):
    """Score Π_ij C_ij²: twice the rise of loss, to second order, when the pair is taken out of W.

    Not a staircase: a pair of large curvature that W does not use goes first.
    """

    comparable: ClassVar[bool] = True

    def _rank(self, target: Target) -> Ranking:
        basis = target.named_basis
        return Grid(np.outer(basis.lam, basis.mu) * _floats(self.coordinates.c) ** 2)


class OnlyA(PairMethod):
    """Score μ_j: what the inputs look like, gradients left out. A staircase.

    Whole columns go one after another; of the last one the first rows may stay.
    """

    def _rank(self, target: Target) -> Ranking:
        basis = target.named_basis
        return Product(np.ones_like(basis.lam), basis.mu)


class OnlyG(PairMethod):
    """Score λ_i: what the gradients look like, inputs left out. A staircase.

    Whole rows go one after another; of the last one the first columns may stay.
    """

    def _rank(self, target: Target) -> Ranking:
        basis = target.named_basis
        return Product(basis.lam, np.ones_like(basis.mu))


class Corrected(PairMethod):
    """Score Λ_ij, the curvature measured along the pair instead of the product λ_i μ_j.

    Of K-FAC's basis it is the best diagonal; not a staircase. Source: George et al. 2018 (EK-FAC,
    arXiv 1806.03884).
    """

    comparable: ClassVar[bool] = True
    kind: ClassVar[Kind]

    def _rank(self, target: Target) -> Ranking:
        return Grid(_floats(_lambda(target.named_ekfac, self.kind)))


class CorrectedToken(Corrected):
    """Λᵗᵒᵏ_ij = (1/T) Σ_t g̃_ti² ã_tj²: what λ_i μ_j factorises."""

    kind: ClassVar[Kind] = "token"


class CorrectedSequence(Corrected):
    """Λˢᵉᑫ_ij = (1/T) Σ_n (Σ_{t∈n} g̃_ti ã_tj)²: with the terms between positions."""

    kind: ClassVar[Kind] = "sequence"


class Marginal(PairMethod):
    """Score r_i c_j / ΣΛ with the marginals r_i = Σ_j Λ_ij, c_j = Σ_i Λ_ij: a staircase.

    The product that keeps Λ's sums over rows and columns. Rows and columns are taken in the order
    of r and c, which need not be that of λ and μ.
    """

    comparable: ClassVar[bool] = True
    kind: ClassVar[Kind]

    def _rank(self, target: Target) -> Ranking:
        score = _floats(_lambda(target.named_ekfac, self.kind))
        total = float(score.sum())
        return Product(score.sum(1), score.sum(0) / total if total > 0.0 else score.sum(0))


class MarginalToken(Marginal):
    """The marginals of Λᵗᵒᵏ."""

    kind: ClassVar[Kind] = "token"


class MarginalSequence(Marginal):
    """The marginals of Λˢᵉᑫ."""

    kind: ClassVar[Kind] = "sequence"


class RandomPairs(PairMethod):
    """Keep pairs drawn at random from the same basis, a share of their number.

    One permutation per seed and projection orders the pairs, so the sets are nested. K-FAC's own
    count is the setting count / pairs. (On K-FAC's axis of mass no setting would be mild: the
    flattest third of all pairs holds next to no mass, and a random third less ruins the model.)
    """

    by_count: ClassVar[bool] = True

    def _rank(self, target: Target) -> Ranking:
        shape = target.weight_pq.shape
        return Grid(np.ones((shape[0], shape[1])), target.rng().permutation(target.pairs))


def _lambda(ekfac: Ekfac, kind: Kind) -> Tensor:
    return ekfac.token if kind == "token" else ekfac.sequence


def _floats(tensor: Tensor) -> Floats:
    values: Floats = tensor.detach().double().cpu().numpy()
    return values
