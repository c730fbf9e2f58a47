"""Maps of curvature over all pairs (i, j), example by example, from one backward pass a draw.

With g̃_t = U_Gᵀ g_t and ã_t = U_Aᵀ a_t (rows of `core.curvature.examples`),

    sequence   (Σ_t g̃_ti ã_tj)² / T_x      the squared slope of x's loss along u_i v_jᵀ
    token      Σ_t g̃_ti² ã_tj² / T_x       without the terms between positions; what Π averages

With sampled labels the mean of *sequence* over draws is the Fisher, hence GGN, curvature of x per
counted token: labels of different positions are drawn independently and each has a mean gradient of
zero, so the expected square of the sum is the sum of the expected squares. Gold labels estimate
neither. A confident token has a tiny gradient, so beside a map's sums stand its *shares*.

Cost: an example and draw T_x·(p² + q²) multiplications to turn the rows, T_x·p·q for the map. Of
many examples only sums over bands are kept.

Source: Martens & Grosse 2015; George et al. 2018 (EK-FAC, arXiv 1806.03884) for the second moments
in the eigenbasis; Merullo et al. 2025, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.basis import Basis
from core.curvature.bands import Bands, basis_of
from core.curvature.examples import Example, Examples, Progress, example_rows
from core.errors import HillshadeError
from core.images import Image
from core.labels import Labels
from core.projection import Projection

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kind = Literal["sequence", "token"]

DRAWS = 8


@dataclass(frozen=True, eq=False)
class BandCurvature:
    """How much curvature n examples have in each of b bands of one projection.

    labels   the bands
    draws    float64 (n, d, b): the sum of the map over each band, per counted token, for each draw
    """

    labels: tuple[str, ...]
    draws: Floats

    @property
    def sums(self) -> Floats:
        """Mean over draws, (n, b); an unbiased estimate for sampled labels."""
        return self.draws.mean(1)

    @property
    def error(self) -> Floats:
        """Standard error of ``sums`` from the spread of the draws, (n, b); NaN for one draw."""
        d = self.draws.shape[1]
        if d == 1:
            return np.full_like(self.sums, np.nan)
        return self.draws.std(1, ddof=1) / np.sqrt(d)

    @property
    def shares(self) -> Floats:
        """Each band's share of the example's whole curvature, (n, b); NaN where it has none."""
        sums = self.sums
        with np.errstate(invalid="ignore"):
            return sums / sums.sum(1, keepdims=True)


def pair_map(g_tp: Tensor, a_tq: Tensor, kind: Kind) -> Tensor:
    """(Σ_t g_ti a_tj)² or Σ_t g_ti² a_tj² of rows that lie in the eigenbasis: p × q."""
    if kind == "sequence":
        return (g_tp.T @ a_tq).square_()
    return g_tp.square().T @ a_tq.square()


def example_map(
    model: nn.Module,
    basis: Basis,
    projection: Projection,
    example: Example | Image,
    *,
    kind: Kind = "sequence",
    labels: Labels = "sampled",
    seed: int = 0,
    draws: int = DRAWS,
    progress: Progress | None = None,
) -> Tensor:
    """The whole map of one example, p × q, per counted token, averaged over draws.

    Gold labels need ``draws=1``. `progress(done, total)` counts draws and may raise to cancel.
    Errors as `band_curvature`.
    """
    _require(kind)
    rotate = _Rotation({projection.name: basis})
    total: Tensor | None = None
    for rows in example_rows(
        model,
        [projection],
        [example],
        labels=labels,
        seed=seed,
        draws=draws,
        rotate=rotate,
        progress=progress,
    ):
        here = pair_map(rows.g[projection.name], rows.a[projection.name], kind)
        total = here if total is None else total.add_(here)
    assert total is not None
    return total.div_(draws * example.tokens).cpu()


def band_curvature(
    model: nn.Module,
    bases: Mapping[str, Basis],
    projections: Sequence[Projection],
    examples: Examples,
    bands: Mapping[str, Bands],
    *,
    kind: Kind = "sequence",
    labels: Labels = "sampled",
    seed: int = 0,
    draws: int = DRAWS,
    progress: Progress | None = None,
) -> dict[str, BandCurvature]:
    """Sums over bands of the maps of many examples, by projection; no map outlives its example.

    Gold labels need ``draws=1``. `progress(done, total)` counts examples times draws and may raise
    to cancel. Raises HillshadeError for an unknown kind, unusable texts, or a projection without
    basis.
    """
    _require(kind)
    rotate = _Rotation({projection.name: basis_of(bases, projection) for projection in projections})
    device = next(model.parameters()).device
    grids = {p.name: torch.from_numpy(bands[p.name].grid).to(device) for p in projections}
    found = {
        p.name: np.zeros((len(examples), draws, len(bands[p.name].labels))) for p in projections
    }
    for rows in example_rows(
        model,
        projections,
        examples,
        labels=labels,
        seed=seed,
        draws=draws,
        rotate=rotate,
        progress=progress,
    ):
        for name, out in found.items():
            sums = _over_bands(
                pair_map(rows.g[name], rows.a[name], kind), grids[name], out.shape[2]
            )
            out[rows.number, rows.draw] = sums / examples[rows.number].tokens
    return {name: BandCurvature(bands[name].labels, out) for name, out in found.items()}


def in_cells(map_pq: Tensor, most: int = 64) -> tuple[Floats, Ints, Ints]:
    """A map as sums over cells: at most `most` × `most`, between log-spaced ranks of λ and of μ.

    Returns the sums, float64 (r, c), and for rows and for columns the last rank of each cell; the
    sums add up to the map's own. Each cell holds a rank at least, so there are no more than p or q.
    """
    ends = [
        np.unique([*np.geomspace(1, size, most)[:-1].round().astype(np.int64), size])
        for size in map_pq.shape
    ]
    rows, columns = (np.concatenate([[0], end[:-1]]) for end in ends)
    whole = map_pq.double().cpu().numpy()
    sums = np.add.reduceat(np.add.reduceat(whole, rows, axis=0), columns, axis=1)
    return sums, ends[0], ends[1]


class _Rotation:
    """Turns rows into the eigenbasis: g̃ = U_Gᵀ g, ã = U_Aᵀ a."""

    def __init__(self, bases: Mapping[str, Basis]) -> None:
        self._bases = bases

    def __call__(self, name: str, a_nq: Tensor, g_np: Tensor) -> tuple[Tensor, Tensor]:
        basis = self._bases[name]
        return a_nq @ basis.u_a.to(a_nq), g_np @ basis.u_g.to(g_np)


def _over_bands(map_pq: Tensor, grid_pq: Tensor, count: int) -> Floats:
    """Σ of the map over each band: within a row in the map's dtype, over rows in float64."""
    sums_pb = map_pq.new_zeros(len(map_pq), count).scatter_add_(1, grid_pq, map_pq)
    return sums_pb.double().sum(0).cpu().numpy()


def _require(kind: str) -> None:
    if kind not in ("sequence", "token"):
        raise HillshadeError(f"A map of kind {kind!r} is unknown; choose 'sequence' or 'token'.")
