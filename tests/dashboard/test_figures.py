"""Figure descriptions and what is drawn from them, without Streamlit."""

from __future__ import annotations

import ast
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from core.items import highest_class
from core.study import Study
from dashboard.figures import (
    compare,
    draw_recall,
    draw_spectrum,
    projections,
    recall,
    rows,
    spectrum,
)
from dashboard.figures.describe import MAX_POINTS, Axis
from dashboard.figures.findings import recall_finding
from dashboard.figures.measured import Measured, Track
from dashboard.figures.words import change, count, percent, scientific, setting

FIGURES = Path(recall.__file__).parent


def drawn(fig: go.Figure) -> dict[str, Any]:
    """Traces by the key their description gave them."""
    return {trace.meta: trace for trace in fig.data if trace.meta is not None}


def all_figures(
    study: Study, measured: Measured, tick: int, theme: Any
) -> list[tuple[Any, go.Figure]]:
    recipe = study.manifest.recipe("kfac")
    name = recipe.projections[0]
    edge = spectrum.edge(study, recipe, name)
    told = recall.story(measured, recipe, tick)
    pairs = [(r, r.title) for r in study.recipes]
    described: list[tuple[Any, go.Figure]] = []

    def add(description: Any, draw: Any, *arguments: Any) -> None:
        described.append((description, draw(description, *arguments)))

    add(told.curves, draw_recall.curves, tick, theme)
    add(recall.full_curves(measured, recipe, tick), draw_recall.curves, tick, theme)
    add(compare.recall_by_repeats(measured, recipe, tick), draw_recall.classes, theme)
    add(compare.tradeoff(measured, pairs, 1.01, "t", "T"), draw_recall.tradeoff, theme)
    add(spectrum.spectrum(study, recipe, name, tick, edge), draw_spectrum.spectrum, tick, theme)
    add(spectrum.relief(study, recipe, name, tick, edge), draw_spectrum.relief, tick, theme)
    add(projections.eigenvalues(study, name), draw_spectrum.eigenvalues, theme)
    add(projections.multiples(study, recipe, tick), draw_spectrum.multiples, theme)
    return described


def test_component_and_plotly_show_the_same_numbers(study: Study, measured: Measured) -> None:
    recipe = study.manifest.recipe("kfac")
    tick = 5
    curves = recall.story(measured, recipe, tick).curves
    sent = {line["key"]: line for panel in curves.payload()["panels"] for line in panel["series"]}
    shown = drawn(draw_recall.curves(curves, tick, "light"))
    assert set(sent) == set(shown) >= {"memory", "facts", "perplexity"}
    for key, line in sent.items():
        assert line["y"] == list(shown[key].y)
        column = curves.table()[_column(curves.table(), line["name"])].tolist()
        if key == "perplexity":  # the table holds the ratio, the drawing its rise in percent
            column = [min(max(100 * (ratio - 1), 0.05), 1000) for ratio in column]
        assert column == pytest.approx(line["y"], rel=1e-4)
    boundary = draw_recall.curves(curves, tick, "light").layout.shapes[0]
    assert boundary.x0 == boundary.x1 == tick / (len(recipe.ticks) - 1)

    name = recipe.projections[0]
    edge = spectrum.edge(study, recipe, name)
    products = spectrum.spectrum(study, recipe, name, tick, edge)
    shown = drawn(draw_spectrum.spectrum(products, tick, "light"))
    payload = products.payload()
    assert payload["products"] == list(shown["products"].y)
    assert payload["mass"] == list(shown["mass"].y)
    line = draw_spectrum.spectrum(products, tick, "light").layout.shapes[0]
    assert line.x0 == payload["kept"][tick]
    relief = spectrum.relief(study, recipe, name, tick, edge)
    outline = drawn(draw_spectrum.relief(relief, tick, "light"))["kept"]
    assert max(outline.x) == max(relief.payload()["kept"][tick]) + 1


def _column(table: pd.DataFrame, name: str) -> str:
    return next(c for c in table.columns if c.startswith(name) and not c.endswith(("low", "high")))


