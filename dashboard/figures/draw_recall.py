"""Plotly figures of the Recall page, drawn from their descriptions."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from dashboard.figures.compare import Classes, Tradeoff
from dashboard.figures.describe import Axis, Curves, Panel, Series
from dashboard.figures.look import (
    Sheet,
    axis_style,
    band,
    dot,
    slider_axis,
    tick_names,
    translucent,
    vertical,
)
from dashboard.figures.measured import RISE_CEILING, RISE_FLOOR, RISE_TICKS, rises
from dashboard.figures.palette import CIVIDIS, INK, Style, Theme, style
from dashboard.figures.words import change, setting


def curves(description: Curves, tick: int, theme: Theme) -> go.Figure:
    """Panels above each other over the slider's positions, the boundary through all of them."""
    axis = description.axis
    sheet = Sheet(theme, height=150 + 210 * len(description.panels), top=54)
    position = axis.position(tick)
    top = 1.0
    total = sum(panel.share for panel in description.panels)
    gap = 0.09 if len(description.panels) > 1 else 0.0
    usable = 1.0 - gap * (len(description.panels) - 1)
    shapes = []
    for number, panel in enumerate(description.panels, start=1):
        suffix = "" if number == 1 else str(number)
        bottom = top - usable * panel.share / total
        lowest = number == len(description.panels)
        _panel(sheet, panel, axis, theme, suffix)
        sheet.layout(
            **{
                f"yaxis{suffix}": _values_axis(panel, theme, (max(bottom, 0.0), top)),
                f"xaxis{suffix}": {
                    **slider_axis(theme, axis),
                    "anchor": f"y{suffix}",
                    "showticklabels": lowest,
                    **({} if number == 1 else {"matches": "x"}),
                    **({} if lowest else {"title": {"text": ""}}),
                },
            }
        )
        shapes.append(vertical(theme, position, xref=f"x{suffix}", yref=f"y{suffix} domain"))
        shapes += [
            dot(theme, style(line.group), position, at, 11, xref=f"x{suffix}", yref=f"y{suffix}")
            for line in panel.series
            if math.isfinite(at := line.y[tick])
        ]
        top = bottom - gap
    sheet.layout(shapes=shapes)
    return sheet.figure()


def _values_axis(panel: Panel, theme: Theme, domain: tuple[float, float]) -> dict[str, Any]:
    low, high = panel.span if not panel.log else (math.log10(v) for v in panel.span)
    room = 0.04 * (high - low)
    return axis_style(
        theme,
        f"{panel.title}<br>({panel.unit})",
        type="log" if panel.log else "linear",
        domain=list(domain),
        range=[low - room, high + room],
        tickvals=[value for value, _ in panel.ticks],
        ticktext=[name for _, name in panel.ticks],
    )


def _panel(sheet: Sheet, panel: Panel, axis: Axis, theme: Theme, suffix: str) -> None:
    x = [axis.position(t) for t in range(axis.count)]
    names = tick_names(axis)
    where = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
    for line in panel.series:
        if line.low is not None and line.high is not None:
            sheet.scatter(**band(x, line.low, line.high, style(line.group).colour(theme), **where))
    for line in panel.series:
        sheet.scatter(**_line(line, x, names, theme, len(panel.series) > 1, **where))


def _line(
    line: Series, x: list[float], names: list[str], theme: Theme, named: bool, **where: Any
) -> dict[str, Any]:
    look = style(line.group)
    return {
        "x": x,
        "y": list(line.y),
        "name": line.name,
        "meta": line.key,
        "mode": "lines",
        "line": {
            "color": look.colour(theme),
            "width": 3 if line.heavy else 1.8,
            "dash": look.dash,
        },
        "customdata": [f"{said} at {name}" for said, name in zip(_hover(line), names, strict=True)],
        "hovertemplate": "%{customdata}<extra>" + line.name + "</extra>",
        "showlegend": named,
        **where,
    }


def _hover(line: Series) -> list[str]:
    """What stands at the pointer: the measured number."""
    if line.raw is not None:
        return [change(value) for value in line.raw]
    return [f"{value:.3f}" for value in line.y]


