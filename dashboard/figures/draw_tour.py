"""Plotly figures of the guided tour, drawn from their descriptions: large type, few lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.figures.describe import Curves
from dashboard.figures.draw_estimates import said
from dashboard.figures.estimates import Forest
from dashboard.figures.look import Sheet, axis_style, band, slider_axis, tick_names, vertical
from dashboard.figures.palette import CIVIDIS, INK, Theme, style
from dashboard.figures.tour import Descent
from dashboard.figures.words import count

STILL: dict[str, Any] = {"displayModeBar": False, "staticPlot": False, "scrollZoom": False}
_TALL, _FLAT, _FEW = 84, 58, 4  # pixels a bar: of a few, and of many


def overview(description: Curves, tick: int, theme: Theme) -> go.Figure:
    """Two lines with their names on them, and the boundary."""
    axis, panel = description.axis, description.panels[0]
    sheet = Sheet(theme, height=250, top=26)
    x = [axis.position(t) for t in range(axis.count)]
    names = tick_names(axis)
    for line in panel.series:
        if line.low is not None and line.high is not None:
            sheet.scatter(**band(x, line.low, line.high, style(line.group).colour(theme)))
    for line in panel.series:
        look = style(line.group)
        sheet.scatter(
            x=x,
            y=list(line.y),
            name=line.name,
            meta=line.key,
            mode="lines+markers",
            line={"color": look.colour(theme), "width": 3, "dash": look.dash},
            marker={
                "symbol": look.mark,
                "color": look.colour(theme),
                "size": [11 if t == tick else 0 for t in range(axis.count)],
                "line": {"width": 1.5, "color": INK[theme].paper},
            },
            customdata=names,
            hovertemplate="%{y:.0%} at %{customdata}<extra>" + line.name + "</extra>",
        )
    marks = _apart(axis.marks())
    sheet.layout(
        margin={"l": 44, "r": 20, "t": 34, "b": 44},
        shapes=[vertical(theme, axis.position(tick))],
        xaxis={
            **slider_axis(theme, axis),
            "tickangle": 0,
            "tickvals": [at for at, _ in marks],
            "ticktext": [name for _, name in marks],
        },
        yaxis=axis_style(
            theme,
            range=[-0.03, 1.05],
            tickvals=[value for value, _ in panel.ticks],
            ticktext=[name for _, name in panel.ticks],
        ),
    )
    return sheet.figure()


def _apart(marks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """The marks of a slider that have room beside each other in a small picture."""
    kept: list[tuple[float, str]] = []
    for at, name in marks:
        if not kept or at - kept[-1][0] >= 1 / 7:
            kept.append((at, name))
    return kept


def descent(description: Descent, theme: Theme) -> go.Figure:
    """The run on its plane, start and end named; the ground is dark where the loss is low."""
    ink = INK[theme]
    sheet = Sheet(theme, height=430)
    if description.grid is not None:
        x, y, loss = description.grid
        # The ground rises tenfold at its rim: a log scale shows the valley and the rim alike.
        logs = [[math.log10(v) if v > 0 else math.nan for v in row] for row in loss]
        sheet.trace(
            type="contour",
            x=list(x),
            y=list(y),
            z=logs,
            customdata=[list(row) for row in loss],
            hovertemplate="loss %{customdata:.2f}<extra></extra>",
            colorscale=[[i / (len(CIVIDIS) - 1), c] for i, c in enumerate(CIVIDIS)],
            showscale=False,
            ncontours=14,
            line={"width": 0.6, "color": "rgba(255,255,255,0.45)"},
        )
    px, py = (list(part) for part in zip(*description.places, strict=True))
    over = description.grid is not None
    stroke = "#FFFFFF" if over else ink.text
    sheet.scatter(
        x=px,
        y=py,
        name="training",
        meta="path",
        mode="lines+markers",
        line={"color": stroke, "width": 3},
        marker={
            "size": [9] * (len(px) - 1) + [20],
            "opacity": 1,
            "symbol": ["circle"] * (len(px) - 1) + ["star"],
            "color": stroke,
            "line": {"width": 1.5, "color": "#00224e" if over else ink.paper},
        },
        customdata=[
            f"step {count(step)}: loss {loss:.2f}"
            for step, loss in zip(description.steps, description.loss, strict=True)
        ],
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=False,
    )
    sheet.layout(
        margin={"l": 0, "r": 0, "t": 4, "b": 4},
        annotations=[
            _flag(description, place, neighbour, name, theme)
            for place, neighbour, name in ((0, 1, "start"), (len(px) - 1, len(px) - 2, "trained"))
        ],
        xaxis=axis_style(theme, showticklabels=False, showgrid=False),
        yaxis=axis_style(theme, showticklabels=False, showgrid=False),
    )
    return sheet.figure()


def _flag(
    description: Descent, place: int, neighbour: int, name: str, theme: Theme
) -> dict[str, Any]:
    """The name of an end of the path, on the side where the path does not run."""
    x, y = description.places[place]
    _, beside = description.places[neighbour]
    paper, text = INK[theme].paper, INK[theme].text
    return {
        "x": x,
        "y": y,
        "text": f"{name}: loss {description.loss[place]:.2f}",
        "showarrow": True,
        "arrowcolor": text,
        "arrowhead": 0,
        "ax": 0,
        "ay": 44 if beside >= y else -44,
        "bgcolor": paper,
        "borderpad": 4,
        "font": {"size": 14, "color": text},
    }


def bars(
    description: Forest, theme: Theme, number: Callable[[float], str], shown: int | None = None
) -> go.Figure:
    """One bar a row with its interval and its number; of the rows after `shown` only the name."""
    rows = description.rows
    ink = INK[theme]
    sheet = Sheet(theme, height=70 + (_TALL if len(rows) <= _FEW else _FLAT) * len(rows))
    low, high = description.x.span
    annotations = []
    for place, row in enumerate(rows):
        y = len(rows) - 1 - place
        mark = row.marks[0]
        look = style(mark.group)
        hidden = shown is not None and place >= shown
        e = mark.value
        annotations.append(_above(row.label, y, ink.text))
        if hidden:
            annotations.append(_number("?", low, y, ink.muted))
            continue
        value, top = (min(max(v, low), high) for v in (e.value, e.high))
        sheet.trace(
            type="bar",
            orientation="h",
            x=[value],
            y=[y],
            width=0.44,
            name=mark.name,
            meta=f"{mark.group} {mark.name}",
            marker={"color": look.colour(theme)},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [max(top - value, 0.0)],
                "arrayminus": [max(value - max(e.low, low), 0.0)],
                "color": ink.text,
                "thickness": 2,
                "width": 6,
            },
            customdata=[said(e)],
            hovertemplate="%{customdata}<extra>" + mark.name + "</extra>",
            showlegend=False,
        )
        annotations.append(_number(number(e.value), max(top, value, 0.0), y, ink.text))
    ticks = description.x.ticks
    named = {"tickvals": [v for v, _ in ticks], "ticktext": [n for _, n in ticks]} if ticks else {}
    sheet.layout(
        margin={"l": 8, "r": 2, "t": 4, "b": 48},
        annotations=annotations,
        xaxis=axis_style(
            theme,
            description.x.title,
            range=[low, high + 0.13 * (high - low)],
            zeroline=True,
            zerolinecolor=ink.muted,
            **named,
        ),
        yaxis=axis_style(
            theme, range=[-0.5, len(rows) - 0.25], showgrid=False, showticklabels=False
        ),
    )
    return sheet.figure()


def _above(label: str, y: float, colour: str) -> dict[str, Any]:
    """A bar's name, above it: long names take no room from the bars, on a phone either."""
    return {
        "x": 0,
        "xref": "paper",
        "y": y + 0.23,
        "text": label,
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "bottom",
        "font": {"size": 15, "color": colour},
    }


def _number(text: str, x: float, y: float, colour: str) -> dict[str, Any]:
    return {
        "x": x,
        "y": y,
        "text": f"<b>{text}</b>",
        "showarrow": False,
        "xanchor": "left",
        "xshift": 8,
        "font": {"size": 18, "color": colour},
    }
