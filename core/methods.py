"""Five ways to cut a weight matrix, each on its own axis: K-FAC and the four controls.

Every method is prepared once for one W (p x q) and then answers any setting between 0 and 1 with a
`Cut`. Setting 1 means W itself for all of them. Pure mathematics: no model, no hooks, no files.
Matrices are computed in float32, or float64 for a float64 weight.

A further score is a further class here with the same two members, added to `METHODS`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.basis import Basis, staircase_mask
from core.errors import HillshadeError
from core.staircase import TOLERANCE


@dataclass(frozen=True, eq=False)
class Cut:
    """What one setting leaves of one W.

    ``weight`` is W' (p x q), or None for W itself. ``kept`` of ``total`` directions stay (pairs,
    singular directions or entries). ``weight_kept`` is 1 - ‖W - W'‖² / ‖W‖², which for every method
    but noise is ‖W'‖² / ‖W‖².
    """

    weight: Tensor | None
    kept: int
    total: int
    weight_kept: float


@dataclass(frozen=True, eq=False)
class Target:
    """The weight to cut and what a method may need beside it."""

    weight_pq: Tensor
    name: str
    basis: Basis | None = None
    seed: int = 0

    @property
    def pairs(self) -> int:
        """p·q, the number of entries and of pairs of directions."""
        return self.weight_pq.numel()

    @cached_property
    def wide(self) -> Tensor:
        """W in the dtype of the computation."""
        weight = self.weight_pq.detach()
        return weight.to(torch.promote_types(weight.dtype, torch.float32))

    @property
    def named_basis(self) -> Basis:
        """The basis, or a HillshadeError where there is none."""
        if self.basis is None:
            raise HillshadeError(
                f"There is no curvature basis for {self.name}; collect factors with it first."
            )
        return self.basis

    def rng(self) -> np.random.Generator:
        """Random numbers keyed by the seed and the projection's name, whatever is edited beside."""
        key = hashlib.sha256(f"{self.seed} {self.name}".encode()).digest()[:16]
        return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


class Method(Protocol):
    """One way to cut, prepared for one weight."""

    def __init__(self, target: Target) -> None: ...

    def at(self, setting: float) -> Cut:
        """The cut at a setting in 0..1; sets of kept directions are nested in it."""
        ...


class KFac:
    """Keep the pairs of largest curvature Π_ij = λ_i μ_j until they hold a share ρ of the mass.

    W' = U_G (C ⊙ M) U_Aᵀ,  C = U_Gᵀ W U_A,  M the kept set of `Staircase.kept(ρ)`.
    Two p x q matrix products per setting, two more once. Source: Merullo et al. 2025, section 3.2.
    """

    def __init__(self, target: Target) -> None:
        basis = target.named_basis
        self._u_g, self._u_a = basis.u_g.to(target.wide), basis.u_a.to(target.wide)
        self.c = self._u_g.T @ target.wide @ self._u_a
        self._energy = float(self.c.double().square().sum())
        self.staircase = basis.staircase

    def at(self, setting: float) -> Cut:
        """Keep the curvature mass ρ = setting."""
        kept = self.staircase.kept(setting)
        return self.keep(staircase_mask(kept.k, self.c.shape[1]))

    def keep(self, mask: NDArray[np.bool_]) -> Cut:
        """W' for any set of pairs, a bool[p, q]; all of them is W itself."""
        count = int(mask.sum())
        if count == mask.size:
            return Cut(None, count, count, 1.0)
        c = self.c * torch.from_numpy(mask).to(self.c.device)
        share = _share(float(c.double().square().sum()), self._energy)
        return Cut(self._u_g @ c @ self._u_a.T, count, mask.size, share)


class RandomPairs:
    """Keep pairs drawn at random from the same basis, a share of their number.

    One permutation per seed and projection orders the pairs, so the sets are nested. K-FAC's own
    count is the setting count / pairs. (On K-FAC's axis of mass no setting would be mild: the
    flattest third of all pairs holds next to no mass, and a random third less ruins the model.)
    """

    def __init__(self, target: Target) -> None:
        self._kfac = KFac(target)
        self._order = target.rng().permutation(target.pairs)

    def at(self, setting: float) -> Cut:
        """Keep the share `setting` of the pairs, rounded to the nearest number."""
        mask = np.zeros(self._order.size, dtype=np.bool_)
        mask[self._order[: round(setting * self._order.size)]] = True
        return self._kfac.keep(mask.reshape(self._kfac.c.shape))


class Noise:
    """Add Gaussian noise of the size of K-FAC's change: W + N, ‖N‖_F = ‖W - W'_kfac(ρ)‖_F.

    One draw per seed and projection, scaled. It takes no direction away: all count as kept.
    """

    def __init__(self, target: Target) -> None:
        self._kfac = KFac(target)
        self._weight = target.wide
        draw = torch.from_numpy(target.rng().standard_normal(tuple(self._weight.shape)))
        self._unit = (draw / draw.norm()).to(self._weight)

    def at(self, setting: float) -> Cut:
        """Match K-FAC at the curvature mass ρ = setting."""
        like = self._kfac.at(setting)
        pairs = self._weight.numel()
        if like.weight is None:
            return Cut(None, pairs, pairs, 1.0)
        size = float((self._weight - like.weight).double().norm())
        return Cut(self._weight + size * self._unit, pairs, pairs, like.weight_kept)


class Svd:
    """Keep the largest singular directions of W until they hold a share of Σσ².

    W' = Σ_{i<r} σ_i x_i y_iᵀ with the smallest r such that Σ_{i<r} σ_i² ≥ setting · Σσ² (up to the
    relative slack `TOLERANCE` of the mass rule). Decomposed in float64.
    """

    def __init__(self, target: Target) -> None:
        x, sigma, yt = torch.linalg.svd(target.wide.double(), full_matrices=False)
        self._scaled, self._yt = (x * sigma).to(target.wide), yt.to(target.wide)
        self._reached = np.concatenate([[0.0], sigma.square().cumsum(0).cpu().numpy()])

    def at(self, setting: float) -> Cut:
        """Keep the share `setting` of Σσ²."""
        total, energy = len(self._yt), float(self._reached[-1])
        rank = int(np.searchsorted(self._reached, setting * (1.0 - TOLERANCE) * energy))
        if setting == 1.0 or rank == total:
            return Cut(None, total, total, 1.0)
        weight = self._scaled[:, :rank] @ self._yt[:rank]
        return Cut(weight, rank, total, _share(float(self._reached[rank]), energy))


class Magnitude:
    """Keep the entries of W of largest |w|, a share of their number; the others become 0.

    The number is rounded to the nearest; equal entries go by row, then column, of the p x q matrix.
    """

    def __init__(self, target: Target) -> None:
        self._weight = target.wide
        self._order = self._weight.abs().flatten().sort(descending=True, stable=True).indices
        self._energy = float(self._weight.double().square().sum())

    def at(self, setting: float) -> Cut:
        """Keep the share `setting` of the entries."""
        total = self._weight.numel()
        count = round(setting * total)
        if count == total:
            return Cut(None, total, total, 1.0)
        weight = self._weight.flatten().clone()
        weight[self._order[count:]] = 0.0
        share = _share(float(weight.double().square().sum()), self._energy)
        return Cut(weight.reshape(self._weight.shape), count, total, share)


METHODS: dict[str, type[Method]] = {
    "kfac": KFac,
    "svd": Svd,
    "magnitude": Magnitude,
    "random": RandomPairs,
    "noise": Noise,
}
IN_BASIS = frozenset({"kfac", "random", "noise"})
SEEDED = frozenset({"random", "noise"})


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else 1.0
