"""Ways to cut that know no curvature, or only the size of K-FAC's change: the controls."""

from __future__ import annotations

import numpy as np
import torch

from core.methods.pairs import KFac
from core.methods.target import Cut, Target, share
from core.staircase import TOLERANCE


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
        return Cut(weight, rank, total, share(float(self._reached[rank]), energy))


class Magnitude:
    """Keep the entries of W of largest |w|, a share of their number; the others become 0.

    The number is rounded to the nearest; equal entries go by row, then column, of the p x q matrix.
    """

    def __init__(self, target: Target) -> None:
        self._weight = target.wide
        self._order = self._weight.abs().flatten().sort(descending=True, stable=True).indices
        self._energy = target.energy

    def at(self, setting: float) -> Cut:
        """Keep the share `setting` of the entries."""
        total = self._weight.numel()
        count = round(setting * total)
        if count == total:
            return Cut(None, total, total, 1.0)
        weight = self._weight.flatten().clone()
        weight[self._order[count:]] = 0.0
        part = share(float(weight.double().square().sum()), self._energy)
        return Cut(weight.reshape(self._weight.shape), count, total, part)
