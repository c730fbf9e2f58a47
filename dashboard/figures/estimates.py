"""Charts of estimates: lines over numbers, and rows of marks, each value with its interval.

Both are read from a study's documents, in which an infinite number (a ratio over nothing, an
interval without an upper end) is null. A log axis ends at the span of its scale: what is smaller,
zero or negative lies on the lower edge, what is larger on the upper; the table has the number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from core.curvature.verdicts import Verdict
from core.intervals import Estimate
from dashboard.figures.words import NBSP, digits

DEPTH = 1e-5  # of the largest value: what is smaller lies on the lower edge of a log axis
INTERVAL = "95 % interval"


def stored(raw: Mapping[str, Any]) -> Estimate:
    """An estimate as a document holds it, with five significant digits; null is infinite."""
    value, low, high = (
        math.inf if raw[name] is None else digits(float(raw[name]))
        for name in ("value", "low", "high")
    )
    return Estimate(value, low, high, int(raw["n"]))


def stored_verdict(raw: Mapping[str, Any]) -> Verdict:
    """A claim and what was measured of it; whether it holds follows from its interval."""
    least, most = raw["at_least"], raw["at_most"]
    return Verdict(
        str(raw["claim"]),
        stored(raw["measured"]),
        -math.inf if least is None else float(least),
        math.inf if most is None else float(most),
    )


@dataclass(frozen=True)
class Scale:
    """One axis: its title with the unit, from where to where it goes, and its named places."""

    title: str
    span: tuple[float, float]
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()

    def shown(self, value: float) -> float:
        """Where a value is drawn: within the span on a log axis, where it is otherwise."""
        return min(max(value, self.span[0]), self.span[1]) if self.log else value


def log_scale(title: str, estimates: Iterable[Estimate], *more: float) -> Scale:
    """A log axis that shows every positive value, and the places in `more`."""
    known = list(estimates)
    values = [v for e in known for v in (e.low, e.value, e.high) if 0.0 < v < math.inf]
    values += [v for v in more if 0.0 < v < math.inf]
    if not values:
        return Scale(title, (0.1, 10.0), log=True)
    centres = [e.value for e in known if e.value > 0.0] + [*more]
    high = 1.25 * max(values)
    return Scale(title, (max(0.6 * min([*centres, high]), DEPTH * high), high), log=True)


@dataclass(frozen=True)
class Line:
    """One series: an estimate at every x. `band` draws its intervals as a band, not as whiskers.

    A `quiet` line is thin and without its intervals, which the table has.
    """

    key: str
    group: str  # its look in the palette
    name: str
    x: tuple[float, ...]
    y: tuple[Estimate, ...]
    band: bool = False
    place: float | None = None  # along Cividis, 0 to 1, for lines that stand in an order
    quiet: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines that share a y axis. `guide` is a thin dashed line to compare with, by its name."""

    y: Scale
    lines: tuple[Line, ...]
    share: float = 1.0  # of the figure's height
    guide: tuple[str, tuple[float, ...], tuple[float, ...]] | None = None


@dataclass(frozen=True)
class Lines:
    """Panels above each other over one x axis; `marked` is the x in view, `cut` the boundary's."""

    id: str
    title: str
    x: Scale
    panels: tuple[Panel, ...]
    how: str
    alt: str
    marked: float | None = None
    cut: float | None = None

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "measure": panel.y.title,
                    "of": line.name,
                    self.x.title: x,
                    "value": e.value,
                    "low": e.low,
                    "high": e.high,
                }
                for panel in self.panels
                for line in panel.lines
                for x, e in zip(line.x, line.y, strict=True)
            ]
        )


@dataclass(frozen=True)
class Mark:
    """One value in a row."""

    group: str
    name: str
    value: Estimate


@dataclass(frozen=True)
class Row:
    """A row of marks. Without a mark it is a heading. `claim` is the span a claim allows."""

    label: str
    marks: tuple[Mark, ...] = ()
    claim: tuple[float, float] | None = None
    judged: str = ""
    marked: bool = False


@dataclass(frozen=True)
class Forest:
    """Estimates in rows, one below the other; `guides` are vertical lines with their names."""

    id: str
    title: str
    x: Scale
    rows: tuple[Row, ...]
    how: str
    alt: str
    guides: tuple[tuple[float, str], ...] = ()

    def table(self) -> pd.DataFrame:
        found, heading = [], ""
        for row in self.rows:
            heading = heading if row.marks else row.label
            for mark in row.marks:
                entry: dict[str, object] = {
                    "of": f"{heading}, {row.label}" if heading else row.label
                }
                entry |= {"measure": mark.name, self.x.title: mark.value.value}
                entry |= {"low": mark.value.low, "high": mark.value.high}
                found.append(entry | ({"claim": row.judged} if row.judged else {}))
        return pd.DataFrame(found)


# -- words -----------------------------------------------------------------------------------------


def judged(verdict: Verdict) -> str:
    """What the interval says of a claim, in a word."""
    return {True: "holds", False: "fails", None: "is undecided"}[verdict.holds]


def ticked(verdict: Verdict) -> str:
    """The same with a sign, for a chart."""
    return {True: "✓ holds", False: "✗ fails", None: "? undecided"}[verdict.holds]


def plain(value: float) -> str:
    """A number in a sentence, three digits at most."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if 0.0 < size < 0.0005:
        exponent = math.floor(math.log10(size))
        raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        said = f"{value / 10.0**exponent:.1f}{NBSP}×{NBSP}10{raised}"
    elif size >= 100:
        said = f"{value:,.0f}"
    else:
        said = f"{value:.2g}"
    return said.replace("-", "−")


def times(estimate: Estimate) -> str:
    """A finite ratio with its interval: "22× (95 % interval 15× to 30×)"."""
    low, high = plain(estimate.low), plain(estimate.high)
    return f"{plain(estimate.value)}× ({INTERVAL} {low}× to {high}×)"


def multiple(estimate: Estimate, of: str) -> str:
    """A ratio with its interval and what it is a multiple of, which may be nothing at all."""
    if math.isfinite(estimate.value):
        return f"{times(estimate)} {of}"
    least = f" ({INTERVAL} from {plain(estimate.low)}×)" if math.isfinite(estimate.low) else ""
    return f"beyond any multiple of {of}, which is not positive{least}"


def counted(verdicts: Sequence[Verdict]) -> str:
    """How many of several claims hold: "2 of 9 hold, 3 fail, 4 are undecided"."""
    results = [verdict.holds for verdict in verdicts]
    hold, fail, open_ = (sum(r is wanted for r in results) for wanted in (True, False, None))
    return (
        f"{hold} of {len(results)} {'holds' if hold == 1 else 'hold'}, "
        f"{fail} {'fails' if fail == 1 else 'fail'}, "
        f"{open_} {'is' if open_ == 1 else 'are'} undecided"
    )
