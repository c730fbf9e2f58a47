"""Along the own direction of one example after another: what itself feels of it, and what many do.

For each of n examples x with own direction D_x (`core.curvature.spikes`), in one projection:

- the slice L_x(W + s D_x) − L_x(W) of its own loss, and beside it the mean of the same over the
  other examples of each group, with an interval over them: a spike where only x rises,
- the exact curvature κ_x(D_x), and the mean of κ_y(D_x) over each group (`core.curvature.exact`),
- what the factors hold along it, vec(D_x)ᵀ(G ⊗ A)vec(D_x) = (Σ_i λ_i ũ_i²)(Σ_j μ_j ṽ_j²), with
  ũ = U_Gᵀu and ṽ = U_Aᵀv: the average curvature by which an edit judges,
- the share of ‖D_x‖² that cuts which keep some numbers of pairs take away,
  1 − Σ_{(i,j) kept} ũ_i² ṽ_j².
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from core.basis import Basis, Staircase
from core.curvature.exact import ggn_along
from core.curvature.examples import Examples, Progress
from core.curvature.spikes import gradients, own_directions, rises
from core.curvature.verdicts import rounded
from core.direction import Direction
from core.intervals import t95
from core.projection import Projection

Floats = NDArray[np.float64]

STEPS = (0.02, 0.05, 0.1, 0.2, 0.3)  # of ‖W‖, to either side


@dataclass(frozen=True, eq=False)
class Felt:
    """What n directions do to the examples of one group, other than the directions' owners.

    rise, rise_half    mean over the group (n, s), and half its 95 % interval
    kappa, kappa_half  the same of the exact curvature (n,)
    count              examples behind each mean (n,)
    """

    rise: Floats
    rise_half: Floats
    kappa: Floats
    kappa_half: Floats
    count: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Own:
    """Slices along the own directions of n examples, at s steps; formulas above.

    steps   fractions of ‖W‖_F, ascending, without 0
    loss    of each example in the unedited model, nats a counted token (n,)
    rise    (n, s); kappa, factors: (n,)
    cut     (n, m): at each of m numbers of kept pairs
    """

    steps: tuple[float, ...]
    loss: Floats
    rise: Floats
    kappa: Floats
    factors: Floats
    cut: Floats
    groups: Mapping[str, Felt]

    def plain(self) -> dict[str, Any]:
        """For JSON, with four significant digits."""
        return {
            "steps": list(self.steps),
            **{name: rounded(getattr(self, name)) for name in _TABLES},
            "groups": {
                name: {key: rounded(value) for key, value in vars(felt).items()}
                for name, felt in self.groups.items()
            },
        }


_TABLES = ("loss", "rise", "kappa", "factors", "cut")


def along_own(
    model: PreTrainedModel,
    projection: Projection,
    basis: Basis,
    examples: Examples,
    groups: Mapping[str, Examples],
    kept: Sequence[int],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Own:
    """Slices along the own direction of each of `examples`; an owner is left out of its group.

    Cost: 13 passes above the projection an example over all of `groups`, and as many over itself.
    `progress(done, total)` counts examples and may raise to cancel. Errors as the parts do.
    """
    spikes = own_directions(
        projection.name, gradients(model, [projection], examples, seed=seed)[projection.name]
    )
    everyone = [member for group in groups.values() for member in group]
    directions = [spikes.direction(number) for number in range(len(spikes))]
    rise_nsy = _slices(model, projection, directions, everyone)[0]
    kappa_ny = ggn_along(model, [projection], everyone, directions)
    mine: list[tuple[Floats, float, float]] = []
    for number, (example, direction) in enumerate(zip(examples, directions, strict=True)):
        rise, loss = _slices(model, projection, [direction], [example])
        kappa = ggn_along(model, [projection], [example], [direction])
        mine.append((rise[0, :, 0], float(loss[0]), float(kappa[0, 0])))
        if progress is not None:
            progress(number + 1, len(examples))
    itself = np.array([[x.content == y.content for y in everyone] for x in examples])
    ends = np.cumsum([len(group) for group in groups.values()])
    felt = {
        name: _felt(rise_nsy[..., some], kappa_ny[:, some], itself[:, some])
        for (name, group), end in zip(groups.items(), ends, strict=True)
        for some in (slice(end - len(group), end),)
    }
    u_np, v_nq = (spikes.u @ basis.u_g.double()).numpy(), (spikes.v @ basis.u_a.double()).numpy()
    return Own(
        steps=tuple(sign * step for sign in (-1.0, 1.0) for step in STEPS[:: int(sign)]),
        loss=np.array([loss for _, loss, _ in mine]),
        rise=np.stack([rise for rise, _, _ in mine]),
        kappa=np.array([kappa for _, _, kappa in mine]),
        factors=(u_np**2 @ basis.lam) * (v_nq**2 @ basis.mu),
        cut=np.stack([cut_share(basis.staircase, u_np, v_nq, count) for count in kept], axis=1),
        groups=felt,
    )


def cut_share(staircase: Staircase, u_np: Floats, v_nq: Floats, kept: int) -> Floats:
    """The share of ‖u vᵀ‖² = 1 that is cut where so many pairs stay, (n,); u, v in the basis."""
    before = np.cumsum(np.pad(v_nq**2, ((0, 0), (1, 0))), axis=1)  # of the first k columns
    stays = (u_np**2 * before[:, staircase.at_count(kept).k]).sum(1)
    return np.asarray(np.clip(1.0 - stays, 0.0, 1.0))


def _slices(
    model: PreTrainedModel,
    projection: Projection,
    along: Sequence[Direction],
    examples: Examples,
) -> tuple[Floats, Floats]:
    """L_y(W + s D) − L_y(W) at all steps, ascending, (d, s, n), and L_y(W), (n,)."""
    found = rises(model, projection, along, examples, STEPS)
    down = [found[step].down for step in reversed(STEPS)]
    up = [found[step].up for step in STEPS]
    return np.stack([*down, *up], axis=1), found[STEPS[0]].base


def _felt(rise_nsy: Floats, kappa_ny: Floats, itself_ny: NDArray[np.bool_]) -> Felt:
    rise = np.where(itself_ny[:, None], np.nan, rise_nsy)
    kappa = np.where(itself_ny, np.nan, kappa_ny)
    count = (~itself_ny).sum(1)
    errors = np.array([t95(int(n) - 1) for n in count]) / np.sqrt(count)
    return Felt(
        np.nanmean(rise, axis=-1),
        errors[:, None] * np.nanstd(rise, axis=-1, ddof=1),
        np.nanmean(kappa, axis=-1),
        errors * np.nanstd(kappa, axis=-1, ddof=1),
        count,
    )
