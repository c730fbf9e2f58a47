"""What every way of cutting a weight matrix is given, and what it answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from core.basis import Basis
from core.ekfac import Ekfac
from core.errors import HillshadeError


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
    ekfac: Ekfac | None = None

    @property
    def pairs(self) -> int:
        """p·q, the number of entries and of pairs of directions."""
        return self.weight_pq.numel()

    @cached_property
    def wide(self) -> Tensor:
        """W in the dtype of the computation."""
        weight = self.weight_pq.detach()
        return weight.to(torch.promote_types(weight.dtype, torch.float32))

    @cached_property
    def energy(self) -> float:
        """‖W‖_F²."""
        return float(self.wide.double().square().sum())

    @property
    def named_basis(self) -> Basis:
        """The basis, or a HillshadeError where there is none."""
        if self.basis is None:
            raise HillshadeError(
                f"There is no curvature basis for {self.name}; collect factors with it first."
            )
        return self.basis

    @property
    def named_ekfac(self) -> Ekfac:
        """Λ in the basis, or a HillshadeError where there is none or it is another basis's."""
        if self.ekfac is None:
            raise HillshadeError(
                f"There is no corrected curvature Λ for {self.name}; "
                "collect it in this basis first (core.ekfac.collect_ekfac)."
            )
        self.ekfac.require_basis(self.named_basis)
        return self.ekfac

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


def share(part: float, whole: float) -> float:
    """The share part / whole, and 1 where there is nothing to keep a share of."""
    return part / whole if whole > 0.0 else 1.0
