"""The sections of the Examples page on single examples: averaged, in bands, pinned, listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from core.study import Study
from dashboard import address, blocks
from dashboard.components.averaging import averaging as averaging_component
from dashboard.escape import plain
from dashboard.figures import averaging as figures_averaging
from dashboard.figures import bands, draw_estimates, draw_portraits, portraits
from dashboard.figures.averaging import Averaging
from dashboard.figures.estimates import Lines
from dashboard.figures.examples import Document
from dashboard.figures.portraits import Portraits
from dashboard.figures.spectrum import by_curvature
from dashboard.figures.words import listing
from dashboard.loading import study_key
from dashboard.recall_sections import said
from dashboard.state import View

MISSING = (
    "This study holds no single examples one by one (examples.json), so no heatmap, no pins and "
    "no list can be shown. `hillshade demo` measures them as it makes the shipped study again; "
    "for a study of another model call `core.curvature.portraits.portraits` with the model, its "
    "bases and its texts, and store what it returns as examples.json with the study."
)
PINS = ("A", "B")
_NEXT = "hillshade_next_pin"
_SEARCH, _LIST = "examples-search", "examples-list"


@dataclass(frozen=True)
class Shown:
    """What the sections show: the examples of one projection, the pins, and where the edit cuts."""

    found: Portraits
    pins: Mapping[str, str]  # pin -> id of its example
    cut: float | None  # directions kept by the cut in view; None where it cuts nothing here


@st.cache_resource(show_spinner=False, max_entries=8)
def read(_study: Study, key: tuple[str, str]) -> Portraits:
    """The examples of one study in one projection, by (study_key, projection)."""
    document = _study.examples
    assert document is not None
    return Portraits.read(document, key[1])


def show(view: View, projection: str) -> None:
    """All sections of this projection, or a sentence where the study has no single examples."""
    if view.study.examples is None:
        st.info(MISSING)
        return
    found = shown(view, projection)
    averaging(view, found)
    groups(view, found)
    by_example(view, found)
    side_by_side(view, found)
    all_examples(view, found)


def pinned(view: View) -> Portraits | None:
    """The examples in the projection in view; None where the study has none there."""
    document = view.study.examples
    if document is None or view.projection not in _measured_in(document):
        return None
    return read(view.study, (study_key(view.study), view.projection))


def _measured_in(document: Document) -> list[str]:
    return [str(part["projection"]) for part in document["projections"]]


def shown(view: View, projection: str) -> Shown:
    """The examples in this projection, and what of them is in view."""
    found = read(view.study, (study_key(view.study), projection))
    defaults = portraits.first_of(found, bands.TOGETHER)
    pins = {
        pin: address.settled(found.ids, pin.lower(), default)
        for pin, default in zip(PINS, defaults, strict=True)
    }
    return Shown(found, pins, kept(view, projection))


def kept(view: View, projection: str) -> float | None:
    """How many directions of the projection the edit in view keeps; None where it cuts none."""
    if not by_curvature(view.recipe) or projection not in view.recipe.projections:
        return None
    if view.setting >= 1.0:
        return None
    return float(max(view.study.kept(view.recipe, projection, view.setting).count, 1))


def pin(id_: str) -> None:
    """Pin an example, A and B in turn. From a callback, before the page runs."""
    memory = st.session_state
    if id_ in (memory.get(name.lower()) for name in PINS):
        return
    name = memory.get(_NEXT, PINS[0])
    memory[name.lower()] = id_
    memory[_NEXT] = PINS[1 - PINS.index(name)]


# -- averaging -------------------------------------------------------------------------------------


@st.cache_data(show_spinner=False, max_entries=8)
def _averaged(_found: Portraits, key: tuple[str, str]) -> Averaging:
    del key
    return figures_averaging.averaging(_found)


def averaging(view: View, shown: Shown) -> None:
    """The slider that flattens the spikes."""
    described = _averaged(shown.found, (study_key(view.study), shown.found.projection))
    blocks.titled(described)
    averaging_component(described.payload(), described.alt, "averaging")
    blocks.reading(described, described.table())


# -- bands -----------------------------------------------------------------------------------------


@st.cache_data(show_spinner=False, max_entries=8)
def _groups(_study: Study, _found: Portraits, key: tuple[str, str], cut: float | None) -> Lines:
    if _study.manifest.scale == "unknown":
        return bands.groups(_found, None, cut)
    staircase = _study.staircase(key[1])
    mass = np.array([0.0, *(staircase.at_count(rank).mass for rank in _found.ranks)])
    products = np.diff(mass) * staircase.total / _found.counts
    return bands.groups(_found, products.tolist(), cut)


def groups(view: View, shown: Shown) -> None:
    """Medians of every group over the bands."""
    key = (study_key(view.study), shown.found.projection)
    described = _groups(view.study, shown.found, key, shown.cut)
    blocks.figure(described, draw_estimates.lines(described, view.theme), described.table())


def by_example(view: View, shown: Shown) -> None:
    """The heatmap, and beside it the two pinned examples."""
    place, _ = st.columns([1, 2])
    with place:
        colour = address.choice(
            "Colour of the heatmap",
            list(bands.COLOURS),
            "colour",
            lambda name: f"Colour: {bands.COLOURS[name][:1].lower()}{bands.COLOURS[name][1:]}",
            "share",
        )
    left, right = st.columns([1.1, 1], gap="large")
    with left:
        described = bands.heatmap(shown.found, colour, shown.pins, shown.cut)
        drawing = draw_portraits.heatmap(described, view.theme)
        blocks.figure(described, drawing, described.table(), picked=_picked)
    with right:
        pair = bands.pinned(shown.found, shown.pins, shown.cut)
        blocks.figure(pair, draw_estimates.lines(pair, view.theme), pair.table())


def _picked(told: list[Any]) -> None:
    pin(str(told[0]))


def side_by_side(view: View, shown: Shown) -> None:
    """The pinned examples in a small table."""
    st.table(
        portraits.compared(shown.found, said(view), view.tick, shown.pins).map(plain),
        border="horizontal",
        hide_index=True,
        alt=f"The pinned examples {listing(list(shown.pins))}, measure by measure.",
    )


# -- the list --------------------------------------------------------------------------------------


def all_examples(view: View, shown: Shown) -> None:
    """All examples with their numbers; a chosen row is pinned."""
    st.subheader("All examples", anchor="examples")
    search = st.text_input(
        "Search their texts",
        key=_SEARCH,
        placeholder="Words that must all occur",
        persist_state="session",
    )
    table = portraits.listed(shown.found, said(view), view.tick, shown.pins, search or "")
    if table.empty:
        st.info("No example holds all of these words.")
        return
    st.dataframe(
        table,
        hide_index=True,
        column_config={"text": st.column_config.TextColumn(width="medium")},
        key=_LIST,
        on_select=partial(_chosen, tuple(table.index)),
        selection_mode="single-row",
        height=360,
        alt=f"{len(table)} examples with their texts, losses, curvatures and outcomes.",
    )
    st.caption(
        f"{len(table)} of {len(shown.found.subjects)} examples. Choose a row to pin it; a column's "
        "head sorts by it. Before and after the cut in view: whether the greedy continuation is "
        "the true one (not stored of fresh texts). Loss and own rise in nats a token; in flat "
        f"directions: the share of its curvature {shown.found.beyond}."
    )


def _chosen(ids: tuple[str, ...]) -> None:
    rows = st.session_state[_LIST].selection.rows
    if rows and rows[0] < len(ids):
        pin(ids[rows[0]])
