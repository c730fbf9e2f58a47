"""Figures of the Spectrum page over all projections, and over the two factors of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.manifest import StoredRecipe
from dashboard.figures.describe import numbers
from dashboard.figures.spectrum import (
    UNKNOWN,
    Spectra,
    by_curvature,
    in_order,
    sampled_rows,
    short,
    unit_of,
)
from dashboard.figures.words import digits, percent

SMALL_POINTS = 80  # of a small multiple


def relative(values: Iterable[float]) -> tuple[float, ...]:
    """Descending values over the first of them."""
    listed = [float(value) for value in values]
    return numbers(value / listed[0] for value in listed) if listed[0] > 0.0 else numbers(listed)


@dataclass(frozen=True)
class Small:
    """One small multiple: sorted products of a projection and its boundary at the tick."""

    key: str  # the projection's own name
    name: str  # as it is said
    layer: int
    kind: str
    ranks: tuple[float, ...]
    relative: tuple[float, ...]  # λᵢμⱼ over the largest of the projection
    largest: float | None  # None where its scale is unknown
    kept: int
    total: int
    cutoff: float  # over the largest, where that is unknown
    edited: bool


@dataclass(frozen=True)
class Multiples:
    """The spectra of all projections, small, on common axes."""

    id: str
    title: str
    smalls: tuple[Small, ...]
    viewed: str  # the projection in view
    how: str
    alt: str

    def table(self) -> pd.DataFrame:
        known = all(small.largest is not None for small in self.smalls)
        columns: dict[str, list[Any]] = {
            "projection": [small.name for small in self.smalls],
            "directions": [small.total for small in self.smalls],
            "kept": [small.kept for small in self.smalls],
            "share kept": [small.kept / small.total for small in self.smalls],
            "cut-off" if known else "cut-off / largest": [small.cutoff for small in self.smalls],
        }
        if known:
            columns["largest λᵢμⱼ"] = [small.largest for small in self.smalls]
        return pd.DataFrame(columns)


def multiples(
    study: Spectra, recipe: StoredRecipe, tick: int, viewed: str = "", limit: int = 12
) -> Multiples:
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
        kept = study.kept(recipe, name, recipe.ticks[tick]) if cuts else staircase.kept(1.0)
        said, unit = short(name), unit_of(study, name)
        layer, _, kind = said.removeprefix("layer ").partition(", ")
        smalls.append(
            Small(
                name,
                said,
                int(layer) if layer.isdigit() else 0,
                kind or said,
                tuple(float(r) for r in ranks),
                relative(products),
                digits(float(products[0])) if unit is None else None,
                int(kept.count),
                len(lam) * len(mu),
                float(kept.cutoff) / (unit or 1.0) if cuts else 0.0,
                edited,
            )
        )
    return Multiples(
        id="multiples",
        title="The same in every projection",
        smalls=tuple(smalls),
        viewed=viewed,
        how=(
            "Sorted curvatures of each projection over its own largest (projections differ in "
            "scale, and a mass is a share of each alone), on common log axes. The dashed line is "
            "where this mass cuts. Projections the edit does not touch carry none. Click a panel "
            "to bring its projection into view."
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
    a: tuple[float, ...]  # over the largest, as are those of G
    g_ranks: tuple[float, ...]
    g: tuple[float, ...]
    largest: tuple[float, float | None]  # None where the scale of G is unknown
    how: str
    alt: str

    def table(self) -> pd.DataFrame:
        rows = [
            (name, rank, value, None if largest is None else digits(value * largest))
            for name, ranks, values, largest in (
                ("A", self.a_ranks, self.a, self.largest[0]),
                ("G", self.g_ranks, self.g, self.largest[1]),
            )
            for rank, value in zip(ranks, values, strict=True)
        ]
        columns = ["factor", "rank", "eigenvalue / largest", "eigenvalue"]
        return pd.DataFrame(rows, columns=columns)


def eigenvalues(study: Spectra, name: str) -> Eigenvalues:
    """Eigenvalues of the input factor A and the gradient factor G of one projection."""
    lam, mu = study.spectra()[name]
    a_rows, g_rows = sampled_rows(len(mu), 120), sampled_rows(len(lam), 120)
    half_a, half_g = _half(mu), _half(lam)
    unknown = unit_of(study, name) is not None
    return Eigenvalues(
        id="eigenvalues",
        title=f"Eigenvalues of A and G, {short(name)}",
        a_ranks=tuple(map(float, a_rows)),
        a=relative(mu[row - 1] for row in a_rows),
        g_ranks=tuple(map(float, g_rows)),
        g=relative(lam[row - 1] for row in g_rows),
        largest=(digits(float(mu[0])), None if unknown else digits(float(lam[0]))),
        how=(
            "A is the second moment of the projection's inputs, G that of the loss gradients at "
            "its outputs, per counted position. Sorted, each over its largest, on log axes; a "
            "direction's curvature is one number from each, multiplied."
        )
        + (f" {UNKNOWN}" if unknown else ""),
        alt=(
            f"In {short(name)}, half of A's total lies in its first {half_a} of {len(mu)} "
            f"eigenvalues, half of G's in its first {half_g} of {len(lam)}."
        ),
    )


def _half(values: NDArray[np.float64]) -> int:
    total = float(values.sum())
    return int(np.searchsorted(np.cumsum(values), 0.5 * total)) + 1 if total > 0 else 0
