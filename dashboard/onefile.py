"""The study in view as one HTML file that needs no server and no network.

It holds what the pages hold: the descriptions that the scrubber's parts and Plotly draw from, these
parts themselves, and plotly.js. All of it is stored results; nothing in the file can be computed
anew. Texts lie in it as JSON and reach the page through textContent.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard import bar
from dashboard.blocks import Described
from dashboard.components import parts
from dashboard.figures import (
    activations,
    compare,
    draw_estimates,
    draw_recall,
    draw_spectrum,
    examples,
    projections,
    recall,
    rows,
    shared,
    spectrum,
    stages,
)
from dashboard.figures.estimates import Forest, Lines
from dashboard.figures.look import config
from dashboard.figures.palette import Theme
from dashboard.figures.words import setting
from dashboard.recall_sections import CONTROLS, NO_PROMISE
from dashboard.state import View

PARTS = ("bar", "live", "texts")  # of the scrubber
MOST_PAGES = 5  # of each table of texts
# Nothing may be fetched: what the file needs lies in it.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)


@dataclass(frozen=True)
class Figure:
    """A Plotly figure with all that stands around it."""

    described: Described
    draw: Callable[[Theme], go.Figure]
    table: pd.DataFrame

    def payload(self) -> dict[str, Any]:
        one = self.described
        said = {"id": one.id, "title": one.title, "alt": one.alt, "how": one.how}
        drawn = {theme: json.loads(self.draw(theme).to_json()) for theme in ("light", "dark")}
        return said | drawn | {"table": _table(self.table), "config": config(one.id)}


def page(view: View) -> bytes:
    """The whole file, UTF-8."""
    stored = _stored(view)
    title = html.escape(f"Hillshade: {view.recipe.title}, {view.study.manifest.model.id}")
    sections = "\n".join(_sections(view, stored))
    return _PAGE.format(
        policy=_POLICY,
        title=title,
        css=parts.theme() + parts.offline("page.css"),
        sections=sections,
        # No text of a study can end the element it lies in.
        stored=json.dumps(stored, allow_nan=False).replace("<", "\\u003c"),
        plotly=_plotly(),
        parts=parts.scripts(PARTS),
        script=parts.offline("page.js"),
    ).encode()


def _stored(view: View) -> dict[str, Any]:
    study, recipe = view.study, view.recipe
    live = {"spectrum-live": _spectrum(view)}
    texts: dict[str, list[dict[str, Any]]] = {}
    fixed = list(_spectrum_figures(view))
    if not (study.items.empty or view.measured.images):
        live = {"recall-live": _recall(view)} | live
        texts = {kind: _texts(view, kind) for kind in ("memory", "probe")}
        fixed = [*_recall_figures(view), *fixed]
    return {
        "tick": view.tick,
        "bar": bar.payload(study, recipe, view.projection) | {"version": "1"},
        "live": live,
        "texts": {kind: pages for kind, pages in texts.items() if pages},
        "figures": {
            "fixed": [figure.payload() for figure in fixed],
            "examples": [figure.payload() for figure in _examples(view)],
        },
        "styles": {name: parts.style(name) for name in PARTS},
    }


# -- what follows the slider ----------------------------------------------------------------------


def _recall(view: View) -> dict[str, Any]:
    told = recall.story(view.measured, view.recipe, view.tick)
    figures = [told.curves.payload(), told.bars.payload()]
    alts = []
    for tick in range(len(view.recipe.ticks)):
        now = recall.story(view.measured, view.recipe, tick)
        alts.append([now.curves.alt, now.bars.alt])
    findings = [finding.payload() for finding in told.findings]
    return _live(told.axis.payload(), figures, findings, alts, "")


def _spectrum(view: View) -> dict[str, Any]:
    study, recipe, name = view.study, view.recipe, view.projection
    edge = spectrum.edge(study, recipe, name)
    products = spectrum.spectrum(study, recipe, name, view.tick, edge)
    relief = spectrum.relief(study, recipe, name, view.tick, edge)
    alts = [
        [
            spectrum.spectrum_alt(recipe, tick, edge, products.total, name),
            spectrum.relief_alt(recipe, tick, edge, relief.columns, name),
        ]
        for tick in range(len(recipe.ticks))
    ]
    findings = [list(said) for said in spectrum.findings(recipe, edge, products.total, name)]
    figures = [products.payload(), relief.payload()]
    return _live(products.axis.payload(), figures, findings, alts, "even")


def _live(
    axis: dict[str, Any],
    figures: Sequence[dict[str, Any]],
    findings: Sequence[Sequence[str]],
    alts: Sequence[Sequence[str]],
    layout: str,
) -> dict[str, Any]:
    """What `scrubber.live` gives its part, with the alt sentences of every tick."""
    return {
        "axis": axis,
        "figures": [{k: v for k, v in figure.items() if k != "alt"} for figure in figures],
        "findings": findings,
        "layout": layout,
        "version": "1",
        "alts": alts,
    }


def _texts(view: View, kind: str) -> list[dict[str, Any]]:
    """The first pages of a table of texts; none where the study stores none."""
    items = view.study.items
    said = rows.continuations(view.study.outputs, view.recipe)
    count = min(rows.pages(items, said, kind, rows.MIXED), MOST_PAGES)
    title = "Memorized text" if kind == "memory" else "Abilities"
    pages = []
    for number in range(1, count + 1):
        table = rows.table(items, said, view.recipe, kind, rows.MIXED, number)
        if table.rows:
            pages.append(table.payload() | {"title": title, "version": str(number)})
    return pages


# -- what does not --------------------------------------------------------------------------------


def _recall_figures(view: View) -> Iterator[Figure]:
    known = {recipe.id: recipe for recipe in view.study.recipes}
    chosen = [(known[name], known[name].title) for name in CONTROLS if name in known]
    wanted = view.measured.ratio(view.recipe).value[view.tick]
    costs = compare.tradeoff(
        view.measured, chosen, wanted, "controls", "Is it the curvature? The same cost, other cuts"
    )
    yield Figure(costs, lambda theme: draw_recall.tradeoff(costs, theme), costs.table())
    classes = compare.recall_by_repeats(view.measured, view.recipe, view.tick)
    yield Figure(classes, lambda theme: draw_recall.classes(classes, theme), classes.table())


def _spectrum_figures(view: View) -> Iterator[Figure]:
    factors = projections.eigenvalues(view.study, view.projection)
    yield Figure(factors, lambda theme: draw_spectrum.eigenvalues(factors, theme), factors.table())
    small = projections.multiples(view.study, view.recipe, view.tick)
    small = replace(small, how=small.how.partition(" Click a panel")[0])  # no page to turn to
    yield Figure(small, lambda theme: draw_spectrum.multiples(small, theme), small.table())


def _examples(view: View) -> list[Figure]:
    """The figures of single examples; none where the study has no such document, or an old one."""
    document = view.study.curvature
    if document is None:
        return []
    try:
        return [_estimates(described) for described in _described(view, document)]
    except (KeyError, TypeError, ValueError, IndexError):
        return []


def _described(view: View, document: examples.Document) -> Iterator[Lines | Forest]:
    measured = examples.measured_in(document)
    chosen = str(document["findings"]["chosen"])
    name = view.projection if view.projection in measured else chosen
    steps = examples.fractions(document)
    step = min(steps, key=lambda fraction: abs(fraction - examples.USUAL))
    yield examples.spikes(document, name, step, "memorized")
    yield examples.spikes(document, name, step, "fresh")
    yield examples.claims(document, name, step)
    if (grown := stages.growth(document)) is not None:
        yield grown
    yield shared.flattening(document, name)
    yield shared.overlaps(document, name)
    yield shared.hills(document, name, step)
    yield activations.detector(document)
    yield activations.activation(document)


def _estimates(described: Lines | Forest) -> Figure:
    def draw(theme: Theme) -> go.Figure:
        if isinstance(described, Forest):
            return draw_estimates.forest(described, theme)
        return draw_estimates.lines(described, theme)

    return Figure(described, draw, described.table())


# -- the file -------------------------------------------------------------------------------------


def _sections(view: View, stored: dict[str, Any]) -> Iterator[str]:
    manifest = view.study.manifest
    yield (
        f"<header><h1>{html.escape(bar.recipe_title(view.recipe))}</h1>"
        f"<p class='quiet'>Model {html.escape(manifest.model.id)}; study made on "
        f"{html.escape(manifest.created[:10])} by <code>{html.escape(manifest.command)}</code>. "
        "All results are stored ones; this file needs no network.</p></header>"
    )
    yield "<div id='bar'></div>"
    if "recall-live" in stored["live"]:
        yield "<h2>Recall</h2><div id='recall-live'></div>"
        texts = "".join(f"<div id='{kind}'></div>" for kind in stored["texts"])
        yield f"<div class='pair'>{texts}</div><p class='quiet'>{html.escape(NO_PROMISE)}</p>"
    yield "<h2>Spectrum</h2><div id='spectrum-live'></div>"
    yield (
        "<h2>At the saved setting</h2><p class='quiet'>These figures do not follow the slider: "
        f"they are drawn for {html.escape(setting(view.setting))}, where it stood when this file "
        "was saved.</p><div class='figures' id='fixed'></div>"
    )
    about = "" if stored["figures"]["examples"] else "This study has no such measurement."
    yield (
        f"<h2>Single examples</h2><p class='quiet'>{about}</p>"
        "<div class='figures' id='examples'></div>"
    )


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    found: str = get_plotlyjs()
    return found.replace("</script", "<\\/script")


def _table(frame: pd.DataFrame) -> dict[str, Any]:
    return {
        "columns": [str(name) for name in frame.columns],
        "rows": [[_cell(value) for value in row] for row in frame.itertuples(index=False)],
    }


def _cell(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return f"{value:.6g}" if isinstance(value, float) else str(value)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
{sections}
<script type="application/json" id="stored">{stored}</script>
<script>{plotly}</script>
<script>{parts}</script>
<script>{script}</script>
</body>
</html>
"""
