"""Directions in weight space: one matrix for each projection they touch.

A step along D by α is W + α D for every touched projection at once. ‖D‖_F runs over all touched
projections together. Eigendirections u vᵀ and other directions of low rank are kept as factors, so
that a step costs a token r·(p + q) multiplications instead of p·q.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from core.errors import HillshadeError


@dataclass(frozen=True, eq=False)
class LowRank:
    """The matrix u vᵀ (p × q) of rank at most r, u (p × r), v (q × r)."""

    u_pr: Tensor
    v_qr: Tensor

    def __post_init__(self) -> None:
        if self.u_pr.dim() != 2 or self.v_qr.dim() != 2 or len(self.u_pr.T) != len(self.v_qr.T):
            raise HillshadeError(
                f"Factors {tuple(self.u_pr.shape)} and {tuple(self.v_qr.shape)} make no matrix; "
                "give u as p × r and v as q × r."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(p, q)."""
        return len(self.u_pr), len(self.v_qr)


Part = Tensor | LowRank


@dataclass(frozen=True, eq=False)
class Direction:
    """D: for each touched projection, by name, a p × q matrix, dense or of low rank."""

    parts: Mapping[str, Part]

    @property
    def norm(self) -> float:
        """‖D‖_F over all parts."""
        return float(self.inner(self)) ** 0.5

    def inner(self, other: Direction) -> float:
        """⟨D, E⟩_F = Σ over shared projections of Σ_ij D_ij E_ij, accumulated in float64."""
        shared = self.parts.keys() & other.parts.keys()
        return sum(_inner(self.parts[name], other.parts[name]) for name in sorted(shared))

    def scaled(self, factor: float) -> Direction:
        """The direction factor · D."""
        return Direction({name: _scaled(part, factor) for name, part in self.parts.items()})

    def unit(self) -> Direction:
        """D / ‖D‖_F; HillshadeError for the zero direction."""
        norm = self.norm
        if not 0.0 < norm < float("inf"):
            raise HillshadeError(
                f"A direction of length {norm} points nowhere; choose one that is not zero."
            )
        return self.scaled(1.0 / norm)

    def dense(self, name: str) -> Tensor:
        """The part of this projection as a p × q matrix."""
        return _dense(self.parts[name])


def rank_one(name: str, u_p: Tensor, v_q: Tensor) -> Direction:
    """The direction u vᵀ of one projection; of length 1 for unit vectors."""
    return Direction({name: LowRank(u_p[:, None], v_q[:, None])})


def orthogonalised(first: Direction, second: Direction) -> Direction:
    """The unit direction second − ⟨first, second⟩/‖first‖² · first.

    Raises HillshadeError where the two are parallel.
    """
    along = first.inner(second) / first.inner(first)
    parts: dict[str, Part] = dict(second.parts)
    for name, part in first.parts.items():
        parts[name] = _sum(parts.get(name), part, -along)
    rest = Direction(parts)
    if rest.norm < 1e-6 * second.norm:
        raise HillshadeError("The two directions are parallel; choose two different ones.")
    return rest.unit()


def _inner(a: Part, b: Part) -> float:
    if isinstance(a, LowRank) and isinstance(b, LowRank):
        us, vs = a.u_pr.double().T @ b.u_pr.double(), a.v_qr.double().T @ b.v_qr.double()
        return float((us * vs).sum())
    if isinstance(b, LowRank):
        a, b = b, a
    if isinstance(a, LowRank):
        assert isinstance(b, Tensor)
        return float((a.u_pr.double() * (b.double() @ a.v_qr.double())).sum())
    assert isinstance(b, Tensor)
    return float((a.double() * b.double()).sum())


def _scaled(part: Part, factor: float) -> Part:
    if isinstance(part, LowRank):
        return LowRank(part.u_pr * factor, part.v_qr)
    return part * factor


def _sum(part: Part | None, other: Part, factor: float) -> Part:
    """The sum part + factor · other, kept in factors where both are."""
    if part is None:
        return _scaled(other, factor)
    if isinstance(part, LowRank) and isinstance(other, LowRank):
        u = torch.cat([part.u_pr, factor * other.u_pr], 1)
        return LowRank(u, torch.cat([part.v_qr, other.v_qr], 1))
    return _dense(part) + factor * _dense(other)


def _dense(part: Part) -> Tensor:
    return part.u_pr @ part.v_qr.T if isinstance(part, LowRank) else part
