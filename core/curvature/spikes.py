"""An example's own sharp direction, and what a step along it does to every example.

The gradient of example x with respect to W is ∇_x = Σ_t g_t a_tᵀ (p × q), with labels sampled from
the model. Its best rank-one part σ u vᵀ gives the *own direction* D_x = u vᵀ of length 1: the one
direction of this shape along which the loss of x is steepest, and so the one along which its Fisher
curvature, the mean square of that slope, is largest. A step of size s lets the loss of y rise by

    rise_y(D_x, s) = ½ [L_y(W + s D_x) + L_y(W − s D_x)] − L_y(W),

in which the slope cancels; L is the mean loss per counted token, gold labels. s is given as a
fraction of ‖W‖_F.

Rows suffice: with the factorisations Gᵀ = Q_g R_g and Aᵀ = Q_a R_a of the rows, the singular pairs
of ∇_x are those of the small matrix R_g R_aᵀ, T × T at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from core.curvature.exact import per_example, replayed
from core.curvature.examples import Examples, Progress, example_rows
from core.direction import Direction, rank_one
from core.errors import HillshadeError
from core.labels import Labels
from core.projection import Projection
from core.replay import Step

Floats = NDArray[np.float64]
Gradient = tuple[Tensor, Tensor]
"""∇_x by its rows: g (T × p) and a (T × q), ∇_x = gᵀ a."""


@dataclass(frozen=True, eq=False)
class Spikes:
    """The own directions of n examples in one projection.

    name     the projection
    u, v     float64 (n, p) and (n, q), unit rows: D_x = u_x v_xᵀ
    sigma    float64 (n,): the slope of x's summed sampled loss along D_x
    energy   float64 (n,): σ² / ‖∇_x‖_F², how much of the gradient D_x holds
    """

    name: str
    u: Tensor
    v: Tensor
    sigma: Floats
    energy: Floats

    def __len__(self) -> int:
        return len(self.sigma)

    def direction(self, number: int) -> Direction:
        """D_x of one example."""
        return rank_one(self.name, self.u[number], self.v[number])


@dataclass(frozen=True, eq=False)
class Rises:
    """How the loss of n examples changes along d directions at one step.

    up, down  float64 (d, n): L_y(W ± s D) − L_y(W) per counted token
    base      float64 (n,): L_y(W)
    """

    up: Floats
    down: Floats
    base: Floats

    @property
    def even(self) -> Floats:
        """½ [L(+s) + L(−s)] − L(0), (d, n)."""
        return (self.up + self.down) / 2

    @property
    def larger(self) -> Floats:
        """The larger change of both signs, (d, n)."""
        return np.maximum(self.up, self.down)


def gradients(
    model: nn.Module,
    projections: Sequence[Projection],
    examples: Examples,
    *,
    labels: Labels = "sampled",
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, list[Gradient]]:
    """∇_x of every example as its rows, by projection, from one draw of labels.

    Memory: T·(p + q) numbers an example and projection; no p × q matrix. Errors as `example_rows`.
    """
    blank = torch.empty(0)
    found = {p.name: [(blank, blank)] * len(examples) for p in projections}
    for rows in example_rows(
        model, projections, examples, labels=labels, seed=seed, progress=progress
    ):
        for name, out in found.items():
            # Clones: a slice would keep the whole batch, uncounted positions and all.
            out[rows.number] = (rows.g[name].clone(), rows.a[name].clone())
    return found


def top_pair(gradient: Gradient) -> tuple[Tensor, Tensor, float, float]:
    """The largest singular pair of ∇ = gᵀ a: u (p), v (q), σ, and σ²/‖∇‖_F²; in float64.

    Raises HillshadeError where the gradient is zero.
    """
    g_tp, a_tq = (rows.double() for rows in gradient)
    if not bool(g_tp.any()) or not bool(a_tq.any()):
        raise HillshadeError(
            "An example has no gradient and so no direction of its own (the model is certain of "
            "every token); leave it out, or draw other labels with another seed."
        )
    q_g, r_g = torch.linalg.qr(g_tp.T)
    q_a, r_a = torch.linalg.qr(a_tq.T)
    x, sigma, yt = torch.linalg.svd(r_g @ r_a.T, full_matrices=False)
    energy = float(sigma[0].square() / sigma.square().sum())
    return q_g @ x[:, 0], q_a @ yt[0], float(sigma[0]), energy


def own_directions(name: str, gradients: Sequence[Gradient]) -> Spikes:
    """D_x of every example; about T²·(p + q) operations each. Errors as `top_pair`."""
    pairs = [top_pair(gradient) for gradient in gradients]
    return Spikes(
        name,
        torch.stack([u for u, _, _, _ in pairs]),
        torch.stack([v for _, v, _, _ in pairs]),
        np.array([sigma for _, _, sigma, _ in pairs]),
        np.array([energy for _, _, _, energy in pairs]),
    )


def rises(
    model: PreTrainedModel,
    projection: Projection,
    directions: Sequence[Direction],
    examples: Examples,
    fractions: Sequence[float],
    *,
    progress: Progress | None = None,
) -> dict[float, Rises]:
    """Rises of every example along every direction, at steps of these fractions of ‖W‖_F.

    Directions are taken at length 1. Two passes above the projection a direction and step.
    `progress(done, total)` counts steps and may raise to cancel. Raises HillshadeError for a
    fraction that is not positive, and as `core.replay.Replay`.
    """
    for fraction in fractions:
        if not 0.0 < fraction < float("inf"):
            raise HillshadeError(f"A step of {fraction} ‖W‖ is impossible; choose a positive one.")
    norm = float(projection.weight(model).detach().double().norm())
    units = [direction.unit() for direction in directions]
    steps: list[Step] = [()]
    for fraction in fractions:
        steps += [((unit, sign * fraction * norm),) for unit in units for sign in (1.0, -1.0)]
    loss = replayed(model, [projection], examples).read(steps, progress).loss
    means = per_example(loss, examples)
    found = {}
    for number, fraction in enumerate(fractions):
        start = 1 + 2 * len(units) * number
        stop = start + 2 * len(units)
        change = means[start:stop] - means[0]
        found[fraction] = Rises(change[::2], change[1::2], means[0])
    return found
