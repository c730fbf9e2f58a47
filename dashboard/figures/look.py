"""The common look of every Plotly figure: quiet axes, our type, light and dark alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.figures.describe import Axis
from dashboard.figures.palette import INK, Style, Theme
from dashboard.figures.words import setting

FONT = '"Source Sans", "Source Sans Pro", system-ui, sans-serif'
BOUNDARY_DASH = "6px,4px"  # the kept/cut boundary, the same in every figure
TEMPLATE = {"data": {"scatter": [{"type": "scatter"}]}}  # what Plotly calls "none", written out
CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    "responsive": True,
    "scrollZoom": False,
}


def config(name: str) -> dict[str, Any]:
    """How a chart behaves; its camera button, shown under the mouse, saves `name` as SVG."""
    return {**CONFIG, "toImageButtonOptions": {"format": "svg", "filename": f"hillshade-{name}"}}


class Sheet:
    """A figure being drawn: plain traces and layout, made into a Plotly figure once, at the end.

    Plotly's own checking takes five times as long as all the rest; the tests check every figure.
    """

    def __init__(self, theme: Theme, height: int, top: int = 12) -> None:
        ink = INK[theme]
        self._traces: list[dict[str, Any]] = []
        self._layout: dict[str, Any] = {
            "template": TEMPLATE,
            "height": height,
            "margin": {"l": 56, "r": 16, "t": top, "b": 48, "pad": 2},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": FONT, "size": 13, "color": ink.text},
            "hoverlabel": {
                "bgcolor": ink.paper,
                "bordercolor": ink.grid,
                "font": {"family": FONT, "size": 13, "color": ink.text},
            },
            "legend": {
                "orientation": "h",
                "yanchor": "bottom",
                "y": 1.0,
                "xanchor": "left",
                "x": 0.0,
                "font": {"size": 13, "color": ink.text},
                "bgcolor": "rgba(0,0,0,0)",
            },
            "hovermode": "closest",
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": ink.muted, "activecolor": ink.text},
        }

    def scatter(self, **properties: Any) -> None:
        """Add a line or a set of marks."""
        self.trace(type="scatter", **properties)

    def trace(self, **properties: Any) -> None:
        """Add anything else."""
        self._traces.append(properties)

    def layout(self, **properties: Any) -> None:
        """Set parts of the layout."""
        self._layout |= properties

    def figure(self) -> go.Figure:
        """The finished figure."""
        return go.Figure(data=self._traces, layout=self._layout, _validate=False)


def axis_style(theme: Theme, title: str | None = None, **more: Any) -> dict[str, Any]:
    """One axis in the common look."""
    ink = INK[theme]
    style: dict[str, Any] = {
        "showgrid": True,
        "gridcolor": ink.grid,
        "gridwidth": 1,
        "zeroline": False,
        "linecolor": ink.grid,
        "showline": False,
        "ticks": "",
        "tickfont": {"size": 12, "color": ink.muted},
        "automargin": True,
    }
    if title is not None:
        style["title"] = {"text": title, "font": {"size": 13, "color": ink.muted}, "standoff": 8}
    return {**style, **more}


def slider_axis(theme: Theme, axis: Axis) -> dict[str, Any]:
    """The x axis of everything drawn over the ticks: spaced as the slider is."""
    marks = axis.marks()
    return axis_style(
        theme,
        f"{axis.label}, spaced as on the slider",
        range=[-0.015, 1.015],
        tickvals=[at for at, _ in marks],
        ticktext=[name for _, name in marks],
        showgrid=False,
    )


def tick_names(axis: Axis) -> list[str]:
    """Every tick's setting in words, for hover labels."""
    return [setting(value) for value in axis.settings]


