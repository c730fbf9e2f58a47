"""Plotly figures of charts of estimates, drawn from their descriptions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from core.intervals import Estimate
from dashboard.figures.estimates import Forest, Line, Lines, Panel, Row, Scale, plain
from dashboard.figures.look import (
    BOUNDARY_DASH,
    Sheet,
    axis_style,
    band,
    log_ticks,
    translucent,
    vertical,
)
from dashboard.figures.palette import CIVIDIS, INK, Theme, style

Ends = tuple[list[float], list[float], list[float]]
_ROW, _LABEL = 30, 20  # pixels a row, letters a line of its label
_ENDLESS = "triangle-right"  # the mark of an infinite value, at the edge
_STEP = 1.045  # by how much series at one x of a log axis stand apart


def lines(description: Lines, theme: Theme) -> go.Figure:
    """Panels above each other over one x axis; the x in view carries the larger marks."""
    panels = description.panels
    sheet = Sheet(theme, height=120 + round(230 * sum(panel.share for panel in panels)), top=30)
    gap = 0.10 if len(panels) > 1 else 0.0
    usable = 1.0 - gap * (len(panels) - 1)
    total = sum(panel.share for panel in panels)
    top, named = 1.0, set[str]()
    shapes = []
    for number, panel in enumerate(panels, start=1):
        suffix = "" if number == 1 else str(number)
        bottom = max(top - usable * panel.share / total, 0.0)
        where = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        _panel(sheet, description, panel, theme, where, named)
        lowest = number == len(panels)
        title = description.x.title if lowest else None
        across = {**_axis(description.x, theme, title), "anchor": f"y{suffix}"}
        across |= {"showticklabels": lowest} if number == 1 else {
            "showticklabels": lowest, "matches": "x",
        }  # fmt: skip
        sheet.layout(
            **{
                f"xaxis{suffix}": across,
                f"yaxis{suffix}": _axis(panel.y, theme, panel.y.title, domain=[bottom, top]),
            }
        )
        if description.cut is not None:
            domain = f"y{suffix} domain"
            shapes.append(vertical(theme, description.cut, xref=f"x{suffix}", yref=domain))
        top = bottom - gap
    sheet.layout(shapes=shapes)
    return sheet.figure()


def _axis(scale: Scale, theme: Theme, title: str | None, **more: Any) -> dict[str, Any]:
    low, high = scale.span
    if scale.log:
        low, high = math.log10(low), math.log10(high)
        more |= {"type": "log"} | (log_ticks(*scale.span) if not scale.ticks else {})
        if high - low < 1.5 and not scale.ticks:  # too narrow for powers of ten alone
            more |= _few_ticks(*scale.span)
    if scale.ticks:
        more |= {
            "tickvals": [value for value, _ in scale.ticks],
            "ticktext": [name for _, name in scale.ticks],
        }
    room = 0.04 * (high - low)
    return axis_style(theme, title, range=[low - room, high + room], **more)


def _few_ticks(low: float, high: float) -> dict[str, Any]:
    """1, 2 and 5 times the powers of ten."""
    values = [
        base * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for base in (1, 2, 5)
    ]
    inside = [value for value in values if low <= value <= high]
    return {"tickvals": inside, "ticktext": [f"{value:g}" for value in inside]}


def _panel(
    sheet: Sheet, chart: Lines, panel: Panel, theme: Theme, where: dict[str, Any], named: set[str]
) -> None:
    if panel.guide is not None:
        name, x, y = panel.guide
        sheet.scatter(
            x=list(x),
            y=list(y),
            name=name,
            mode="lines",
            line={"color": INK[theme].muted, "width": 1.5, "dash": "dash"},
            hoverinfo="skip",
            showlegend=name not in named,
            **where,
        )
        named.add(name)
    for line in panel.lines:
        if line.band and not line.quiet:
            x_b, ends = list(line.x), _ends(panel.y, line.y)
            sheet.scatter(**band(x_b, ends[1], ends[2], _colour(line, theme), **where))
    for number, line in enumerate(panel.lines):
        apart = number - (len(panel.lines) - 1) / 2
        # A line alone in its panel is named by its axis.
        new = line.name not in named and (len(panel.lines) > 1 or len(chart.panels) == 1)
        sheet.scatter(**_line(line, chart, panel, theme, apart, new), **where)
        named.add(line.name)


def _line(
    line: Line, chart: Lines, panel: Panel, theme: Theme, apart: float, new: bool
) -> dict[str, Any]:
    look = style(line.group)
    colour = _colour(line, theme)
    values, low, high = _ends(panel.y, line.y)
    x = [_nudged(chart.x, value, 0.0 if line.band else apart) for value in line.x]
    drawn: dict[str, Any] = {
        "x": x,
        "y": values,
        "name": line.name,
        "meta": line.key,
        "mode": "lines+markers",
        "line": {"color": colour, "width": 1.2 if line.quiet else 2.2, "dash": look.dash},
        "marker": {
            "symbol": look.mark,
            "color": colour,
            "opacity": 1,
            "size": [_size(line, value == chart.marked) for value in line.x],
            "line": {"width": 1.5, "color": INK[theme].paper},
        },
        "customdata": [said(e) for e in line.y],
        "hovertemplate": "%{customdata}<extra>" + line.name + "</extra>",
        "showlegend": new,
    }
    if not line.band and not line.quiet:
        drawn["error_y"] = _whisker(values, low, high, colour)
    return drawn


def _size(line: Line, marked: bool) -> int:
    if line.quiet:
        return 5
    return 12 if marked else 8


def _nudged(scale: Scale, x: float, apart: float) -> float:
    """Series at the same x stand a little apart, so that no whisker hides another."""
    if scale.log:
        return x * float(_STEP**apart)
    return x + 0.012 * apart * (scale.span[1] - scale.span[0])


def _colour(line: Line, theme: Theme) -> str:
    if line.place is None:
        return style(line.group).colour(theme)
    # The last stands out most: darkest on light, brightest on dark.
    steps = CIVIDIS[-2::-1] if theme == "light" else CIVIDIS[2:]
    return steps[round(line.place * (len(steps) - 1))]


def _ends(scale: Scale, estimates: Sequence[Estimate]) -> Ends:
    """Values and both ends of their intervals, where they are drawn."""
    value = [scale.shown(e.value) for e in estimates]
    low = [min(scale.shown(e.low), v) for e, v in zip(estimates, value, strict=True)]
    high = [max(scale.shown(e.high), v) for e, v in zip(estimates, value, strict=True)]
    return value, low, high


def _whisker(
    value: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str
) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [h - v for h, v in zip(high, value, strict=True)],
        "arrayminus": [v - a for a, v in zip(low, value, strict=True)],
        "color": translucent(colour, 0.75),
        "thickness": 1.5,
        "width": 0,
    }


def said(estimate: Estimate) -> str:
    """A value and its interval, where the mouse rests."""
    return f"{plain(estimate.value)} ({plain(estimate.low)} to {plain(estimate.high)})"


def forest(description: Forest, theme: Theme) -> go.Figure:
    """One row below the other; a shaded field is what a claim allows."""
    rows, count = description.rows, len(description.rows)
    places = {place: count - 1 - place for place in range(count)}
    judged = any(row.judged for row in rows)
    several = any(len(row.marks) > 1 for row in rows)  # a single mark is named by its row
    sheet = Sheet(theme, height=100 + _ROW * count, top=30)
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        shapes += _claim(row, places[place], description.x, theme)
        notes += _notes(row, places[place], theme)
    for x, name in description.guides:
        sheet.scatter(
            x=[x, x],
            y=[-0.6, count - 0.4],
            name=name,
            mode="lines",
            line={"color": INK[theme].muted, "width": 1.5, "dash": "dash"},
            hoverinfo="skip",
        )
    keys = {(mark.group, mark.name): None for row in rows for mark in row.marks}
    for group, name in keys:
        _marks(sheet, description, places, group, name, theme, several)
    labelled = [(places[place], row.label) for place, row in enumerate(rows) if row.marks]
    sheet.layout(
        shapes=shapes,
        annotations=notes,
        margin={"l": 40, "r": 92 if judged else 20, "t": 34, "b": 48, "pad": 4},
        xaxis=_axis(description.x, theme, description.x.title),
        yaxis=axis_style(
            theme,
            range=[-0.6, count - 0.4],
            tickvals=[y for y, _ in labelled],
            ticktext=["<br>".join(wrap(label, _LABEL)) for _, label in labelled],
            showgrid=False,
        ),
    )
    return sheet.figure()


def _marks(
    sheet: Sheet,
    chart: Forest,
    places: dict[int, int],
    group: str,
    name: str,
    theme: Theme,
    legend: bool,
) -> None:
    look = style(group)
    colour = look.colour(theme)
    y, estimates, sizes = [], [], []
    for place, row in enumerate(chart.rows):
        for number, mark in enumerate(row.marks):
            if (mark.group, mark.name) == (group, name):
                # Several marks of a row stand a little apart.
                y.append(places[place] - 0.2 * (number - (len(row.marks) - 1) / 2))
                estimates.append(mark.value)
                sizes.append(13 if row.marked else 9)
    value, low, high = _ends(chart.x, estimates)
    sheet.scatter(
        x=value,
        y=y,
        error_x=_whisker(value, low, high, colour),
        mode="markers",
        name=name,
        meta=f"{group} {name}",
        marker={
            "symbol": [look.mark if math.isfinite(e.value) else _ENDLESS for e in estimates],
            "color": colour,
            "opacity": 1,
            "size": sizes,
            "line": {"width": 1.5, "color": INK[theme].paper},
        },
        customdata=[said(e) for e in estimates],
        hovertemplate="%{customdata}<extra>" + name + "</extra>",
        showlegend=legend,
    )


def _claim(row: Row, y: int, scale: Scale, theme: Theme) -> list[dict[str, Any]]:
    """The field that a claim allows, with a line where it ends inside the chart."""
    if row.claim is None:
        return []
    low, high = (scale.shown(end) for end in row.claim)
    room = (scale.span[1] / scale.span[0]) ** 0.04 if scale.log else 1.0
    x0, x1 = (
        (low / room if row.claim[0] < low else low),
        (high * room if row.claim[1] > high else high),
    )
    colour = style("kept").colour(theme)
    field = {
        "type": "rect", "x0": x0, "x1": x1, "y0": y - 0.5, "y1": y + 0.5, "layer": "below",
        "fillcolor": translucent(colour, 0.12), "line": {"width": 0},
    }  # fmt: skip
    ends = [end for end in row.claim if scale.span[0] <= end <= scale.span[1]]
    edges = [
        {
            "type": "line", "x0": end, "x1": end, "y0": y - 0.5, "y1": y + 0.5,
            "line": {"color": colour, "width": 1.5, "dash": BOUNDARY_DASH},
        }
        for end in ends
    ]  # fmt: skip
    return [field, *edges]


def _notes(row: Row, y: int, theme: Theme) -> list[dict[str, Any]]:
    """A heading over its rows, and the verdict at the right end of a row."""
    base = {"y": y, "xref": "paper", "showarrow": False, "yanchor": "middle"}
    if not row.marks:
        text = {"text": f"<b>{row.label}</b>", "x": 0, "xanchor": "left"}
        return [{**base, **text, "font": {"size": 13, "color": INK[theme].text}}]
    if not row.judged:
        return []
    text = {"text": row.judged, "x": 1.0, "xanchor": "left", "xshift": 6}
    return [{**base, **text, "font": {"size": 12, "color": INK[theme].text}}]
