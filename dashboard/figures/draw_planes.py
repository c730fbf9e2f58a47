"""Plotly figures of planes of the landscape and of the training run, from their descriptions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.figures.draw_portraits import SCALE
from dashboard.figures.look import Sheet, axis_style
from dashboard.figures.palette import INK, Theme
from dashboard.figures.planes import Map, Run
from dashboard.figures.words import count

_RING = "#FFFFFF"  # marks on Cividis, edged in its darkest blue
_EDGE = "#00224e"
_LOSSES = (0.1, 0.2, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 50, 100)  # named on the log scale


def plane(description: Map, theme: Theme) -> go.Figure:
    """Contours under a nearly invisible grid of marks, which answers the pointer and clicks."""
    sheet = Sheet(theme, height=380, top=12)
    step = _round(description.top / 10)
    sheet.trace(
        type="contour",
        x=list(description.x),
        y=list(description.y),
        z=[[_finite(v) for v in row] for row in description.rise],
        zmin=0.0,
        zmax=description.top,
        contours={"start": step, "end": description.top, "size": step},
        autocontour=False,
        colorscale=SCALE,
        colorbar=_bar(theme) | {"dtick": 2 * step},
        line={"width": 0.5, "color": "rgba(255,255,255,0.45)"},
        hoverinfo="skip",
    )
    half = (len(description.y) + 1) // 2  # a browser carries 400 points a trace
    for rows in (range(half), range(half, len(description.y))):
        points = [(i, j) for j in rows for i in range(len(description.x))]
        sheet.scatter(
            x=[description.x[i] for i, _ in points],
            y=[description.y[j] for _, j in points],
            mode="markers",
            meta=f"cells from {rows.start}",
            marker={"size": 13, "color": INK[theme].paper, "opacity": 0.01},
            customdata=[[i, j] for i, j in points],
            text=[description.said[j][i] for i, j in points],
            hovertemplate="%{text}<extra></extra>",
            showlegend=False,
        )
    i, j = description.cell
    for x, y, symbol, name in (
        (0.0, 0.0, "cross-thin-open", "the model as it is"),
        (description.x[i], description.y[j], "circle-open", "the point in view"),
    ):
        for width, colour in ((4.5, _EDGE), (2.0, _RING)):
            sheet.scatter(
                x=[x],
                y=[y],
                name=name,
                meta=f"{name} {width:g}",
                mode="markers",
                marker={"symbol": symbol, "size": 14, "color": colour,
                        "line": {"width": width, "color": colour}},
                hoverinfo="skip",
                showlegend=False,
            )  # fmt: skip
    sheet.layout(
        uirevision=description.id,
        margin={"l": 52, "r": 8, "t": 12, "b": 52, "pad": 2},
        xaxis=_fitted(theme, description.x_title, description.x),
        yaxis=_fitted(theme, description.y_title, description.y),
    )
    return sheet.figure()


def relief(description: Map, theme: Theme) -> go.Figure:
    """The same as a surface to turn by hand."""
    ink = INK[theme]
    sheet = Sheet(theme, height=420, top=0)
    sheet.trace(
        type="surface",
        x=list(description.x),
        y=list(description.y),
        z=[[_finite(v) for v in row] for row in description.rise],
        cmin=0.0,
        cmax=description.top,
        colorscale=SCALE,
        showscale=False,
        text=[list(row) for row in description.said],
        hovertemplate="%{text}<extra></extra>",
    )

    def axis(title: str) -> dict[str, Any]:
        return {
            "title": {"text": title, "font": {"size": 11, "color": ink.muted}},
            "tickfont": {"size": 10, "color": ink.muted},
            "gridcolor": ink.grid,
            "color": ink.muted,
            "nticks": 5,
        }

    sheet.layout(
        uirevision=f"relief-{description.id}",
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        scene={
            "xaxis": axis("α"),
            "yaxis": axis("β"),
            "zaxis": axis("rise") | {"range": [min(0.0, _least(description)), description.top]},
            "aspectratio": {"x": 1, "y": 1, "z": 0.7},
            "camera": {"eye": {"x": 1.35, "y": -1.45, "z": 0.95}},
        },
    )
    return sheet.figure()


def _round(step: float) -> float:
    """The nearest of 1, 2 and 5 times the powers of ten from above."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= 0.999 * step)


