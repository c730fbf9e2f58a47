"""The sections of the Landscape page, top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard import address, blocks, spoken
from dashboard.escape import plain
from dashboard.figures import cuts, draw_planes, draw_walks, planes, valleys, walks
from dashboard.figures.cuts import Told
from dashboard.figures.words import setting
from dashboard.state import View

QUESTION = "What does the loss do around the model?"
MISSING = (
    "This study holds no slices of its landscape (landscape.json), so none can be shown from "
    "store; below, one can be cut where the model is at hand. `hillshade demo` cuts them as it "
    "makes the shipped study again; for a study of another model call "
    "`core.demo.landscape.landscape` with the model, its bases, its items and fresh text, and "
    "store the result as landscape.json with the study."
)
_FLAT, _SOLID = "Contours", "In 3D"


def document(view: View) -> Told | None:
    """The study's slices; None, and a sentence, where it has none."""
    st.title(QUESTION, anchor=False)
    found = view.study.landscape
    if found is None:
        st.info(MISSING)
    return found


def opening(view: View, document: Told) -> None:
    """The answer, and the first picture."""
    lines = document["lines"]
    blocks.finding(valleys.headline(lines), "landscape")
    described = valleys.valleys(lines)
    blocks.figure(described, draw_walks.valleys(described, view.theme), described.table())
    picked, string = document["picked"], plain(note_of(view, document["string"]))
    st.caption(
        f"The string ({string}) was not picked by eye: of {int(picked['of'])} strings of the "
        f"class repeated most, it is the one whose own rise at {picked['step']:g} ‖W‖ is the "
        "median. All texts are of the reporting half. The edit is the chosen one, "
        f"{setting(float(document['setting']))} of the curvature kept."
    )


def directions(view: View, document: Told) -> None:
    """One direction at a time, with recall and what curvature predicts."""
    lines = document["lines"]
    st.header("One direction", anchor="direction")
    keys = [key for key in valleys.ORDER if key in lines]
    key = address.pick("Direction", keys, "direction", valleys.NAMES.__getitem__, keys[0])
    told = lines[key]
    groups = cuts.present(told)
    usual = {"spike": "string", "edit": "memorized"}.get(key, "fresh")
    place, _ = st.columns([1, 2.5])
    with place:
        of = address.choice(
            "Texts whose rise is predicted",
            groups,
            "predicted",
            lambda name: f"Predicted for {cuts.said(name, groups)}",
            usual if usual in groups else groups[0],
        )
    draw_line(view, told, "walk", cuts.axis_name(told, 0, note_of(view, document["string"])), of)


def draw_line(view: View, told: Told, id_: str, title: str = "", of: str | None = None) -> None:
    """One direction, stored or cut just now."""
    if view.study.manifest.scale == "unknown":
        st.caption("K-FAC's prediction is left out: the scale of this study's factors is unknown.")
    described = walks.walk(told, title or cuts.axis_name(told, 0), id_, of)
    blocks.figure(described, draw_walks.walk(described, view.theme), described.table())


def over_planes(view: View, document: Told) -> None:
    """Two directions at once, and the texts at one point."""
    stored = document["planes"]
    st.header("Two directions", anchor="plane")
    keys = [key for key in planes.PLANES if key in stored]
    key = address.pick("Plane", keys, "plane", planes.PLANES.__getitem__, keys[0])
    strings = [document["string"], document["second"]]
    strings += [name for name in document["items"]["memorized"] if name not in strings]
    ids = [*strings[: spoken.STRINGS], *document["items"]["probes"][: spoken.PROBES]]
    draw_plane(view, stored[key], ids, key, planes.AXES[key], address_too=True)


def draw_plane(
    view: View,
    told: Told,
    ids: Sequence[str],
    key: str,
    names: tuple[str, str] | None = None,
    address_too: bool = False,
) -> None:
    """Maps of one plane side by side, the point in view, and what is said there."""
    place, cell = draw_maps(view, told, key, names, address_too)
    if cell.at == (0.0, 0.0):
        st.caption("Choose a point of a map, or move α and β, to hear what the model says there.")
        return
    spoken.show(view, told, place, ids, key)


def draw_maps(
    view: View,
    told: Told,
    key: str,
    names: tuple[str, str] | None = None,
    address_too: bool = False,
) -> tuple[tuple[int, int], planes.Cell]:
    """Maps of one plane side by side, and the point in view, which is returned.

    The point stands in the address where `address_too`; a slice cut just now has no lasting one.
    """
    names = names or (cuts.axis_name(told, 0), cuts.axis_name(told, 1))
    axes = [[f"{value:g}" for value in axis["values"]] for axis in told["axes"]]
    keys = ("alpha", "beta") if address_too else (f"{key}-alpha", f"{key}-beta")
    for values, name in zip(axes, keys, strict=True):
        if address_too:
            address.settled(values, name, "0")
        elif st.session_state.get(name) not in values:
            st.session_state[name] = "0"
    place = (axes[0].index(st.session_state[keys[0]]), axes[1].index(st.session_state[keys[1]]))

    def picked(told: list[Any]) -> None:
        for values, name, number in zip(axes, keys, told, strict=True):
            st.session_state[name] = values[int(number)]

    st.caption(plain(f"{cuts.facts(told)} α runs along “{names[0]}”, β along “{names[1]}”."))
    look = address.pick("Drawn as", [_FLAT, _SOLID], "drawn", str, _FLAT) if address_too else _FLAT
    found = planes.maps(told, names, place, key)
    for column, described in zip(st.columns(len(found), gap="medium"), found, strict=True):
        with column:
            if look == _SOLID:
                drawing = draw_planes.relief(described, view.theme)
                blocks.figure(described, drawing, described.table())
            else:
                drawing = draw_planes.plane(described, view.theme)
                blocks.figure(described, drawing, described.table(), picked)
    left, right = st.columns([1, 1.6], gap="large", vertical_alignment="center")
    with left:
        for name, label, values, along in zip(keys, ("α", "β"), axes, names, strict=True):
            st.select_slider(f"{label}: {plain(along)}", values, key=name, persist_state="session")
    cell = planes.cell(told, place)
    with right:
        st.subheader(plain(cell.title), anchor=False)
        st.dataframe(cell.table(), hide_index=True, key=f"cell-{key}")
    return place, cell


def training(view: View) -> None:
    """The training run in its own plane."""
    st.header("How it got here", anchor="run")
    stored = view.study.training
    if stored is None or "grid" not in stored or len(stored["points"]) < 2:
        st.info(
            "This study holds no stored states of a training run with the loss around them, so the "
            "way down is not shown."
        )
        return
    described = planes.run(stored)
    blocks.figure(described, draw_planes.run(described, view.theme), described.table())


def note_of(view: View, item: str) -> str:
    """A string by its first words."""
    rows = view.study.items
    row = rows[rows["id"] == item]
    if row.empty:
        return item
    words = str(row.iloc[0]["prompt"]).split()
    return f"“{' '.join(words[:5])} …”"
