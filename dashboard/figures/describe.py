"""Figure descriptions: the one source that the live component and Plotly both draw from.

A description holds finished numbers (rounded once, here), names, units, and the sentences that
say what is seen. `payload()` is the JSON the component gets; `figures.plotly` draws the same
object; `table()` is what "show as table" prints. A test holds the three against each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from dashboard.figures.palette import Style, style
from dashboard.figures.words import NBSP, digits, setting

MAX_POINTS = 400  # a trace with more makes the browser stutter


def numbers(values: Iterable[float]) -> tuple[float, ...]:
    """Values as they are drawn: five significant digits."""
    return tuple(digits(float(value)) for value in values)


def _json(values: Sequence[float] | None) -> list[float | None] | None:
    """NaN is no JSON: a missing point becomes null, which both drawers leave open."""
    if values is None:
        return None
    return [value if math.isfinite(value) else None for value in values]


@dataclass(frozen=True)
class Axis:
    """The slider of one recipe: ticks equally spaced for the hand, unequal in their setting."""

    recipe: str
    label: str  # what the setting is: "curvature mass kept"
    settings: tuple[float, ...]
    chosen: int | None

    @property
    def count(self) -> int:
        return len(self.settings)

    def position(self, tick: int) -> float:
        """Where a tick lies on the slider, 0 (nothing cut) to 1."""
        return tick / max(self.count - 1, 1)

    def place(self, value: float) -> float | None:
        """Where a setting lies between two ticks (even in log of what is cut); for labels only."""
        for tick in range(1, self.count):
            high, low = self.settings[tick - 1], self.settings[tick]
            if low <= value <= high:
                if tick == 1 and value < high:  # the first step starts from nothing cut
                    return self.position(1) if math.isclose(value, low) else None
                steps = [math.log(max(1.0 - v, 1e-12)) for v in (high, value, low)]
                part = (steps[1] - steps[0]) / (steps[2] - steps[0])
                return self.position(tick - 1) + part * self.position(1)
        return None

    def marks(self) -> tuple[tuple[float, str], ...]:
        """Round settings worth a label, as (position, name), at least a twelfth apart."""
        picked = [(0.0, f"100{NBSP}%")]
        wanted = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.95, 0.995, 0.8, 0.98, 0.97, 0.7, 0.6, 0.3, 0.1)
        for value in wanted:
            at = self.place(value)
            if at is not None and all(abs(at - other) >= 1 / 12 for other, _ in picked):
                picked.append((at, f"{100.0 * value:g}{NBSP}%"))
        return tuple(sorted(picked))

    def payload(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe,
            "label": self.label,
            "count": self.count,
            "settings": list(self.settings),
            "names": [setting(value) for value in self.settings],
            "chosen": self.chosen,
            "marks": [{"at": at, "name": name} for at, name in self.marks()],
        }


def look_of(group: str, name: str) -> dict[str, str]:
    look: Style = style(group)
    return {
        "group": group,
        "name": name,
        "light": look.light,
        "dark": look.dark,
        "dash": look.dash,
        "mark": look.mark,
    }


@dataclass(frozen=True)
class Series:
    """One line: a value at every point, with an interval where there is one.

    `y`, `low` and `high` are as drawn; `raw` is what they were made of where that is another
    number (a rise of perplexity is drawn, a ratio of perplexities was measured).
    """

    key: str
    group: str
    name: str
    y: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    heavy: bool = False
    raw: tuple[float, ...] | None = None

    def payload(self) -> dict[str, Any]:
        return {
            "key": self.key,
            **look_of(self.group, self.name),
            "y": _json(self.y),
            "low": _json(self.low),
            "high": _json(self.high),
            "heavy": self.heavy,
        }


@dataclass(frozen=True)
class Panel:
    """Lines that share a y axis. `ticks` are (value, label) pairs; `log` for a log axis."""

    title: str
    unit: str
    span: tuple[float, float]
    ticks: tuple[tuple[float, str], ...]
    series: tuple[Series, ...]
    share: float = 1.0  # of the figure's height
    log: bool = False

    def payload(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "unit": self.unit,
            "span": list(self.span),
            "ticks": [{"value": value, "name": name} for value, name in self.ticks],
            "series": [line.payload() for line in self.series],
            "share": self.share,
            "log": self.log,
        }


@dataclass(frozen=True)
class Curves:
    """Values over the ticks of one slider: a point per tick, nothing in between is computed."""

    id: str
    title: str
    axis: Axis
    panels: tuple[Panel, ...]
    how: str  # how to read it
    alt: str  # the finding, as a sentence

    def payload(self) -> dict[str, Any]:
        return {
            "kind": "curves",
            "id": self.id,
            "title": self.title,
            "alt": self.alt,
            "panels": [panel.payload() for panel in self.panels],
        }

    def table(self) -> pd.DataFrame:
        columns: dict[str, Sequence[float]] = {self.axis.label: self.axis.settings}
        for panel in self.panels:
            for line in panel.series:
                columns[f"{line.name}, {panel.unit}"] = line.y if line.raw is None else line.raw
                if line.raw is None and line.low is not None and line.high is not None:
                    columns[f"{line.name}, low"] = line.low
                    columns[f"{line.name}, high"] = line.high
        return pd.DataFrame(columns)


@dataclass(frozen=True)
class Bar:
    """One ability over the ticks: what is left of it, with its interval."""

    group: str
    name: str
    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    raw: tuple[float, ...]  # plain accuracy, said beside the relative one
    paper: tuple[float, float] | None
    paper_name: str | None

    def payload(self) -> dict[str, Any]:
        return {
            **look_of(self.group, self.name),
            "value": _json(self.value),
            "low": _json(self.low),
            "high": _json(self.high),
            "raw": _json(self.raw),
            "paper": None if self.paper is None else list(self.paper),
        }


@dataclass(frozen=True)
class BarChart:
    """A bar each, that follows the thumb."""

    id: str
    title: str
    axis: Axis
    bars: tuple[Bar, ...]
    how: str
    alt: str

    def payload(self) -> dict[str, Any]:
        return {
            "kind": "bars",
            "id": self.id,
            "title": self.title,
            "alt": self.alt,
            "bars": [bar.payload() for bar in self.bars],
        }


@dataclass(frozen=True)
class Bars(BarChart):
    """The spectrum of abilities: edited over original, in the paper's order."""

    def table(self, tick: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "ability": [bar.name for bar in self.bars],
                "edited / original": [bar.value[tick] for bar in self.bars],
                "low": [bar.low[tick] for bar in self.bars],
                "high": [bar.high[tick] for bar in self.bars],
                "accuracy": [bar.raw[tick] for bar in self.bars],
                "paper, from": [bar.paper[0] if bar.paper else None for bar in self.bars],
                "paper, to": [bar.paper[1] if bar.paper else None for bar in self.bars],
            }
        )