def _least(description: Map) -> float:
    return min((v for row in description.rise for v in row if math.isfinite(v)), default=0.0)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _bar(theme: Theme) -> dict[str, Any]:
    ink = INK[theme]
    return {
        "title": {"text": "rise (nats)", "font": {"size": 12, "color": ink.muted}},
        "tickfont": {"size": 11, "color": ink.muted},
        "thickness": 10,
        "outlinewidth": 0,
        "nticks": 5,
        "xpad": 4,
    }


def _fitted(theme: Theme, title: str, values: Sequence[float]) -> dict[str, Any]:
    return axis_style(
        theme, title, range=[values[0], values[-1]], showgrid=False, nticks=7, constrain="domain"
    )


def run(description: Run, theme: Theme) -> go.Figure:
    """The run over the loss of its plane; steps stand beside the marks where there is room."""
    x, y, rows = description.ground
    sheet = Sheet(theme, height=480, top=12)
    sheet.trace(
        type="contour",
        x=list(x),
        y=list(y),
        # From the rim to the valley the loss falls tenfold: a log scale shows both.
        z=[[math.log10(v) if v > 0 else None for v in row] for row in rows],
        customdata=[list(row) for row in rows],
        colorscale=SCALE,
        ncontours=18,
        colorbar=_bar(theme)
        | {
            "title": {"text": "loss (nats)", "font": {"size": 12, "color": INK[theme].muted}},
            "tickvals": [math.log10(loss) for loss in _LOSSES],
            "ticktext": [f"{loss:g}" for loss in _LOSSES],
        },
        line={"width": 0.5, "color": "rgba(255,255,255,0.45)"},
        hovertemplate="loss %{customdata:.2f}<extra></extra>",
    )
    last = len(description.x) - 1
    sheet.scatter(
        x=list(description.x),
        y=list(description.y),
        name="training",
        meta="path",
        mode="lines+markers+text",
        line={"color": _RING, "width": 2.5},
        marker={
            "symbol": ["circle"] * last + ["star"],
            "size": [9] * last + [16],
            "color": _RING,
            "line": {"width": 1.5, "color": _EDGE},
        },
        text=_labels(description),
        textposition=_sides(description),
        textfont={"size": 12, "color": _RING},
        customdata=list(description.said),
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=False,
    )
    sheet.layout(
        xaxis=_fitted(theme, "α (‖W‖ of all weights)", x),
        yaxis=_fitted(theme, "β (‖W‖ of all weights)", y),
    )
    return sheet.figure()


def _labels(description: Run) -> list[str]:
    """The step beside a mark, where no label before it stands too near."""
    x, y, _ = description.ground
    wide, tall = x[-1] - x[0], y[-1] - y[0]
    placed: list[tuple[float, float]] = []
    found = [""] * len(description.x)
    for place in (0, len(found) - 1, *range(1, len(found) - 1)):
        here = (description.x[place] / wide, description.y[place] / tall)
        if all(abs(here[0] - a) > 0.06 or abs(here[1] - b) > 0.07 for a, b in placed):
            placed.append(here)
            found[place] = count(description.steps[place])
    return found


def _sides(description: Run) -> list[str]:
    """Labels stand where the run does not go: left where it climbs, right where it falls."""
    x, y, _ = description.ground
    wide, tall = x[-1] - x[0], y[-1] - y[0]
    found = []
    for place in range(len(description.x)):
        on = min(place + 1, len(description.x) - 1)
        dx = (description.x[on] - description.x[place]) / wide
        dy = (description.y[on] - description.y[place]) / tall
        side = "middle left" if dy > 0.5 * abs(dx) else "top center"
        found.append("top right" if dy < -0.5 * abs(dx) else side)
    return [*found[:-1], "bottom center"]
