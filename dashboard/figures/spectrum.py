"""The figures of the Spectrum page, as descriptions.

Everything exact (mass, cut-off, count, staircase) is asked of `core.basis.Staircase`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.basis import Staircase
from core.manifest import StoredRecipe
from dashboard.figures.describe import MAX_POINTS, Relief, Spectrum, numbers
from dashboard.figures.measured import axis_of
from dashboard.figures.palette import CIVIDIS
from dashboard.figures.words import count, percent, scientific, setting

POINTS = 120  # of a sorted spectrum
ROWS = 64  # sampled rows of the staircase
SMALL_POINTS = 80  # of a small multiple


class Spectra(Protocol):
    """What these figures need of a study."""

    def spectra(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]: ...
    def staircase(self, name: str) -> Staircase: ...


@dataclass(frozen=True)
class Boundary:
    """Where every tick of a recipe cuts one projection."""

    kept: tuple[int, ...]
    cutoff: tuple[float, ...]
    rows: tuple[tuple[int, ...], ...]


def short(name: str) -> str:
    """A projection's module path as a person says it: "layer 2, gate"."""
    parts = name.split(".")
    layer = next((part for part in parts if part.isdigit()), None)
    kind = parts[-1].removesuffix("_proj")
    return f"layer {layer}, {kind}" if layer is not None else name


def in_order(names: Iterable[str]) -> list[str]:
    """Projections by layer, then gate, up, down (then by name)."""
    kinds = ("gate", "up", "down")

    def place(name: str) -> tuple[int, int, str]:
        layer, _, kind = short(name).removeprefix("layer ").partition(", ")
        return (
            int(layer) if layer.isdigit() else -1,
            kinds.index(kind) if kind in kinds else len(kinds),
            name,
        )

    return sorted(names, key=place)


def by_curvature(recipe: StoredRecipe) -> bool:
    """Whether a recipe's setting is a boundary in the curvature spectrum."""
    return recipe.method == "kfac"


def sampled_rows(height: int, wanted: int = ROWS) -> tuple[int, ...]:
    """Row numbers from 1 to p, equally spaced on a log axis."""
    return tuple(int(r) for r in np.unique(np.geomspace(1, height, wanted).round().astype(int)))


def boundary(staircase: Staircase, ticks: Sequence[float], rows: Sequence[int]) -> Boundary:
    """Kept pairs, cut-off and staircase of one projection at every tick."""
    kept = [staircase.kept(value) for value in ticks]
    return Boundary(
        tuple(int(s.count) for s in kept),
        tuple(float(s.cutoff) if s.count else 0.0 for s in kept),
        tuple(tuple(int(s.k[row - 1]) for row in rows) for s in kept),
    )


def spectrum(
    study: Spectra, recipe: StoredRecipe, name: str, tick: int, edge: Boundary
) -> Spectrum:
    """Sorted products of one projection and their cumulative mass, with the boundary."""
    lam, mu = study.spectra()[name]
    staircase = study.staircase(name)
    ranks, products = staircase.spectrum(min(POINTS, MAX_POINTS))
    mass = [float(staircase.at_count(int(rank)).mass) for rank in ranks]
    total = len(lam) * len(mu)
    return Spectrum(
        id="spectrum",
        title=f"Curvature of every direction, {short(name)}",
        axis=axis_of(recipe),
        ranks=tuple(float(rank) for rank in ranks),
        products=numbers(products),
        mass=numbers(mass),
        total=total,
        kept=edge.kept,
        cutoff=edge.cutoff,
        how=(
            "Every pair of an eigenvector of G and one of A is a direction of the weight matrix; "
            "λᵢμⱼ is its curvature. Sorted, on log axes: a few directions are steep, most are "
            "flat. Left of the dashed line is kept, right of it is cut. Below: the share of all "
            "curvature in the directions up to each rank."
        ),
        alt=spectrum_alt(recipe, tick, edge, total, name),
    )


