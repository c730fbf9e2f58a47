"""Plotly figures of single examples' maps, drawn from their descriptions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures.bands import Heatmap
from dashboard.figures.cells import Cells
from dashboard.figures.look import Sheet, axis_style, log_ticks, vertical
from dashboard.figures.palette import CIVIDIS, INK, Theme, style
from dashboard.figures.words import percent

SCALE = [[n / (len(CIVIDIS) - 1), colour] for n, colour in enumerate(CIVIDIS)]
DECADES = 5  # that a log colour scale spans at most
_ROW = 4  # pixels a row of the heatmap


def heatmap(description: Heatmap, theme: Theme) -> go.Figure:
    """Coloured cells under one nearly invisible mark a row, which answers the pointer and clicks.

    (A heatmap answers no clicks.) All marks stand in one column and the pointer is never too far
    from one, so the nearest is that of the row.
    """
    n = len(description.rows)
    sheet = Sheet(theme, height=110 + _ROW * n, top=12)
    sheet.trace(
        type="heatmap",
        x=list(description.edges),
        y=[row - 0.5 for row in range(n + 1)],
        z=_coloured(description.values, description.log),
        hoverinfo="skip",
        colorscale=SCALE,
        colorbar=_bar(description, theme),
        **_ends(description),
    )
    middle = math.sqrt(description.edges[0] * description.edges[-1])
    sheet.scatter(
        x=[middle] * n,
        y=list(range(n)),
        mode="markers",
        meta="rows",
        marker={"size": _ROW, "color": INK[theme].paper, "opacity": 0.01},
        customdata=[id_ for id_, _ in description.rows],
        text=[said for _, said in description.rows],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    low, high = (math.log10(end) for end in description.x.span)
    sheet.layout(
        shapes=_shapes(description, theme),
        annotations=[_pin(pin, row, theme) for pin, row in description.pins.items()],
        hoverdistance=-1,
        uirevision=description.id,  # zoom and place are kept when a pin moves
        margin={"l": 40, "r": 16, "t": 12, "b": 48, "pad": 2},
        xaxis=axis_style(
            theme,
            description.x.title,
            type="log",
            range=[low, high],
            tickvals=[value for value, _ in description.x.ticks],
            ticktext=[name for _, name in description.x.ticks],
            showgrid=False,
        ),
        yaxis=axis_style(
            theme,
            range=[n - 0.5, -0.5],
            tickvals=[(first + after - 1) / 2 for _, first, after in description.groups],
            ticktext=[name.replace(" ", "<br>", 1) for name, _, _ in description.groups],
            showgrid=False,
        ),
    )
    return sheet.figure()


def cells(description: Cells, theme: Theme) -> go.Figure:
    """One example's map over all pairs (i, j), log-spaced cells on log axes."""
    sheet = Sheet(theme, height=430, top=12)
    rows, columns = description.rows, description.columns
    sheet.trace(
        type="heatmap",
        x=list(columns),
        y=list(rows),
        z=_coloured(description.values, True),
        customdata=description.values.tolist(),
        hovertemplate=(
            "λ rank %{y:.0f}, μ rank %{x:.0f}<br>%{customdata:.2e} of the curvature<extra></extra>"
        ),
        colorscale=SCALE,
        colorbar=_bar(description, theme),
        **_ends(description),
    )

    def axis(title: str, edges: tuple[float, ...], turned: bool) -> dict[str, Any]:
        span = [math.log10(edges[0]), math.log10(edges[-1])]
        return axis_style(
            theme,
            title,
            type="log",
            range=span[::-1] if turned else span,
            showgrid=False,
            **log_ticks(1, edges[-1]),
        )

    sheet.layout(
        xaxis=axis("rank of μ_j, inputs", columns, False),
        yaxis=axis("rank of λ_i, gradients", rows, True),
    )
    return sheet.figure()


def _coloured(values: Any, log: bool) -> list[list[float | None]]:
    """What is coloured; log10 where asked, nothing where that is minus infinity."""
    if not log:
        return [[float(v) for v in row] for row in values]
    return [[round(math.log10(v), 3) if v > 0.0 else None for v in row] for row in values]


def _ends(description: Heatmap | Cells) -> dict[str, float]:
    """Where the colours begin and end."""
    values = np.asarray(description.values)
    highest = float(values.max())
    if not description.log:
        return {"zmin": 0.0, "zmax": float(np.quantile(values, 0.995))}
    top = math.log10(highest) if highest > 0 else 0.0
    positive = values[values > 0]
    low = math.log10(float(positive.min())) if positive.size else -1.0
    return {"zmin": max(low, top - DECADES), "zmax": top}


def _bar(description: Heatmap | Cells, theme: Theme) -> dict[str, Any]:
    ink = INK[theme]
    ends = _ends(description)
    if description.log:
        powers = range(math.ceil(ends["zmin"]), math.floor(ends["zmax"]) + 1)
        marks = {
            "tickvals": list(powers),
            "ticktext": [f"10<sup>{power}</sup>".replace("-", "−") for power in powers],
        }
    else:
        step = next(step for step in (0.02, 0.05, 0.1, 0.2) if ends["zmax"] / step <= 8)
        values = [n * step for n in range(int(ends["zmax"] / step) + 1)]
        marks = {"tickvals": values, "ticktext": [percent(value) for value in values]}
    return {
        "title": {
            "text": description.colour,
            "side": "right",
            "font": {"size": 13, "color": ink.muted},
        },
        "tickfont": {"size": 12, "color": ink.muted},
        "thickness": 12,
        "outlinewidth": 0,
        **marks,
    }


def _shapes(description: Heatmap, theme: Theme) -> list[dict[str, Any]]:
    """Lines between the groups, the boundary of the cut, and the rows that are pinned."""
    ink = INK[theme]
    across = {"type": "line", "xref": "paper", "x0": 0, "x1": 1}
    shapes: list[dict[str, Any]] = [
        {**across, "y0": first - 0.5, "y1": first - 0.5, "line": {"color": ink.paper, "width": 2}}
        for _, first, _ in description.groups[1:]
    ]
    if description.cut is not None:
        white = {"color": "#FFFFFF", "width": 3.5}
        shapes += [
            vertical(theme, description.cut, line=white),
            vertical("light", description.cut),  # dark on a pale seam: seen on any colour
        ]
    for pin, row in description.pins.items():
        colour = style(f"pin {pin}").colour(theme)
        shapes.append({
            "type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": row - 0.5, "y1": row + 0.5,
            "line": {"color": colour, "width": 2},
        })  # fmt: skip
    return shapes


def _pin(pin: str, row: int, theme: Theme) -> dict[str, Any]:
    """The pin's letter in its colour, at the right end of its row."""
    return {
        "text": f"<b>{pin}</b>",
        "x": 1.0,
        "xref": "paper",
        "xanchor": "right",
        "y": row,
        "showarrow": False,
        "borderpad": 1,
        "font": {"size": 12, "color": INK[theme].paper},
        "bgcolor": style(f"pin {pin}").colour(theme),
    }
