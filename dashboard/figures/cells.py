"""One text's map over all pairs (i, j) of a projection, computed from a page, as descriptions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.intervals import Estimate
from dashboard.figures.bands import density_scale, rank_scale, share_scale
from dashboard.figures.estimates import Line, Lines, Panel, plain
from dashboard.figures.portraits import Portraits
from dashboard.figures.spectrum import short
from dashboard.figures.words import count, digits, percent

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mapped:
    """What was computed of one text in one projection.

    name     what it is of, in words: "your text (23 counted tokens)"
    cells    the map as sums over cells (r, c), and the last rank of λ and of μ in each
    sums     the same summed over bands of the sorted pairs (b,), and the last rank of each band
    """

    name: str
    study: str  # its key
    projection: str
    draws: int
    cells: Floats
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    sums: Floats
    ranks: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Cells:
    """Coloured cells on log axes; rows and columns are their edges, (r + 1,) and (c + 1,)."""

    id: str
    title: str
    colour: str
    log: bool
    rows: tuple[float, ...]
    columns: tuple[float, ...]
    values: Floats
    how: str
    alt: str

    def table(self) -> pd.DataFrame:
        names = [f"μ to rank {count(edge - 0.5)}" for edge in self.columns[1:]]
        frame = pd.DataFrame(self.values, columns=names).map(digits)
        frame.insert(0, "λ to rank", [int(edge - 0.5) for edge in self.rows[1:]])
        return frame


def cells(mapped: Mapped) -> Cells:
    """The map: how much of the text's curvature lies in each cell."""
    total = float(mapped.cells.sum())
    p, q = mapped.rows[-1], mapped.columns[-1]
    r, c = mapped.cells.shape
    return Cells(
        id="map",
        title=f"The map of {mapped.name}",
        colour="curvature in the cell",
        log=True,
        rows=_edges(mapped.rows),
        columns=_edges(mapped.columns),
        values=mapped.cells,
        how=(
            f"All {count(p)} × {count(q)} directions u_i v_jᵀ of {short(mapped.projection)}, "
            f"summed into {r} × {c} cells between log-spaced ranks: top left is steep in both "
            "factors. (Σ_t g̃_ti ã_tj)² per counted token, the mean of "
            f"{mapped.draws} draws of the labels; colours are logarithmic."
        ),
        alt=_cells_alt(mapped, total),
    )


def _edges(ends: tuple[int, ...]) -> tuple[float, ...]:
    return (0.5, *(end + 0.5 for end in ends))


def _cells_alt(mapped: Mapped, total: float) -> str:
    if total <= 0.0:
        return f"{_capital(mapped.name)} has no curvature at all in {short(mapped.projection)}."
    return (
        f"In {short(mapped.projection)}, {mapped.name} has a curvature of {plain(total)} in all. "
        f"Half of it lies in the {_half(mapped.cells.sum(1), mapped.rows)} of "
        f"{count(mapped.rows[-1])} gradient directions and in the "
        f"{_half(mapped.cells.sum(0), mapped.columns)} of {count(mapped.columns[-1])} input "
        "directions."
    )


def _half(sums: Floats, ends: tuple[int, ...]) -> str:
    """How many of the steepest directions hold half, to the next edge of a cell."""
    place = int(np.searchsorted(np.cumsum(sums), 0.5 * sums.sum()))
    return f"steepest {count(ends[place])}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def beside(mapped: Mapped, found: Portraits | None, pin: str | None) -> Lines:
    """Its curve over the bands, beside that of the pinned example where it has the same bands."""
    density = [_line(mapped, "density", _capital(mapped.name), mapped.sums / _counts(mapped))]
    share = [_line(mapped, "share", _capital(mapped.name), mapped.sums / mapped.sums.sum())]
    said = (
        f"In the steepest {count(mapped.ranks[0])} directions it has {percent(share[0].y[0].value)}"
    )
    if found is not None and pin is not None:
        number = found.ids.index(pin)
        name = f"A: {found.subjects[number].kind.partition(',')[0].lower()}"
        for lines, values in ((density, found.densities), (share, found.shares)):
            y = tuple(_exact(value, found.draws) for value in values[number].tolist())
            lines.append(Line(f"{lines[0].key} A", "pin A", name, found.centres, y))
        flat = float(mapped.sums[found.steep :].sum() / mapped.sums.sum())
        said = (
            f"{_capital(mapped.name)} has {percent(flat)} of its curvature {found.beyond}, A has "
            f"{percent(float(found.flat[number]))}"
        )
    return Lines(
        id="beside",
        title="The same, over the sorted directions" + (", beside A" if pin else ""),
        x=rank_scale(mapped.ranks),
        panels=(
            Panel(density_scale(density), tuple(density), 1.0),
            Panel(share_scale(share), tuple(share), 0.7),
        ),
        how=(
            "The whole map summed over twelve bands of directions sorted by λᵢμⱼ, as in the charts "
            "above: per direction of the band, and as a share of the text's own total."
        ),
        alt=f"{said}.",
    )


def _counts(mapped: Mapped) -> Floats:
    return np.diff(np.array([0, *mapped.ranks], dtype=np.float64))


def _line(mapped: Mapped, key: str, name: str, values: Floats) -> Line:
    edges = np.array(_edges(mapped.ranks))
    middle = tuple(np.sqrt(edges[:-1] * edges[1:]).tolist())
    y = tuple(_exact(value, mapped.draws) for value in values.tolist())
    return Line(key, "own text", name, middle, y)


def _exact(value: float, draws: int) -> Estimate:
    """A mean of draws that is shown without its spread."""
    shown = digits(value)
    return Estimate(shown, shown, shown, draws)