def classes(description: Classes, theme: Theme) -> go.Figure:
    """Hollow marks before, filled marks after, a hairline between them; x is the repeat count."""
    sheet = Sheet(theme, height=330, top=40)
    shown = sorted({count for _, counts, *_ in description.groups for count in counts})
    shift = 1.08
    for number, (group, counts, exact, before, after) in enumerate(description.groups):
        look = style(group)
        colour = look.colour(theme)
        nudge = shift ** (number - (len(description.groups) - 1) / 2)
        x = [count * nudge for count in counts]
        sheet.scatter(
            x=[v for place in x for v in (place, place, None)],
            y=[v for b, a in zip(before.value, after.value, strict=True) for v in (b, a, None)],
            mode="lines",
            line={"color": translucent(colour, 0.45), "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
        )
        for said, track, fill in (("before", before, INK[theme].paper), ("after", after, colour)):
            sheet.scatter(
                x=x,
                y=list(track.value),
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": _reach(track.high, track.value),
                    "arrayminus": _reach(track.value, track.low),
                    "color": translucent(colour, 0.7),
                    "thickness": 1.2,
                    "width": 0,
                },
                mode="markers",
                name=f"{look.name}, {said}",
                meta=f"{group} {said}",
                marker={
                    "symbol": look.mark,
                    "size": 11,
                    "color": fill,
                    "line": {"color": colour, "width": 2},
                },
                customdata=[[count, copies] for count, copies in zip(counts, exact, strict=True)],
                hovertemplate=(
                    "%{y:.1%} " + said + "<br>shown %{customdata[0]}×, "
                    "%{customdata[1]} exact copies<extra>" + look.name + "</extra>"
                ),
            )
    sheet.layout(
        xaxis=axis_style(
            theme,
            "times shown in training (exact copies seen among them)",
            type="log",
            tickvals=shown,
            ticktext=[_seen(description, count) for count in shown],
            showgrid=False,
        ),
        yaxis=axis_style(
            theme,
            "recited word for word (share)",
            range=[-0.05, 1.08],
            tickvals=[0, 0.25, 0.5, 0.75, 1],
            ticktext=["0", ".25", ".5", ".75", "1"],
        ),
    )
    return sheet.figure()


def _seen(description: Classes, count: int) -> str:
    """A repeat class under its mark: shown so often, so many exact copies."""
    for _, counts, exact, *_ in description.groups:
        if count in counts:
            return f"{count}×<br>({exact[counts.index(count)]})"
    return f"{count}×"


def _reach(high: tuple[float, ...], low: tuple[float, ...]) -> list[float]:
    return [
        max(0.0, h - v) if math.isfinite(h - v) else 0.0 for h, v in zip(high, low, strict=True)
    ]


# A click picks a setting; it leaves no point brighter than the others.


def tradeoff(description: Tradeoff, theme: Theme, graded: bool = False) -> go.Figure:
    """Recall over the cost on fresh text. `graded` colours the lines along Cividis in order."""
    sheet = Sheet(theme, height=360, top=40)
    dots = []
    for number, (recipe, name, cost, recall, settings, at) in enumerate(description.lines):
        look = _graded(number, len(description.lines), theme) if graded else style(recipe)
        colour = look.colour(theme)
        x = rises(cost.value)
        sheet.scatter(**band(x, recall.low, recall.high, colour))
        ticks = range(len(settings))
        sheet.scatter(
            x=list(x),
            y=list(recall.value),
            name=name,
            meta=recipe,
            mode="lines+markers",
            line={"color": colour, "width": 3 if recipe == "kfac" else 2, "dash": look.dash},
            marker={"symbol": look.mark, "color": colour, "size": 4},
            customdata=[[setting(settings[t]), change(cost.value[t]), recipe, t] for t in ticks],
            hovertemplate=(
                "%{y:.1%} recited<br>perplexity %{customdata[1]}<br>"
                "kept %{customdata[0]}<extra>" + name + "</extra>"
            ),
        )
        if math.isfinite(x[at]) and math.isfinite(recall.value[at]):
            dots.append(dot(theme, look, x[at], recall.value[at], 13))
    sheet.layout(
        shapes=[vertical(theme, rises([description.wanted])[0]), *dots],
        xaxis=axis_style(
            theme,
            "rise of perplexity on fresh text (log axis)",
            type="log",
            range=[math.log10(RISE_FLOOR) - 0.05, math.log10(RISE_CEILING) + 0.05],
            tickvals=[value for value, _ in RISE_TICKS],
            ticktext=[name for _, name in RISE_TICKS],
            showgrid=True,
        ),
        yaxis=axis_style(
            theme,
            "passages recited (share)",
            range=[-0.05, 1.08],
            tickvals=[0, 0.25, 0.5, 0.75, 1],
            ticktext=["0", ".25", ".5", ".75", "1"],
        ),
    )
    return sheet.figure()


def _graded(number: int, total: int, theme: Theme) -> Style:
    """The look of a line along an ordered scale."""
    steps = CIVIDIS[1:-1] if theme == "light" else CIVIDIS[2:]
    place = round(number * (len(steps) - 1) / max(total - 1, 1))
    dashes = ("solid", "dash", "dashdot", "dot", "longdash")
    marks = ("circle", "square", "diamond", "triangle-up", "x")
    return Style("", steps[place], steps[place], dashes[number % 5], marks[number % 5])
