"""Plotly figures of walks along directions, drawn from their descriptions."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from dashboard.figures.draw_estimates import said
from dashboard.figures.look import Sheet, axis_style, band, vertical
from dashboard.figures.palette import INK, Theme, style
from dashboard.figures.valleys import Valleys
from dashboard.figures.walks import Walk, Walked

_DASHES = ("dash", "dot")  # of the parabolas


def valleys(description: Valleys, theme: Theme) -> go.Figure:
    """Two by two panels on one scale of rises."""
    sheet = Sheet(theme, height=560, top=52)
    shapes, notes = [], []
    named: set[str] = set()
    for number, walk in enumerate(description.walks):
        suffix = "" if number == 0 else str(number + 1)
        row, column = divmod(number, 2)
        x0, y1 = 0.53 * column, 0.93 - 0.56 * row
        where = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        for line in walk.lines:
            _rises(sheet, walk, line, theme, where, line.said not in named)
            named.add(line.said)
        shapes.append(vertical(theme, 0.0, xref=f"x{suffix}", yref=f"y{suffix} domain"))
        notes.append(_head(f"<b>{walk.title}</b>", x0, y1, theme))
        sheet.layout(
            **{
                f"xaxis{suffix}": axis_style(
                    theme,
                    "share of the edit" if walk.x_title.startswith("share") else "step (‖W‖)",
                    domain=[x0, x0 + 0.47],
                    anchor=f"y{suffix}",
                    range=[walk.x[0], walk.x[-1]],
                    nticks=5,
                    tickangle=0,
                ),
                f"yaxis{suffix}": axis_style(
                    theme,
                    f"rise ({description.unit})" if column == 0 else None,
                    domain=[max(y1 - 0.37, 0.0), y1],
                    anchor=f"x{suffix}",
                    range=list(description.span),
                    showticklabels=column == 0,
                    nticks=5,
                ),
            }
        )
    sheet.layout(shapes=shapes, annotations=notes)
    return sheet.figure()


def walk(description: Walk, theme: Theme) -> go.Figure:
    """Rises with their parabolas above, recall below."""
    recited = [line for line in description.lines if line.recall is not None]
    sheet = Sheet(theme, height=560 if recited else 400, top=30)
    split = [0.36, 1.0] if recited else [0.0, 1.0]
    top = {"xaxis": "x", "yaxis": "y"}
    for line in description.lines:
        _rises(sheet, description, line, theme, top, True)
    for (name, values), dash in zip(description.predicted, _DASHES, strict=False):
        inside = [_inside(value, description.span) for value in values]
        sheet.scatter(
            x=list(description.x),
            y=inside,
            name=f"{name}, {description.of}",
            mode="lines",
            line={"color": INK[theme].text, "width": 1.6, "dash": dash},
            customdata=[f"{value:.3g}" for value in values],
            hovertemplate="%{customdata}<extra>" + name + "</extra>",
            **top,
        )
    shapes = [vertical(theme, 0.0, yref="y domain")]
    across = axis_style(
        theme,
        description.x_title,
        range=[description.x[0], description.x[-1]],
        anchor="y2" if recited else "y",
    )
    sheet.layout(
        xaxis=across,
        yaxis=axis_style(
            theme,
            f"rise of the loss ({description.unit})",
            domain=split,
            range=list(description.span),
        ),
    )
    if recited:
        bottom = {"xaxis": "x", "yaxis": "y2"}
        for line in recited:
            _recall(sheet, description, line, theme, bottom)
        shapes.append(vertical(theme, 0.0, yref="y2 domain"))
        sheet.layout(
            yaxis2=axis_style(
                theme,
                "word for word",
                domain=[0.0, 0.26],
                range=[-0.06, 1.06],
                tickvals=[0, 0.5, 1],
                ticktext=["0", ".5", "1"],
            )
        )
    sheet.layout(shapes=shapes, annotations=[_base(description.span[1], theme)])
    return sheet.figure()


def _rises(
    sheet: Sheet, walk: Walk, line: Walked, theme: Theme, where: dict[str, Any], named: bool
) -> None:
    look = style(line.look)
    colour = look.colour(theme)
    x = list(walk.x)
    if line.texts > 1:
        low, high = ([getattr(e, end) for e in line.rise] for end in ("low", "high"))
        sheet.scatter(**band(x, low, high, colour, **where))
    sheet.scatter(
        x=x,
        y=[_finite(e.value) for e in line.rise],
        name=line.said[0].upper() + line.said[1:],
        meta=line.key,
        mode="lines",
        line={"color": colour, "width": 2.6 if line.key == "string" else 2.0, "dash": look.dash},
        customdata=[said(e) if e.n > 1 else f"{e.value:.3g}" for e in line.rise],
        hovertemplate="%{customdata}<extra>" + line.said + "</extra>",
        showlegend=named,
        **where,
    )


def _recall(sheet: Sheet, walk: Walk, line: Walked, theme: Theme, where: dict[str, Any]) -> None:
    assert line.recall is not None
    look = style(line.look)
    colour = look.colour(theme)
    x = list(walk.x)
    if line.texts > 1:
        low, high = ([getattr(e, end) for e in line.recall] for end in ("low", "high"))
        sheet.scatter(**band(x, low, high, colour, **where))
    sheet.scatter(
        x=x,
        y=[e.value for e in line.recall],
        name=line.said,
        meta=f"recall {line.key}",
        mode="lines",
        line={"color": colour, "width": 2.0, "dash": look.dash, "shape": "hvh"},
        customdata=[said(e) for e in line.recall],
        hovertemplate="%{customdata}<extra>" + line.said + "</extra>",
        showlegend=False,
        **where,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _inside(value: float, span: tuple[float, float]) -> float | None:
    """A prediction far outside the chart is left out, so that its line ends at the edge."""
    room = span[1] - span[0]
    return value if span[0] - room <= value <= span[1] + room else None


def _head(text: str, x: float, y: float, theme: Theme) -> dict[str, Any]:
    return {
        "text": text, "x": x, "y": y, "xref": "paper", "yref": "paper", "xanchor": "left",
        "yanchor": "bottom", "showarrow": False, "font": {"size": 12, "color": INK[theme].text},
    }  # fmt: skip


def _base(top: float, theme: Theme) -> dict[str, Any]:
    return {
        "text": "the model as it is", "x": 0, "y": top, "xanchor": "left", "yanchor": "top",
        "xshift": 5, "showarrow": False, "font": {"size": 12, "color": INK[theme].muted},
    }  # fmt: skip
