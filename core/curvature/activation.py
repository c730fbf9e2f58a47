"""The activation ratio: do memorized texts write into flatter input directions than clean ones?

Input directions v_j (columns of U_A, by descending μ_j) are put into four bands
(`core.curvature.bands.eigen_bands`). Over the counted positions of a set X of texts,

    marginal        s_b(X) = mean ‖U_A[:, b]ᵀ a_t‖
    pair-faithful   s_b(X) = Σ_j n_j mean |v_jᵀ a_t| / Σ_j n_j, n_j the pairs of column j whose rank
                    in Π = λμ falls into band b: bands of what the edit ranks
    energy share    s_b(X) = mean ‖U_A[:, b]ᵀ a_t‖² / ‖a_t‖²: free of how long a_t is; 0 for
                    a_t = 0

and the ratio is s_b(memorized) / s_b(clean). The paper plots the first.

Source: Merullo et al. 2025, section 5 (arXiv 2510.24256).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.basis import Basis
from core.curvature.bands import EIGEN_LABELS, basis_of, eigen_bands, share_bands
from core.curvature.examples import Example, Progress, example_inputs
from core.curvature.resampling import Ints, estimate
from core.errors import HillshadeError
from core.intervals import Estimate
from core.projection import Projection

Floats = NDArray[np.float64]
Measure = Literal["marginal", "pair-faithful", "energy share"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


@dataclass(frozen=True)
class ActivationRatio:
    """Memorized over clean in each band of one projection, by each measure.

    bands   the four bands, the steepest first
    ratios  by measure, one estimate a band; interval by the bootstrap over examples of both sets
    """

    projection: str
    bands: tuple[str, ...]
    ratios: Mapping[Measure, tuple[Estimate, ...]]


def activation_ratios(
    model: nn.Module,
    bases: Mapping[str, Basis],
    projections: Sequence[Projection],
    memorized: Sequence[Example],
    clean: Sequence[Example],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[ActivationRatio, ...]:
    """The ratio per band, for every projection; one pass over all texts serves them all.

    gate and up read the same tensor: their marginal and energy ratios are equal, the pair-faithful
    ones differ with λ. `progress(done, total)` counts examples and may raise to cancel.
    Raises HillshadeError for an empty set, unusable texts and a projection without basis.
    """
    if not memorized or not clean:
        raise HillshadeError("A ratio needs memorized and clean texts; give at least one of each.")
    examples = [*memorized, *clean]
    tokens = np.array([example.tokens for example in examples], dtype=np.float64)
    activity = {p.name: _Activity(basis_of(bases, p)) for p in projections}
    sums = {p.name: np.zeros((len(examples), len(MEASURES), 4)) for p in projections}
    for number, inputs in example_inputs(model, projections, examples, progress=progress):
        for name, a_tq in inputs.items():
            sums[name][number] = activity[name].sums(a_tq)
    split = len(memorized)

    def ratio(values: Floats) -> Estimate:
        def statistic(m: Ints, c: Ints) -> float:
            c = c + split
            over, under = values[m].sum() / tokens[m].sum(), values[c].sum() / tokens[c].sum()
            return float(over / under)

        return estimate(statistic, (split, len(clean)), seed)

    return tuple(
        ActivationRatio(
            p.name,
            EIGEN_LABELS,
            {
                measure: tuple(ratio(sums[p.name][:, m, b]) for b in range(4))
                for m, measure in enumerate(MEASURES)
            },
        )
        for p in projections
    )


class _Activity:
    """Sums over positions of the three measures in the four bands of one basis."""

    def __init__(self, basis: Basis) -> None:
        self._u_a = basis.u_a
        self._slices = eigen_bands(len(basis.mu))
        per_column = share_bands(basis).per_column.astype(np.float64)
        self._weights_qb = torch.from_numpy(per_column / per_column.sum(1, keepdims=True)).T

    def sums(self, a_tq: Tensor) -> Floats:
        """float64 (3, 4): measures by bands."""
        a = (a_tq @ self._u_a.to(a_tq)).double().cpu()
        norms = torch.stack([a[:, some].norm(dim=1) for some in self._slices], 1)
        total = a.square().sum(1, keepdim=True)
        energy = torch.where(total > 0, norms.square() / total, 0.0)  # an input may be zero
        faithful = a.abs() @ self._weights_qb
        return torch.stack([norms.sum(0), faithful.sum(0), energy.sum(0)]).numpy()
