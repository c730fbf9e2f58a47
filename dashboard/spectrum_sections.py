"""The sections of the Spectrum page, top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core.study import Study
from dashboard import blocks
from dashboard.components import scrubber
from dashboard.escape import plain
from dashboard.figures import draw_spectrum, projections
from dashboard.figures import spectrum as figures
from dashboard.figures.describe import Relief, Spectrum
from dashboard.loading import study_key
from dashboard.state import View


@st.cache_data(show_spinner="Counting the directions …", max_entries=32)
def _edge(_study: Study, key: tuple[str, str, str]) -> figures.Boundary:
    return figures.edge(_study, _study.manifest.recipe(key[1]), key[2])


@st.cache_data(show_spinner=False, max_entries=32)
def _drawn(_study: Study, key: tuple[str, str, str]) -> tuple[Spectrum, Relief]:
    """Both descriptions but for their sentences on the tick in view."""
    recipe = _study.manifest.recipe(key[1])
    edge = _edge(_study, key)
    return (
        figures.spectrum(_study, recipe, key[2], 0, edge),
        figures.relief(_study, recipe, key[2], 0, edge),
    )


def live(view: View) -> None:
    """The sorted curvatures and the grid of directions; the boundary follows the thumb."""
    key = (study_key(view.study), view.recipe.id, view.projection)
    edge = _edge(view.study, key)
    name = view.projection
    products, relief = _drawn(view.study, key)
    products = replace(
        products, alt=figures.spectrum_alt(view.recipe, view.tick, edge, products.total, name)
    )
    relief = replace(
        relief, alt=figures.relief_alt(view.recipe, view.tick, edge, relief.columns, name)
    )
    if not figures.cuts(view.recipe, name):
        st.info(
            plain(
                f"{view.recipe.title} does not cut {figures.short(name)} by curvature: the "
                "spectrum is shown whole. Choose a K-FAC edit of this projection to see its "
                "boundary."
            )
        )
    scrubber.live(
        products.axis.payload(),
        [products.payload(), relief.payload()],
        view.tick,
        key="spectrum-live",
        findings=figures.findings(view.recipe, edge, products.total, name),
        layout="even",
    )
    left, right = st.columns(2, gap="large")
    with left:
        blocks.reading(products, products.table())
        _closer(products, partial(draw_spectrum.spectrum, products, view.tick, view.theme))
    with right:
        blocks.reading(relief, relief.table(view.tick))
        _closer(relief, partial(draw_spectrum.relief, relief, view.tick, view.theme))


@st.fragment
def _closer(described: Spectrum | Relief, draw: Callable[[], go.Figure]) -> None:
    """The same figure by Plotly, drawn once it is asked for."""
    key = f"closer-{described.id}"
    with st.expander("Zoom and read off", key=key, on_change="rerun") as shown:
        if shown.open:
            blocks.chart(described, draw())


def eigenvalues(view: View) -> None:
    """The two factors behind the products."""
    described = projections.eigenvalues(view.study, view.projection)
    blocks.figure(described, draw_spectrum.eigenvalues(described, view.theme), described.table())


def multiples(view: View) -> None:
    """The same spectrum in every stored projection."""
    described = projections.multiples(view.study, view.recipe, view.tick, view.projection)
    drawing = draw_spectrum.multiples(described, view.theme)
    blocks.figure(described, drawing, described.table(), picked=_viewed)


def _viewed(told: list[Any]) -> None:
    """A panel that was clicked shows the projection in view from now on."""
    st.session_state["projection"] = str(told[0])
