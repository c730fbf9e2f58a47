"""The figures of the Spectrum page, as descriptions.

Everything exact (mass, cut-off, count, staircase) is asked of `core.basis.Staircase`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.basis import KeptSet, Staircase
from core.manifest import Manifest, StoredRecipe
from dashboard.figures.describe import MAX_POINTS, Relief, Spectrum, numbers
from dashboard.figures.measured import axis_of
from dashboard.figures.palette import CIVIDIS
from dashboard.figures.words import count, digits, percent, scientific, setting

POINTS = 120  # of a sorted spectrum
ROWS = 64  # sampled rows of the staircase
DEPTH = 1e-7  # of the largest curvature: what is flatter is not told apart
UNKNOWN = (
    "The scale of these factors is unknown (another tool's G carries a factor that is stored "
    "nowhere), so curvatures are told in units of the largest of the projection; counts, shares of "
    "mass and edits do not depend on it."
)


class Spectra(Protocol):
    """What these figures need of a study."""

    manifest: Manifest

    def spectra(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]: ...
    def staircase(self, name: str) -> Staircase: ...
    def kept(self, recipe: StoredRecipe, name: str, setting: float) -> KeptSet: ...


@dataclass(frozen=True)
class Boundary:
    """Where every tick of a recipe cuts one projection; cut-offs over `unit` (`unit_of`)."""

    kept: tuple[int, ...]
    cutoff: tuple[float, ...]
    rows: tuple[tuple[int, ...], ...]
    unit: float | None

    def flatter_than(self, tick: int) -> str:
        """The cut-off of one tick, as a sentence says it."""
        return scientific(self.cutoff[tick]) + ("" if self.unit is None else " of the largest")


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


def unit_of(study: Spectra, name: str) -> float | None:
    """The largest λᵢμⱼ of a projection where curvatures have no other unit, else None."""
    if study.manifest.scale == "summed":
        return None
    lam, mu = study.spectra()[name]
    return float(lam[0] * mu[0]) or 1.0


def sampled_rows(height: int, wanted: int = ROWS) -> tuple[int, ...]:
    """Row numbers from 1 to p, equally spaced on a log axis."""
    return tuple(int(r) for r in np.unique(np.geomspace(1, height, wanted).round().astype(int)))


def boundary(kept: Sequence[KeptSet], rows: Sequence[int], unit: float | None = None) -> Boundary:
    """Kept pairs, cut-off and staircase of one projection at every tick."""
    return Boundary(
        tuple(int(s.count) for s in kept),
        tuple(float(s.cutoff) / (unit or 1.0) if s.count else 0.0 for s in kept),
        tuple(tuple(int(s.k[row - 1]) for row in rows) for s in kept),
        unit,
    )


def cuts(recipe: StoredRecipe, name: str) -> bool:
    """Whether a recipe's setting is a boundary in the spectrum of this projection."""
    return by_curvature(recipe) and name in recipe.projections


def edge(study: Spectra, recipe: StoredRecipe, name: str) -> Boundary:
    """The boundary of a recipe in one projection, at every tick."""
    lam, _ = study.spectra()[name]
    if cuts(recipe, name):
        kept = [study.kept(recipe, name, value) for value in recipe.ticks]
    else:  # every direction stays
        kept = [study.staircase(name).kept(1.0)] * len(recipe.ticks)
    return boundary(kept, sampled_rows(len(lam)), unit_of(study, name))


def spectrum(
    study: Spectra, recipe: StoredRecipe, name: str, tick: int, edge: Boundary
) -> Spectrum:
    """Sorted products of one projection and their cumulative mass, with the boundary."""
    lam, mu = study.spectra()[name]
    staircase = study.staircase(name)
    ranks, products = staircase.spectrum(min(POINTS, MAX_POINTS))
    products = products / (edge.unit or 1.0)
    mass = [float(staircase.at_count(int(rank)).mass) for rank in ranks]
    total = len(lam) * len(mu)
    return Spectrum(
        id="spectrum",
        title=f"Curvature of every direction, {short(name)}",
        axis=axis_of(recipe),
        label="curvature λᵢμⱼ" if edge.unit is None else "λᵢμⱼ / largest",
        ranks=tuple(float(rank) for rank in ranks),
        products=numbers(products),
        floor=floor_of(products),
        mass=numbers(mass),
        total=total,
        kept=edge.kept,
        cutoff=edge.cutoff,
        how=(
            "Every pair of an eigenvector of G and one of A is a direction of the weight matrix; "
            "λᵢμⱼ is its curvature. Sorted, on log axes: a few directions are steep, most are "
            "flat. Left of the dashed line is kept, right of it is cut. Below: the share of all "
            "curvature in the directions up to each rank."
        )
        + ("" if edge.unit is None else f" {UNKNOWN}"),
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
        f"curvature below {edge.flatter_than(tick)} are cut."
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
            f"flatter than {edge.flatter_than(tick)}."
        )
        said.append((head, rest))
    return said


def floor_of(products: Iterable[float]) -> float:
    """Where an axis of curvature ends below: at the smallest product, or DEPTH under the largest.

    Factors of few rank have products of rounding alone; an axis down to them would show nothing
    else.
    """
    positive = [float(value) for value in products if value > 0.0]
    return digits(max(min(positive), DEPTH * max(positive))) if positive else 1.0


def _levels(staircase: Staircase, wanted: int) -> list[float]:
    """The curvatures at ranks spaced evenly on a log scale, steep first."""
    ranks = np.geomspace(1, staircase.pairs, wanted + 2)[1:-1]
    cutoffs = [float(staircase.at_count(round(rank)).cutoff) for rank in ranks]
    return [cutoff for cutoff in dict.fromkeys(cutoffs) if cutoff > 0.0]
