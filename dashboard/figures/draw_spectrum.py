"""Plotly figures of the Spectrum page, drawn from their descriptions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures.describe import Relief, Spectrum
from dashboard.figures.look import (
    BOUNDARY_DASH,
    Sheet,
    axis_style,
    log_ticks,
    translucent,
    vertical,
)
from dashboard.figures.palette import INK, Theme, style
from dashboard.figures.projections import Eigenvalues, Multiples, Small
from dashboard.figures.spectrum import DEPTH
from dashboard.figures.words import scientific


def _positive(xs: Sequence[float], ys: Sequence[float]) -> tuple[list[float], list[float]]:
    """What a log axis can show."""
    pairs = [(x, y) for x, y in zip(xs, ys, strict=True) if y > 0.0]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _span(floor: float, values: Sequence[float]) -> tuple[float, float]:
    """From where the axis ends below to the largest value."""
    return floor, max([floor, *values])


def _relative_span(values: Sequence[float]) -> tuple[float, float]:
    """The axis of values over their largest: from 1 down to where they end, at most DEPTH."""
    return max(DEPTH, min((value for value in values if value > 0.0), default=DEPTH)), 1.0


def spectrum(description: Spectrum, tick: int, theme: Theme) -> go.Figure:
    """Sorted products, log-log, over their cumulative mass; the boundary through both."""
    sheet = Sheet(theme, height=520, top=30)
    kept = max(description.kept[tick], 1)
    look = style("kept")
    colour = look.colour(theme)
    muted = INK[theme].muted
    low, high = _span(description.floor, description.products)
    xs, ys = _positive(description.ranks, description.products)
    inside = [x <= kept for x in xs]
    sheet.scatter(
        x=xs,
        y=ys,
        mode="lines",
        name="cut",
        meta="products",
        line={"color": muted, "width": 2, "dash": "dot"},
        hovertemplate="rank %{x:,.0f}<br>λμ = %{y:.2e}<extra></extra>",
    )
    sheet.scatter(
        x=[x for x, i in zip(xs, inside, strict=True) if i],
        y=[y for y, i in zip(ys, inside, strict=True) if i],
        mode="lines",
        name="kept",
        fill="tozeroy",
        fillcolor=translucent(colour, 0.12),
        line={"color": colour, "width": 3},
        hoverinfo="skip",
    )
    sheet.scatter(
        x=list(description.ranks),
        y=list(description.mass),
        mode="lines",
        name="cumulative mass",
        meta="mass",
        showlegend=False,
        xaxis="x2",
        yaxis="y2",
        line={"color": colour, "width": 2},
        hovertemplate="first %{x:,.0f}<br>hold %{y:.2%}<extra></extra>",
    )
    ranks = log_ticks(1, description.total)
    span = [-0.05, math.log10(description.total) + 0.05]
    sheet.layout(
        shapes=[vertical(theme, kept), vertical(theme, kept, xref="x2", yref="y2 domain")],
        xaxis=axis_style(
            theme,
            type="log",
            range=span,
            showticklabels=False,
            anchor="y",
            tickvals=ranks["tickvals"],
        ),
        yaxis=axis_style(
            theme,
            description.label,
            type="log",
            domain=[0.42, 1.0],
            range=[math.log10(low) - 0.2, math.log10(high) + 0.2],
            **log_ticks(low, high, 6),
        ),
        xaxis2=axis_style(
            theme,
            "rank of the direction (steepest first)",
            type="log",
            range=span,
            anchor="y2",
            matches="x",
            **ranks,
        ),
        yaxis2=axis_style(
            theme,
            "share of all<br>curvature",
            domain=[0.0, 0.34],
            range=[-0.03, 1.05],
            tickvals=[0, 0.5, 1],
            ticktext=["0", ".5", "1"],
        ),
    )
    return sheet.figure()


def relief(description: Relief, tick: int, theme: Theme) -> go.Figure:
    """Bands of equal curvature as filled staircases; the kept set outlined on top."""
    sheet = Sheet(theme, height=520, top=30)
    width, height = description.columns, description.height
    colours = description.colours
    sheet.layout(plot_bgcolor=colours[0])
    flat_first = list(reversed(list(enumerate(description.levels))))
    for place, (_, k) in flat_first:
        colour = colours[len(colours) - 1 - place] if place < len(colours) else colours[-1]
        xs, ys = steps(description.rows, k, height)
        sheet.scatter(
            x=xs,
            y=ys,
            mode="lines",
            fill="toself",
            fillcolor=colour,
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            meta=f"level {place}",
        )
    xs, ys = steps(description.rows, description.kept[tick], height)
    for colour, weight, dash in (("#000000", 5.0, "solid"), ("#FFFFFF", 2.5, BOUNDARY_DASH)):
        sheet.scatter(
            x=xs,
            y=ys,
            mode="lines",
            showlegend=False,
            meta="kept",
            line={"color": colour, "width": weight, "dash": dash},
            hoverinfo="skip",
        )
    sheet.layout(
        xaxis=axis_style(
            theme,
            "j: direction of A (inputs), steepest first",
            type="log",
            range=[0, math.log10(width + 1)],
            showgrid=False,
            **log_ticks(1, width),
        ),
        yaxis=axis_style(
            theme,
            "i: direction of G (gradients), steepest first",
            type="log",
            range=[0, math.log10(height + 1)],
            showgrid=False,
            **log_ticks(1, height),
        ),
    )
    return sheet.figure()


def steps(rows: Sequence[int], k: Sequence[int], height: int) -> tuple[list[float], list[float]]:
    """The outline of a staircase, going up; direction n covers n to n + 1, as a log axis needs.

    Row i reaches to k_i + 1 and up to the next sampled row; the first row that keeps nothing
    closes the outline.
    """
    xs, ys = [1.0], [1.0]
    for row, after, columns in zip(rows, [*rows[1:], height + 1], k, strict=True):
        if columns < 1:
            break
        xs += [columns + 1.0, columns + 1.0]
        ys += [float(row), float(after)]
    return [*xs, 1.0], [*ys, ys[-1]]


def multiples(description: Multiples, theme: Theme) -> go.Figure:
    """One small panel a projection: kinds in columns, layers in rows, common axes."""
    smalls = description.smalls
    layers = sorted({small.layer for small in smalls})
    kinds = list(dict.fromkeys(small.kind for small in smalls))
    sheet = Sheet(theme, height=70 + 165 * len(layers), top=34)
    low, high = _relative_span([value for small in smalls for value in small.relative])
    total = max(small.total for small in smalls)
    colour = style("kept").colour(theme)
    shapes, notes = [], []
    for number, small in enumerate(smalls, start=1):
        suffix = "" if number == 1 else str(number)
        row, column = layers.index(small.layer), kinds.index(small.kind)
        x0, x1 = column / len(kinds) + 0.012, (column + 1) / len(kinds) - 0.012
        tall = 1.0 / len(layers)
        y1 = 1.0 - row * tall - 0.10 * tall
        y0 = y1 - 0.74 * tall
        xs, ys = _positive(small.ranks, small.relative)
        sheet.scatter(
            x=xs,
            y=ys,
            mode="lines+markers",
            showlegend=False,
            name=small.name,
            meta=small.name,
            xaxis=f"x{suffix}",
            yaxis=f"y{suffix}",
            line={
                "color": colour if small.edited else INK[theme].muted,
                "width": 3.5 if small.key == description.viewed else 2,
            },
            marker={"size": 6, "opacity": 0.01},  # a bare line answers no clicks
            customdata=[small.key] * len(xs),
            hovertemplate="rank %{x:,.0f}<br>%{y:.2e} of the largest<extra></extra>",
        )
        sheet.scatter(**_field(small, low, high, suffix))
        if small.edited and small.kept < small.total:
            shapes.append(
                vertical(theme, max(small.kept, 1), xref=f"x{suffix}", yref=f"y{suffix} domain")
            )
        notes.append(
            {
                "text": f"<b>{small.name}</b>  {small.kept / small.total:.0%} kept"
                + ", in view" * (small.key == description.viewed),
                "x": x0,
                "y": y1,
                "xref": "paper",
                "yref": "paper",
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": 12, "color": INK[theme].text},
            }
        )
        lowest = row == len(layers) - 1
        sheet.layout(
            **{
                f"xaxis{suffix}": axis_style(
                    theme,
                    "rank" if lowest else None,
                    type="log",
                    domain=[x0, x1],
                    anchor=f"y{suffix}",
                    showticklabels=lowest,
                    range=[0, math.log10(total)],
                    **log_ticks(1, total, 4),
                ),
                f"yaxis{suffix}": axis_style(
                    theme,
                    "λᵢμⱼ / largest" if column == 0 else None,
                    type="log",
                    domain=[max(y0, 0.0), y1],
                    anchor=f"x{suffix}",
                    showticklabels=column == 0,
                    range=[math.log10(low) - 0.2, math.log10(high) + 0.2],
                    **log_ticks(low, high, 4),
                ),
            }
        )
    sheet.layout(shapes=shapes, annotations=notes)
    return sheet.figure()


def _field(small: Small, low: float, high: float, suffix: str) -> dict[str, Any]:
    """Nearly invisible marks all over a panel, which answer clicks where its line does not."""
    across = np.geomspace(1, small.total, 8)[1:-1]
    up = np.geomspace(low, high, 5)
    return {
        "x": np.tile(across, len(up)).tolist(),
        "y": np.repeat(up, len(across)).tolist(),
        "mode": "markers",
        "marker": {"size": 12, "color": "#808080", "opacity": 0.01},
        "customdata": [small.key] * (len(up) * len(across)),
        "hovertemplate": f"{small.name}: click to bring it into view<extra></extra>",
        "showlegend": False,
        "meta": f"{small.name} field",
        "xaxis": f"x{suffix}",
        "yaxis": f"y{suffix}",
    }


def eigenvalues(description: Eigenvalues, theme: Theme) -> go.Figure:
    """Both factors' eigenvalues on log-log axes."""
    sheet = Sheet(theme, height=360, top=40)
    lines = (
        ("A, inputs", description.a_ranks, description.a, "svd", description.largest[0]),
        ("G, gradients", description.g_ranks, description.g, "kfac", description.largest[1]),
    )
    for what, ranks, values, look_of, largest in lines:
        name = what if largest is None else f"{what} (largest {scientific(largest)})"
        look = style(look_of)
        xs, ys = _positive(ranks, values)
        sheet.scatter(
            x=xs,
            y=ys,
            mode="lines",
            name=name,
            meta=name,
            line={"color": look.colour(theme), "width": 2.5, "dash": look.dash},
            hovertemplate="rank %{x:,.0f}<br>%{y:.2e}<extra>" + name + "</extra>",
        )
    low, high = _relative_span((*description.a, *description.g))
    most = max((*description.a_ranks, *description.g_ranks))
    sheet.layout(
        xaxis=axis_style(
            theme, "rank", type="log", **log_ticks(1, most), range=[0, math.log10(most)]
        ),
        yaxis=axis_style(
            theme,
            "eigenvalue / largest",
            type="log",
            range=[math.log10(low) - 0.2, math.log10(high) + 0.2],
            **log_ticks(low, high),
        ),
    )
    return sheet.figure()