def spectrum_alt(recipe: StoredRecipe, tick: int, edge: Boundary, total: int, name: str) -> str:
    """What the boundary of one tick says, as a sentence."""
    if tick == 0:
        return f"Nothing is cut: all {count(total)} directions of {short(name)} are kept."
    share = percent(edge.kept[tick] / total)
    return (
        f"{setting(recipe.ticks[tick])} of the curvature of {short(name)} lies in the steepest "
        f"{share} of its directions ({count(edge.kept[tick])} of {count(total)}); all with a "
        f"curvature below {scientific(edge.cutoff[tick])} are cut."
    )


def relief(study: Spectra, recipe: StoredRecipe, name: str, tick: int, edge: Boundary) -> Relief:
    """The λ×μ grid: bands of equal curvature, and the kept set as a staircase."""
    lam, mu = study.spectra()[name]
    staircase = study.staircase(name)
    rows = sampled_rows(len(lam))
    levels = []
    for cutoff in _levels(staircase, len(CIVIDIS) - 1):
        k = staircase.at_cutoff(cutoff).k
        levels.append((cutoff, tuple(int(k[row - 1]) for row in rows)))
    return Relief(
        id="relief",
        title=f"The grid of directions, {short(name)}",
        axis=axis_of(recipe),
        rows=rows,
        columns=len(mu),
        height=len(lam),
        levels=tuple(levels),
        kept=edge.rows,
        how=(
            "Each point is a direction: j along the eigenvectors of A (inputs), i along those of "
            "G (gradients), steepest at the lower left. Bands join equal curvature λᵢμⱼ like "
            "contour lines on a map, brighter is steeper. The outlined staircase is what is kept: "
            "row i keeps its first columns, and never more than the row before."
        ),
        alt=relief_alt(recipe, tick, edge, len(mu), name),
        colours=CIVIDIS,
    )


def relief_alt(recipe: StoredRecipe, tick: int, edge: Boundary, columns: int, name: str) -> str:
    """What the staircase of one tick says, as a sentence."""
    rows = edge.rows[tick]
    touched = percent(sum(k > 0 for k in rows) / len(rows))
    return (
        f"At {setting(recipe.ticks[tick])} the kept set of {short(name)} is a staircase: row 1 "
        f"keeps {count(rows[0])} of {count(columns)} columns, and {touched} of the sampled rows "
        "keep any."
    )


def findings(recipe: StoredRecipe, edge: Boundary, total: int, name: str) -> list[tuple[str, str]]:
    """Headline and line under it for every tick."""
    said = []
    for tick, kept in enumerate(edge.kept):
        if kept >= total:
            head = f"Nothing is cut: all {count(total)} directions of {short(name)} are kept."
            said.append((head, "Move the slider: the flattest directions go first."))
            continue
        head = (
            f"{percent(kept / total)} of the directions hold {setting(recipe.ticks[tick])} "
            "of the curvature."
        )
        rest = (
            f"In {short(name)}, the other {count(total - kept)} of {count(total)} are cut: each is "
            f"flatter than {scientific(edge.cutoff[tick])}."
        )
        said.append((head, rest))
    return said


def _levels(staircase: Staircase, wanted: int) -> list[float]:
    """Cut-offs that part the sorted products evenly in log rank, steep first."""
    _, products = staircase.spectrum(MAX_POINTS)
    positive = [float(value) for value in products if value > 0.0]
    if not positive:
        return []
    high, low = np.log10(positive[0]), np.log10(positive[-1])
    steps = np.linspace(high, low, wanted + 2)[1:-1]
    return [float(10.0**step) for step in steps]


@dataclass(frozen=True)
class Small:
    """One small multiple: sorted products of a projection and its boundary at the tick."""

    name: str
    layer: int
    kind: str
    ranks: tuple[float, ...]
    products: tuple[float, ...]
    kept: int
    total: int
    cutoff: float
    edited: bool


@dataclass(frozen=True)
class Multiples:
    """The spectra of all projections, small, on common axes."""

    id: str
    title: str
    smalls: tuple[Small, ...]
    how: str
    alt: str

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "projection": [small.name for small in self.smalls],
                "directions": [small.total for small in self.smalls],
                "kept": [small.kept for small in self.smalls],
                "share kept": [small.kept / small.total for small in self.smalls],
                "cut-off": [small.cutoff for small in self.smalls],
                "largest λᵢμⱼ": [small.products[0] for small in self.smalls],
            }
        )


