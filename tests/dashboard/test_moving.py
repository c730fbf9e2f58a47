"""A chart is sent once: what moves in it afterwards must make it the chart that would be drawn."""

from __future__ import annotations

import copy
from typing import Any

import plotly.graph_objects as go
import pytest

from core.study import Study
from dashboard.figures.look import enlarged
from dashboard.figures.measured import Measured
from dashboard.moving import Sent, plain
from tests.dashboard.test_figures import all_figures


def update(content: dict[str, Any], moves: dict[str, Any]) -> dict[str, Any]:
    """What Plotly.update makes of a chart in the browser."""
    shown = copy.deepcopy(content)
    for path, values in moves["data"].items():
        *above, last = path.split(".")
        for number, value in zip(moves["traces"], values, strict=True):
            inside = shown["data"][number]
            for name in above:
                inside = inside.get(name, {})
            if value is not None or last in inside:
                inside[last] = value
    shown["layout"] |= moves["layout"]
    return shown


def sent(drawing: go.Figure) -> Sent:
    return Sent(drawing, plain(drawing.to_dict()), "")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_passes_plotlys_own_checking(
    study: Study, measured: Measured, theme: str
) -> None:
    for described, drawing in all_figures(study, measured, 5, theme):
        unchecked = plain(drawing.to_dict())
        assert plain(go.Figure(unchecked).to_dict()) == unchecked, described.id


def test_what_moves_makes_the_chart_that_would_be_drawn(study: Study, measured: Measured) -> None:
    ticks = (5, 0, 9, 5)
    walks = zip(*(all_figures(study, measured, tick, "light") for tick in ticks), strict=True)
    moved = set()
    for (described, first), *later in walks:
        chart = sent(first)
        for _, drawing in later:
            now = plain(drawing.to_dict())
            moves = chart.moves(now)
            if moves is None:  # the zoomed spectrum and the relief grow and lose points: sent anew
                assert described.id in ("spectrum", "relief")
                break
            assert update(chart.content, moves) == now, described.id
            if moves["layout"] or moves["data"]:
                moved.add(described.id)
    assert moved >= {"curves", "repeats", "multiples"}


def test_another_theme_or_other_lines_are_sent_anew(study: Study, measured: Measured) -> None:
    light = dict(enumerate(all_figures(study, measured, 5, "light")))
    for number, (described, drawing) in enumerate(all_figures(study, measured, 5, "dark")):
        assert sent(light[number][1]).moves(plain(drawing.to_dict())) is None, described.id
    one, other = light[1][1], light[2][1]
    assert sent(one).moves(plain(other.to_dict())) is None


def test_numbers_that_are_none_are_told_as_null() -> None:
    nothing = float("nan")
    chart = sent(go.Figure(data=[{"type": "scatter", "y": [1.0, nothing]}]))
    same = plain(go.Figure(data=[{"type": "scatter", "y": [1.0, float("nan")]}]).to_dict())
    other = plain(go.Figure(data=[{"type": "scatter", "y": [nothing, 2.0]}]).to_dict())
    assert chart.moves(same) == {"traces": [], "data": {}, "layout": {}}
    moves = chart.moves(other)
    assert moves is not None and moves["data"] == {"y": [[None, 2.0]]}


def test_a_chart_for_the_wall_has_larger_type_and_the_same_numbers(
    study: Study, measured: Measured
) -> None:
    for described, drawing in all_figures(study, measured, 5, "light"):
        large = enlarged(drawing, 1.25)
        assert plain(large.to_dict())["data"] == plain(drawing.to_dict())["data"], described.id
        assert large.layout.font.size == 1.25 * drawing.layout.font.size
        assert large.layout.xaxis.tickfont.size == 1.25 * drawing.layout.xaxis.tickfont.size
        assert large.layout.margin.l > drawing.layout.margin.l
        assert large.layout.height > drawing.layout.height
