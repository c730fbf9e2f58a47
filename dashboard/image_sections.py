"""The sections of the Vision page on single images: the one picked, and what holds for many."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import address, blocks, portraits_sections
from dashboard.components import scrubber
from dashboard.components.averaging import averaging as averaging_component
from dashboard.escape import plain
from dashboard.figures import averaging, draw_estimates, draw_walks, examples, own_spike
from dashboard.figures.examples import Document
from dashboard.figures.kinds import IMAGES
from dashboard.figures.spectrum import short
from dashboard.figures.wall import REPRODUCED, Wall, one_alt, one_name
from dashboard.loading import study_key
from dashboard.state import View

IMAGE = "image"  # the one picked, in the address and in the session
MISSING = (
    "This study holds no curvature of single images (curvature.json and examples.json), so what "
    "one image's own direction does to the others is not shown. `hillshade demo --vision` "
    "measures it as it makes the shipped study again."
)


def slices_of(view: View) -> Document | None:
    """The slices along single images' own directions; None where the study has none."""
    found: Document | None = (view.study.examples or {}).get("own")
    return found


def pick(image: str) -> None:
    """Look at an image. From a callback, before the page runs."""
    st.session_state[IMAGE] = image


def in_view(view: View, hung: Wall | None) -> str:
    """The image picked, from the wall, the list or the address; at first that of the slices.

    Asked once a run; "" where the study has no single images.
    """
    there = _there(view, hung)
    if not there:
        return ""
    usual = str((view.study.landscape or {}).get("string"))
    return address.settled(there, IMAGE, usual if usual in there else there[0])


def _there(view: View, hung: Wall | None) -> list[str]:
    """The images that hang on the wall and have slices of their own."""
    document = slices_of(view)
    if document is None or hung is None:
        return []
    tiles = {tile.id for tile in hung.tiles}
    return [id_ for id_ in own_spike.ids(document) if id_ in tiles]


def portrait(view: View, image: str, hung: Wall, payload: dict[str, Any]) -> None:
    """The picked image: what is said of it, its own slice, and who feels its direction."""
    document = slices_of(view)
    assert document is not None  # it holds the image
    tiles = {tile.id: tile for tile in hung.tiles}
    found = own_spike.portrait(document, image, view.recipe, view.tick)
    st.subheader(plain(found.walk.title), anchor=found.walk.id)
    left, right = st.columns([1, 1.55], gap="large")
    with left:
        st.selectbox(
            "Image",
            _there(view, hung),
            format_func=lambda id_: one_name(tiles[id_]),
            key=IMAGE,
            persist_state="session",
            label_visibility="collapsed",
        )
        alone = [one for one in payload["images"] if one["id"] == image]
        alt = one_alt(tiles[image], view.tick)
        scrubber.wall({**payload, "images": alone}, alt, view.tick, key="vision-picked")
        still = {id_: tile.verdict(view.tick) == REPRODUCED for id_, tile in tiles.items()}
        taken = own_spike.taken(document, still, view.recipe, view.tick)
        st.markdown(plain(f"{found.said} {taken}"))
        st.table(
            found.table(),
            border="horizontal",
            hide_index=True,
            alt="The curvature along this image's own direction, for itself and for others.",
        )
    with right:
        st.markdown(plain(found.walk.alt))
        blocks.chart(found.walk, draw_walks.walk(found.walk, view.theme))
        blocks.reading(found.walk, found.walk.table())


def spikes(view: View) -> None:
    """Whether many images have spikes of their own: medians, claims with their intervals."""
    document = view.study.curvature
    if document is None:
        return
    projection, at = str(document["findings"]["chosen"]), examples.USUAL
    blocks.finding(examples.headline(document, projection, at, IMAGES), "spikes")
    texts = document["findings"]["texts"]
    said = (
        f"{texts['report memorized']} wrongly labelled, {texts['report fresh']} rightly labelled "
        f"and {texts['report probes']} images kept from training, none picked by what it shows. "
        f"{short(projection)[:1].upper()}{short(projection)[1:]}, was chosen on the other half."
    )
    st.caption(plain(said))
    for place, of in zip(st.columns(2, gap="large"), examples.ALONG, strict=True):
        with place:
            described = examples.spikes(document, projection, at, of, IMAGES)
            drawing = draw_estimates.lines(described, view.theme)
            blocks.figure(described, drawing, described.table())
    claimed = examples.claims(document, projection, at, IMAGES)
    blocks.figure(claimed, draw_estimates.forest(claimed, view.theme), claimed.table())


def averaged(view: View) -> None:
    """The slider that flattens the spikes."""
    document = view.study.examples
    assert document is not None
    projection = str(document["projections"][0]["projection"])
    found = portraits_sections.read(view.study, (study_key(view.study), projection))
    described = averaging.averaging(found, IMAGES)
    st.subheader(plain(described.title), anchor=described.id)
    st.markdown(plain(described.alt))
    averaging_component(described.payload(), described.alt, "averaging")
    blocks.reading(described, described.table())