def multiples(study: Spectra, recipe: StoredRecipe, tick: int, limit: int = 12) -> Multiples:
    """Small multiples over layers: the edited projections first, then their neighbours."""
    names = in_order(study.spectra())
    chosen = [n for n in names if n in recipe.projections][:limit]
    chosen += [n for n in names if n not in recipe.projections][: limit - len(chosen)]
    smalls = []
    for name in sorted(chosen, key=names.index):
        staircase = study.staircase(name)
        ranks, products = staircase.spectrum(SMALL_POINTS)
        lam, mu = study.spectra()[name]
        edited = name in recipe.projections
        cuts = edited and by_curvature(recipe)
        kept = staircase.kept(recipe.ticks[tick] if cuts else 1.0)
        said = short(name)
        layer, _, kind = said.removeprefix("layer ").partition(", ")
        smalls.append(
            Small(
                said,
                int(layer) if layer.isdigit() else 0,
                kind or said,
                tuple(float(r) for r in ranks),
                numbers(products),
                int(kept.count),
                len(lam) * len(mu),
                float(kept.cutoff) if cuts else 0.0,
                edited,
            )
        )
    return Multiples(
        id="multiples",
        title="The same in every projection",
        smalls=tuple(smalls),
        how=(
            "Sorted curvatures of each projection on the same log axes; the dashed line is where "
            "this mass cuts it. Projections the edit does not touch carry no line."
        ),
        alt=_multiples_alt(smalls),
    )


def _multiples_alt(smalls: Sequence[Small]) -> str:
    cut = [small for small in smalls if small.edited]
    if not cut:
        return "None of the projections shown is edited by this recipe."
    most = max(cut, key=lambda small: small.kept / small.total)
    least = min(cut, key=lambda small: small.kept / small.total)
    return (
        f"The same mass keeps {percent(least.kept / least.total)} of the directions of "
        f"{least.name} and {percent(most.kept / most.total)} of those of {most.name}."
    )


@dataclass(frozen=True)
class Eigenvalues:
    """The eigenvalues of A and of G, each sorted."""

    id: str
    title: str
    a_ranks: tuple[float, ...]
    a: tuple[float, ...]
    g_ranks: tuple[float, ...]
    g: tuple[float, ...]
    how: str
    alt: str

    def table(self) -> pd.DataFrame:
        rows = [("A", rank, value) for rank, value in zip(self.a_ranks, self.a, strict=True)]
        rows += [("G", rank, value) for rank, value in zip(self.g_ranks, self.g, strict=True)]
        return pd.DataFrame(rows, columns=["factor", "rank", "eigenvalue"])


def eigenvalues(study: Spectra, name: str) -> Eigenvalues:
    """Eigenvalues of the input factor A and the gradient factor G of one projection."""
    lam, mu = study.spectra()[name]
    a_rows, g_rows = sampled_rows(len(mu), 120), sampled_rows(len(lam), 120)
    half_a, half_g = _half(mu), _half(lam)
    return Eigenvalues(
        id="eigenvalues",
        title=f"Eigenvalues of A and G, {short(name)}",
        a_ranks=tuple(map(float, a_rows)),
        a=numbers(mu[row - 1] for row in a_rows),
        g_ranks=tuple(map(float, g_rows)),
        g=numbers(lam[row - 1] for row in g_rows),
        how=(
            "A is the second moment of the projection's inputs, G that of the loss gradients at "
            "its outputs, per counted position. Sorted, on log axes; a direction's curvature is "
            "one number from each, multiplied."
        ),
        alt=(
            f"In {short(name)}, half of A's total lies in its first {half_a} of {len(mu)} "
            f"eigenvalues, half of G's in its first {half_g} of {len(lam)}."
        ),
    )


def _half(values: NDArray[np.float64]) -> int:
    total = float(values.sum())
    return int(np.searchsorted(np.cumsum(values), 0.5 * total)) + 1 if total > 0 else 0