def test_boundary_is_the_exact_staircase(study: Study) -> None:
    recipe = study.manifest.recipe("kfac")
    name = recipe.projections[0]
    lam, mu = study.spectra()[name]
    grid = np.outer(lam, mu)
    sets = [study.kept(recipe, name, mass) for mass in recipe.ticks]
    edge = spectrum.boundary(sets, range(1, len(lam) + 1))
    for tick, mass in enumerate(recipe.ticks):
        kept = edge.kept[tick]
        order = np.sort(grid, axis=None)[::-1]
        assert sum(edge.rows[tick]) == kept
        if mass < 1.0:
            assert order[:kept].sum() >= mass * grid.sum() * (1 - 1e-9)
            assert order[: kept - 1].sum() < mass * grid.sum()
            assert edge.cutoff[tick] == order[kept - 1]
    assert list(edge.kept) == sorted(edge.kept, reverse=True)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("tick", [0, 5, 11])
def test_every_figure_is_light_and_says_what_it_shows(
    study: Study, measured: Measured, tick: int, theme: str
) -> None:
    for description, fig in all_figures(study, measured, tick, theme):
        assert description.alt.endswith(".")
        assert description.how.endswith(".")
        for trace in fig.data:
            assert len(trace.x) <= MAX_POINTS
        for name in fig.layout:
            if name.startswith(("xaxis", "yaxis")) and fig.layout[name].showticklabels is not False:
                assert fig.layout[name].ticktext is None or len(fig.layout[name].ticktext) > 1
        assert len(fig.to_json()) < 150_000
        assert "NaN" not in json.dumps(json.loads(fig.to_json()))


def test_sentences_follow_the_numbers_not_the_story() -> None:
    def track(*values: float, n: int = 50) -> Track:
        return Track(values, values, values, n)

    fine = track(1.0, 1.003)
    broken = recall_finding(1, track(1.0, 0.0), [("Logic", track(1.0, 0.99))], fine)
    assert broken.head.startswith("The memory is broken: 0 of 50")
    assert "Every ability keeps at least 99\u00a0%" in broken.rest
    holds = recall_finding(1, track(1.0, 1.0), [("Logic", track(1.0, 0.4))], fine)
    assert holds.head.startswith("The memory holds: 50 of 50")
    assert "Every ability drops: logic to 40\u00a0%" in holds.rest
    mixed = recall_finding(
        1, track(1.0, 0.3), [("Sums", track(1.0, 1.0)), ("Order", track(1.0, 0.5))], fine
    )
    assert mixed.head.startswith("The memory is breaking: 15 of 50")
    assert "Sums keep at least 97\u00a0%" in mixed.rest
    assert "order to 50\u00a0%" in mixed.rest
    unsure = recall_finding(1, track(1.0, 0.0), [], Track((1.0, 1.001), (1, 0.99), (1, 1.01), 0))
    assert "within the noise" in unsure.rest
    seeds = recall_finding(1, track(1.0, 0.123), [], fine)
    assert "12.3\u00a0% of the memorized passages" in seeds.head


def test_the_headline_class_is_the_one_settings_are_judged_by(
    study: Study, measured: Measured
) -> None:
    assert measured.memory == highest_class(study.item_list())


def test_strings_shown_nobody_knows_how_often_are_the_headline_and_claim_nothing(
    study: Study,
) -> None:
    """As `hillshade collect` stores one's own strings: of one group, repeats unknown."""

    class Own:
        recipes = study.recipes
        points = study.points
        items = study.items[study.items["group"] == "recited"].assign(repeats=pd.NA)
        scores = study.scores[study.scores["group"] == "recited"].assign(repeats=pd.NA)

    own = Measured(Own())
    assert own.memory == ("recited", None)
    recipe = study.manifest.recipe("kfac")
    known = Measured(study).score(recipe, "recited", "strict")
    assert recall.memory_track(own, recipe) == known
    lines = recall.full_curves(own, recipe, 6).panels[0].series
    names = ["Strings, word for word", "The same strings, loosely"]
    assert [line.name for line in lines] == names
    assert rows.note(Own.items.iloc[0].to_dict()) == "Recited"
    assert not compare.recall_by_repeats(own, recipe, 6).groups


