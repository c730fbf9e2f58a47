"""The directions along which a landscape is cut, each with a record of what it is.

A `Ray` is a direction D of weight space and its origin: enough to say what was cut and to make it
again. Lengths are left as they come; `core.landscape.slices` walks along D/‖D‖_F. Eigendirections
are never filter-normalised: rescaling their rows would make other directions of them, and Π would
no longer be the curvature along them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from core.basis import Basis, staircase_mask
from core.direction import Direction, LowRank, rank_one
from core.errors import HillshadeError
from core.methods import Target
from core.projection import Projection, tensor_bytes

Origin = Mapping[str, str | int | float]


@dataclass(frozen=True, eq=False)
class Ray:
    """A direction and its origin: ``kind``, and whatever else is needed to make it again."""

    direction: Direction
    origin: Origin

    @cached_property
    def digest(self) -> str:
        """sha256 over the parts' names, shapes and entries."""
        digest = hashlib.sha256()
        for name, part in sorted(self.direction.parts.items()):
            tensors = (part.u_pr, part.v_qr) if isinstance(part, LowRank) else (part,)
            for tensor in tensors:
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
                digest.update(tensor_bytes(tensor))
        return digest.hexdigest()


def eigendirection(basis: Basis, i: int, j: int) -> Ray:
    """u_i v_jᵀ, of length 1 and K-FAC curvature Π_ij = λ_i μ_j; i, j count from the sharpest.

    Raises HillshadeError for a pair that is not there.
    """
    p, q = len(basis.lam), len(basis.mu)
    if not (0 <= i < p and 0 <= j < q):
        raise HillshadeError(f"{basis.name} has no pair ({i}, {j}); choose i < {p} and j < {q}.")
    direction = rank_one(basis.name, basis.u_g[:, i], basis.u_a[:, j])
    return Ray(direction, _in_basis("eigendirection", basis) | {"i": i, "j": j})


def band(basis: Basis, weight_pq: Tensor, start: int, stop: int) -> Ray:
    """The part of W in the pairs of rank start ≤ r < stop, counted from 0 in descending Π.

    D = U_G (C ⊙ M) U_Aᵀ with C = U_Gᵀ W U_A and M the band's pairs: one step of −1 along it takes
    the band away. Order and ties are those of `core.staircase`. Raises HillshadeError for an empty
    band and one beyond the p·q pairs.
    """
    stairs = basis.staircase
    if not 0 <= start < stop <= stairs.pairs:
        raise HillshadeError(
            f"There is no band of ranks {start} to {stop}; choose 0 ≤ start < stop ≤ "
            f"{stairs.pairs}."
        )
    upper, lower = (
        staircase_mask(stairs.at_count(count).k, len(basis.mu)) for count in (start, stop)
    )
    wide = Target(weight_pq, basis.name).wide
    u_g, u_a = basis.u_g.to(wide), basis.u_a.to(wide)
    mask = torch.from_numpy(lower & ~upper).to(wide.device)
    inside = u_g @ (u_g.T @ wide @ u_a * mask) @ u_a.T
    origin = _in_basis("band", basis) | {"start": start, "stop": stop}
    return Ray(Direction({basis.name: inside}), origin)


def spike(name: str, u_p: Tensor, v_q: Tensor, example: str, draws: int, seed: int) -> Ray:
    """An example's own sharp direction u vᵀ: the top singular pair of its gradient.

    ``example`` names the text, ``draws`` and ``seed`` say with which sampled labels the gradient
    was taken (`core.labels`).
    """
    origin = {"kind": "spike", "projection": name, "example": example}
    return Ray(rank_one(name, u_p, v_q), origin | {"draws": draws, "seed": seed})


def edit(
    model: nn.Module, changed: nn.Module, projections: Iterable[Projection], origin: Origin
) -> Ray:
    """W′ − W over the projections in which `changed` differs from `model`.

    One step of +1 along it is the edit, −1 its mirror image. ``origin`` should tell the recipe.
    Raises HillshadeError where nothing differs.
    """
    parts: dict[str, Tensor] = {}
    for projection in projections:
        before, after = projection.weight(model).detach(), projection.weight(changed).detach()
        wide = torch.promote_types(before.dtype, torch.float32)
        difference = after.to(wide) - before.to(wide)
        if bool(difference.any()):
            parts[projection.name] = difference
    if not parts:
        raise HillshadeError("The edit changes none of these projections; choose a stronger one.")
    return Ray(Direction(parts), {"kind": "edit", **origin})


def filter_normalised(model: nn.Module, projections: Iterable[Projection], seed: int) -> Ray:
    """A random direction whose rows are as long as those of W, ‖D_i‖ = ‖W_i‖.

    A filter of a linear map is the row of one output unit. The normalisation makes slices
    comparable between nets that differ by a rescaling of their units. Numbers are keyed by the seed
    and the projection's name, whatever else is drawn.
    Source: Li, Xu, Taylor, Studer, Goldstein 2018, section 4 (arXiv 1712.09913).
    """
    parts: dict[str, Tensor] = {}
    for projection in projections:
        target = Target(projection.weight(model), projection.name, seed=seed)
        draw = torch.from_numpy(target.rng().standard_normal(projection.shape))
        rows = target.wide.double().norm(dim=1, keepdim=True) / draw.norm(dim=1, keepdim=True)
        parts[projection.name] = (draw * rows).to(target.wide)
    if not parts:
        raise HillshadeError("No projection is selected; choose at least one.")
    return Ray(Direction(parts), {"kind": "filter-normalised random", "seed": seed})


def _in_basis(kind: str, basis: Basis) -> dict[str, str | int | float]:
    return {"kind": kind, "projection": basis.name, "basis_digest": basis.digest}