@dataclass(frozen=True)
class Spectrum:
    """Sorted curvatures of one projection on log-log axes, with the boundary at every tick."""

    id: str
    title: str
    axis: Axis
    label: str  # of the products, which are over the largest where their scale is unknown
    ranks: tuple[float, ...]
    products: tuple[float, ...]
    floor: float  # the lower edge of the axis; what is flatter lies on it
    mass: tuple[float, ...]  # share of the curvature in the first so many pairs
    total: int
    kept: tuple[int, ...]  # pairs kept at every tick
    cutoff: tuple[float, ...]  # eigenvalue cut-off at every tick; 0 where nothing is cut
    how: str
    alt: str

    def payload(self) -> dict[str, Any]:
        return {
            "kind": "spectrum",
            "id": self.id,
            "title": self.title,
            "alt": self.alt,
            "label": self.label,
            "ranks": list(self.ranks),
            "products": list(self.products),
            "floor": self.floor,
            "mass": list(self.mass),
            "total": self.total,
            "kept": list(self.kept),
            "cutoff": list(self.cutoff),
        }

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "rank of the pair": self.ranks,
                self.label: self.products,
                "cumulative mass": self.mass,
            }
        )


@dataclass(frozen=True)
class Relief:
    """The λ×μ grid as a relief map: bands of equal curvature, and the kept set as a staircase.

    Row i (an eigenvector of G) keeps its first k_i columns (eigenvectors of A). `rows` are the
    sampled i, counted from 1; `levels` are (cut-off, k at those rows); `kept` the same per tick.
    """

    id: str
    title: str
    axis: Axis
    rows: tuple[int, ...]
    columns: int  # q
    height: int  # p
    levels: tuple[tuple[float, tuple[int, ...]], ...]
    kept: tuple[tuple[int, ...], ...]
    how: str
    alt: str
    colours: tuple[str, ...] = field(default=())

    def payload(self) -> dict[str, Any]:
        return {
            "kind": "relief",
            "id": self.id,
            "title": self.title,
            "alt": self.alt,
            "rows": list(self.rows),
            "columns": self.columns,
            "height": self.height,
            "levels": [{"cutoff": cutoff, "k": list(k)} for cutoff, k in self.levels],
            "kept": [list(k) for k in self.kept],
            "colours": list(self.colours),
        }

    def table(self, tick: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "direction i of G": self.rows,
                "directions of A kept": self.kept[tick],
                "of": [self.columns] * len(self.rows),
            }
        )