def test_seeds_are_joined_and_gaps_stay_open(study: Study) -> None:
    recipe = study.manifest.recipe("random")

    class Gappy:
        recipes = study.recipes
        items = study.items
        points = study.points
        scores = study.scores[study.scores["tick"] != 3]

    rows = study.scores
    rows = rows[
        (rows["recipe"] == "random") & (rows["split"] == "report") & (rows["group"] == "passage")
        & (rows["measure"] == "strict") & (rows["repeats"] == 256) & (rows["tick"] == 5)
    ]  # fmt: skip
    joined = Measured(study).score(recipe, "passage", "strict", 256)
    assert len(rows) == 5
    assert joined.value[5] == pytest.approx(rows["value"].mean(), rel=1e-4)
    assert joined.low[5] == pytest.approx(rows["low"].min(), rel=1e-4)
    assert joined.high[5] == pytest.approx(rows["high"].max(), rel=1e-4)
    gap = Measured(Gappy()).score(recipe, "passage", "strict", 256)
    assert math.isnan(gap.value[3]) and not math.isnan(gap.value[4])
    curves = recall.story(Measured(Gappy()), recipe, 1).curves
    sent = json.dumps(curves.payload(), allow_nan=False)
    assert "null" in sent


def test_slider_is_even_for_the_hand_and_labelled_round() -> None:
    settings = (1.0, *(1.0 - cut for cut in np.geomspace(1e-4, 0.5, 40)))
    axis = Axis("kfac", "curvature mass kept", settings, 20)
    assert [axis.position(t) for t in (0, 20, 40)] == [0.0, 0.5, 1.0]
    marks = {name: at for at, name in axis.marks()}
    assert marks["100\u00a0%"] == 0.0
    assert marks["50\u00a0%"] == pytest.approx(1.0)
    tick = min(range(41), key=lambda t: abs(settings[t] - 0.99))
    assert marks["99\u00a0%"] == pytest.approx(axis.position(tick), abs=1 / 40)
    places = sorted(marks.values())
    assert all(b - a >= 1 / 12 - 1e-9 for a, b in itertools.pairwise(places))


def test_numbers_in_words() -> None:
    assert setting(1.0) == "100\u00a0%"
    assert setting(0.99213) == "99.21\u00a0%"
    assert setting(0.9999) == "99.990\u00a0%"
    assert setting(0.5) == "50.0\u00a0%"
    assert percent(0.9996) == "100\u00a0%"
    assert percent(0.334) == "33.4\u00a0%"
    assert change(1.0031) == "+0.31\u00a0%"
    assert change(0.9) == "−10.0\u00a0%"
    assert change(1.0) == "±0\u00a0%"
    assert scientific(3.14e-6) == "3.1 × 10⁻⁶"
    assert scientific(0.0) == "0"
    assert count(196608) == "196,608"


def test_nearest_cost_prefers_the_first_and_skips_gaps() -> None:
    assert compare.nearest_cost((1.0, math.nan, 1.01, 1.02), 1.012) == 2
    assert compare.nearest_cost((1.0, 1.0), 1.0) == 0


def test_a_paper_order_is_counted_not_claimed(measured: Measured, study: Study) -> None:
    recipe = study.manifest.recipe("kfac")
    bars = recall.abilities_bars(measured, recipe, 8)
    assert [bar.group for bar in bars.bars][0] == "memory"
    assert "pairs stand in the paper's order" in bars.alt
    reverse = replace(
        bars.bars[0], value=tuple(1.0 for _ in bars.bars[0].value)
    )  # memory untouched: no pair with memory can agree
    from dashboard.figures.findings import order_finding

    said = order_finding([(bar.name, bar.value[8], bar.paper) for bar in (reverse, *bars.bars[1:])])
    assert int(said.split()[0]) < int(bars.alt.rsplit(". ", 1)[1].split()[0]) or said.startswith(
        "0"
    )


def test_figures_know_no_streamlit() -> None:
    for path in FIGURES.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
                 for alias in node.names}  # fmt: skip
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any(name.split(".")[0] == "streamlit" for name in names), path.name