def log_ticks(low: float, high: float, most: int = 7) -> dict[str, Any]:
    """Ticks of a log axis at powers of ten, named 1, 10, 10³, 10⁻⁶."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    step = max(1, -(-(last - first) // most))
    powers = list(range(first, last + 1, step))
    return {"tickvals": [10.0**p for p in powers], "ticktext": [_power(p) for p in powers]}


def _power(exponent: int) -> str:
    if 0 <= exponent <= 3:
        return f"{10**exponent:,}"
    return f"10<sup>{exponent}</sup>".replace("-", "−")


def translucent(colour: str, alpha: float) -> str:
    """#rrggbb with an opacity."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def band(
    x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str, **where: Any
) -> dict[str, Any]:
    """An interval as a filled band under its line; points without an interval are left out."""
    points = [(a, b, c) for a, b, c in zip(x, low, high, strict=True) if b == b and c == c]
    return {
        "x": [a for a, _, _ in points] + [a for a, _, _ in reversed(points)],
        "y": [c for _, _, c in points] + [b for _, b, _ in reversed(points)],
        "fill": "toself",
        "fillcolor": translucent(colour, 0.16),
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "mode": "lines",
        **where,
    }


def vertical(theme: Theme, x: float, **where: Any) -> dict[str, Any]:
    """The kept/cut boundary as a shape."""
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "y0": 0,
        "y1": 1,
        "xref": "x",
        "yref": "y domain",
        "line": {"color": INK[theme].boundary, "width": 1.5, "dash": BOUNDARY_DASH},
        **where,
    }


# Outlines of the marks in units of half their size, y upwards. (Plotly's own circles and squares
# of a fixed size are squeezed on log axes.)
_OUTLINES: dict[str, tuple[tuple[float, float], ...]] = {
    "square": ((-0.9, 0.9), (0.9, 0.9), (0.9, -0.9), (-0.9, -0.9)),
    "diamond": ((0, 1.2), (1.2, 0), (0, -1.2), (-1.2, 0)),
    "triangle-up": ((0, 1.1), (1.1, -0.9), (-1.1, -0.9)),
    "triangle-down": ((0, -1.1), (1.1, 0.9), (-1.1, 0.9)),
    "cross": (
        *((-0.4, 1.2), (0.4, 1.2), (0.4, 0.4), (1.2, 0.4), (1.2, -0.4), (0.4, -0.4)),
        *((0.4, -1.2), (-0.4, -1.2), (-0.4, -0.4), (-1.2, -0.4), (-1.2, 0.4), (-0.4, 0.4)),
    ),
    "x": (
        *((-1.1, 0.6), (-0.6, 1.1), (0, 0.5), (0.6, 1.1), (1.1, 0.6), (0.5, 0)),
        *((1.1, -0.6), (0.6, -1.1), (0, -0.5), (-0.6, -1.1), (-1.1, -0.6), (-0.5, 0)),
    ),
}
_ROUND = tuple((math.cos(math.pi * k / 12), math.sin(math.pi * k / 12)) for k in range(24))


def dot(
    theme: Theme, style: Style, x: float, y: float, size: float, **where: Any
) -> dict[str, Any]:
    """A group's mark on its line, as a shape: a browser moves shapes without drawing lines again.

    `size` in pixels, as of a marker; `where` names the axes.
    """
    half = size / 2
    outline = _OUTLINES.get(style.mark, _ROUND)
    points = "L".join(f"{half * across:.2f},{half * up:.2f}" for across, up in outline)
    return {
        "type": "path",
        "path": f"M{points}Z",
        "xsizemode": "pixel",
        "ysizemode": "pixel",
        "xanchor": x,
        "yanchor": y,
        "fillcolor": style.colour(theme),
        "line": {"color": INK[theme].paper, "width": 1.5},
        "xref": "x",
        "yref": "y",
        **where,
    }


def enlarged(drawing: go.Figure, factor: float) -> go.Figure:
    """The same figure for a wall: its type and margins times `factor`, half as much in height."""
    plain = drawing.to_dict()
    layout = _larger(plain["layout"], factor)
    if "height" in layout:
        layout["height"] = round(layout["height"] * (1 + factor) / 2)
    return go.Figure(data=plain["data"], layout=layout, _validate=False)


def _larger(part: Any, factor: float) -> Any:
    if isinstance(part, list):
        return [_larger(one, factor) for one in part]
    if not isinstance(part, dict):
        return part
    found = {name: _larger(value, factor) for name, value in part.items()}
    for name in ("font", "tickfont"):
        if "size" in found.get(name, {}):
            found[name]["size"] = round(found[name]["size"] * factor, 2)
    if "margin" in found:
        found["margin"] = {side: round(room * factor) for side, room in found["margin"].items()}
    return found
