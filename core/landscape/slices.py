"""The loss along one direction or on the plane of two: L(W + s D₁ + t D₂).

Steps ride in the batch of `core.replay.Replay`: no weight is copied, and what lies below the lowest
touched projection runs once. One pass serves all texts, their losses and their strict recall.

K-FAC's curvature along any D of one projection is

    vec(D)ᵀ (G ⊗ A) vec(D) = Σ_ij λ_i μ_j (U_Gᵀ D U_A)²_ij,

which is Π_ij for an eigendirection. Over several projections it is the sum of theirs: K-FAC knows
no curvature between matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from transformers import PreTrainedModel

from core.basis import Basis
from core.curvature.exact import replayed
from core.curvature.examples import example_rows
from core.direction import Direction, LowRank, orthogonalised
from core.errors import HillshadeError
from core.landscape.directions import Ray
from core.landscape.result import Axis, Floats, Slice, Unit
from core.landscape.texts import Texts
from core.projection import Projection, matrix_digest, named
from core.upper import Step


@dataclass(frozen=True, eq=False)
class Line:
    """A direction and the α at which it is walked; `Axis` explains values and units."""

    ray: Ray
    values: ArrayLike
    unit_of: Unit = "weights"


def centred(low: float, high: float, points: int) -> Floats:
    """`points` evenly spaced values from about low to high, 0 exactly among them.

    The whole grid is shifted by at most half a spacing to bring 0 in; an odd number of points from
    −x to x needs no shift. Raises HillshadeError unless low ≤ 0 ≤ high, low < high and points ≥ 2.
    """
    if not (low <= 0.0 <= high and low < high and points >= 2):
        raise HillshadeError(
            f"A grid of {points} points from {low} to {high} has no centre; "
            "choose low ≤ 0 ≤ high and 2 points or more."
        )
    index = np.arange(points) - round(-low / (high - low) * (points - 1))
    return np.asarray(index * ((high - low) / (points - 1)), dtype=np.float64)


def cut(
    model: PreTrainedModel,
    lines: Sequence[Line],
    texts: Texts,
    *,
    bases: Mapping[str, Basis] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Slice:
    """The slice of `model` along one line, or on the grid of two; `model` is never changed.

    The second direction is made orthogonal to the first. Slopes are exact and cost one
    forward and one backward pass; with `bases` of every touched projection the slice also holds
    K-FAC's curvature and its share of the mass. Costs the part of the model above the lowest
    touched projection, once for every text and grid point.

    `progress(done, total)` counts grid points times batches and may raise to cancel. Raises
    HillshadeError for other than one or two lines, parallel directions, a grid without 0, texts the
    model cannot read, a direction of another model or a basis of other weights.
    """
    if len(lines) not in (1, 2):
        raise HillshadeError(f"{len(lines)} lines span no slice; give one or two.")
    first = lines[0].ray.direction.unit()
    given = [line.ray.direction for line in lines]
    directions = [first, *(orthogonalised(first, second) for second in given[1:])]
    projections = _touched(model, directions)
    length = sum(float(p.weight(model).detach().double().square().sum()) for p in projections)
    axes = tuple(
        Axis(
            values=np.array(line.values, dtype=np.float64),
            unit=length**0.5 if line.unit_of == "weights" else direction.inner(raw),
            unit_of=line.unit_of,
            origin=line.ray.origin,
            digest=line.ray.digest,
        )
        for line, direction, raw in zip(lines, directions, given, strict=True)
    )
    steps: list[Step] = [
        [(direction, size) for direction, size in zip(directions, sizes, strict=True) if size]
        for sizes in product(*(axis.steps.tolist() for axis in axes))
    ]
    kfac, mass_share = _kfac(projections, model, directions, bases)
    slopes = _slopes(model, projections, directions, texts)
    readout = replayed(model, projections, texts.examples).read(steps, progress)
    mean_loss = readout.mean_loss
    strict = readout.strict & np.isfinite(mean_loss)  # the argmax of NaN recalls nothing
    grid = tuple(len(axis.values) for axis in axes)
    return Slice(
        axes=axes,
        names=texts.names,
        groups=texts.groups,
        tokens=texts.tokens,
        loss=mean_loss.reshape(*grid, -1),
        strict=strict.reshape(*grid, -1),
        slopes=slopes,
        kfac=kfac,
        mass_share=mass_share,
        texts_digest=texts.digest,
        weights={p.name: matrix_digest(p.weight(model)) for p in projections},
    )


def kfac_curvature(basis: Basis, one: Direction, other: Direction) -> float:
    """vec(D)ᵀ (G ⊗ A) vec(E) on the basis' projection; Π_ij for D = E = u_i v_jᵀ.

    In nats per counted token and squared weight. Computed in float64.
    """
    inside = [_coordinates(basis, direction) for direction in (one, other)]
    return float(np.einsum("i,j,ij,ij->", basis.lam, basis.mu, *inside))


def _coordinates(basis: Basis, direction: Direction) -> Floats:
    """U_Gᵀ D U_A, float64 (p, q)."""
    part = direction.parts[basis.name]
    u_g, u_a = basis.u_g.double(), basis.u_a.double()
    if isinstance(part, LowRank):
        left, right = u_g.T @ part.u_pr.double().to(u_g), u_a.T @ part.v_qr.double().to(u_a)
        inside: Floats = (left @ right.T).cpu().numpy()
    else:
        inside = (u_g.T @ part.double().to(u_g) @ u_a).cpu().numpy()
    return inside


def _touched(model: PreTrainedModel, directions: Sequence[Direction]) -> tuple[Projection, ...]:
    names = {name: part for direction in directions for name, part in direction.parts.items()}
    there = {projection.name: projection for projection in named(model, names)}
    for name, part in names.items():
        if name not in there or tuple(part.shape) != there[name].shape:
            raise HillshadeError(
                f"The direction touches {name}, which this model does not have in that shape; "
                "use it on the model it was made for."
            )
    return tuple(projection for name, projection in there.items() if name in names)


def _slopes(
    model: PreTrainedModel,
    projections: Sequence[Projection],
    directions: Sequence[Direction],
    texts: Texts,
) -> Floats:
    """⟨∇L_x, D⟩ = (1/T_x) Σ_t g_tᵀ D a_t of every direction and text, (axes, n), gold labels."""
    slopes = np.zeros((len(directions), len(texts.examples)))
    for rows in example_rows(model, projections, texts.examples, labels="gold"):
        for number, direction in enumerate(directions):
            along = Direction({name: LowRank(rows.g[name].T, a.T) for name, a in rows.a.items()})
            slopes[number, rows.number] = along.inner(direction)
    return slopes / texts.tokens


def _kfac(
    projections: Sequence[Projection],
    model: PreTrainedModel,
    directions: Sequence[Direction],
    bases: Mapping[str, Basis] | None,
) -> tuple[NDArray[np.float64] | None, float | None]:
    """K-FAC's curvature between the axes, and the axes' share of the curvature mass.

    Of a basis of unknown scale only the share is known.
    """
    if bases is None:
        return None, None
    size = len(directions)
    between, mass = np.zeros((size, size)), 0.0
    for projection in projections:
        basis = bases.get(projection.name)
        if basis is None or basis.weight_digest != matrix_digest(projection.weight(model)):
            raise HillshadeError(
                f"There is no curvature basis of these weights for {projection.name}; "
                "give this model's own bases, or none."
            )
        mass += float(basis.lam.sum() * basis.mu.sum())
        for a, b in product(range(size), repeat=2):
            if all(projection.name in directions[n].parts for n in (a, b)):
                between[a, b] += kfac_curvature(basis, directions[a], directions[b])
    share = float(np.trace(between) / mass) if mass > 0.0 else None
    known = all(bases[projection.name].scale == "summed" for projection in projections)
    return between if known else None, share
