"""The sections of the Vision page, top to bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from core.intervals import Estimate
from core.study import Study
from dashboard import address, blocks, image_sections
from dashboard.components import scrubber
from dashboard.escape import plain
from dashboard.figures import (
    clean,
    draw_estimates,
    draw_recall,
    draw_walks,
    label_claims,
    label_gain,
    label_slices,
    labels,
)
from dashboard.figures import planes as maps
from dashboard.figures import wall as figures
from dashboard.figures.words import listing, percent
from dashboard.landscape_sections import draw_maps
from dashboard.loading import study_key
from dashboard.recall_sections import CONTROLS, at_cost, tolerated
from dashboard.state import View


@st.cache_resource(show_spinner="Hanging the pictures …", max_entries=16)
def _wall(_study: Study, key: tuple[str, str]) -> tuple[figures.Wall, dict[str, Any]] | None:
    """The wall at tick 0, and what the component gets of it at every tick."""
    found = figures.wall(_study, _study.manifest.recipe(key[1]), 0)
    return None if found is None else (found, found.payload())


def picked(view: View) -> str:
    """The id of the image picked from the wall; "" where that shows nothing more."""
    hung = _wall(view.study, (study_key(view.study), view.recipe.id))
    return image_sections.in_view(view, None if hung is None else hung[0])


def story(view: View) -> None:
    """The finding, the curves under the slider, and the three shares: all live."""
    told = labels.story(view.measured, view.recipe, view.tick)
    scrubber.live(
        told.axis.payload(),
        [told.curves.payload(), told.said.payload()],
        view.tick,
        key="vision-live",
        findings=[finding.payload() for finding in told.findings],
    )


def wall(view: View, picked: str) -> None:
    """Every wrongly labelled image, before and after; one can be picked where that shows more."""
    hung = _wall(view.study, (study_key(view.study), view.recipe.id))
    if hung is None:
        st.info("This study stores no labels said of its wrongly labelled images.")
        return
    found = replace(hung[0], alt=figures.wall_alt(hung[0].tiles, view.tick))
    st.subheader(plain(found.title), anchor=found.id)
    scrubber.wall(
        hung[1],
        found.alt,
        view.tick,
        "vision-wall",
        picked=picked,
        on_pick=image_sections.pick if picked else None,
    )
    more = " Choose one to see its own direction, below." if picked else ""
    blocks.reading(replace(found, how=f"{found.how}{more}"), found.table(view.tick))


def single_images(view: View, picked: str) -> None:
    """The image picked from the wall, and what an average over many keeps of such directions."""
    hung = _wall(view.study, (study_key(view.study), view.recipe.id))
    if image_sections.slices_of(view) is None:
        st.info(image_sections.MISSING)
    elif picked and hung is not None:
        image_sections.portrait(view, picked, *hung)
        image_sections.averaged(view)


def numbers(view: View) -> None:
    """The shares and the curves once more, to read off."""
    told = labels.story(view.measured, view.recipe, view.tick)
    described = labels.full_curves(view.measured, view.recipe, view.tick)
    left, right = st.columns([1.25, 1], gap="large")
    with left:
        drawing = draw_recall.curves(described, view.tick, view.theme)
        blocks.figure(described, drawing, described.table())
    with right:
        blocks.titled(told.said)
        st.dataframe(told.said.table(view.tick), hide_index=True, key="said-table")
        st.caption(plain(told.said.how))


def claims(view: View) -> None:
    """What was claimed before measuring, at this threshold and over the stored trainings."""
    if view.study.acceptance is None:  # of one's own model nothing was claimed
        return
    seeds = _trainings(view)
    described = label_claims.claims(view.measured, view.recipe, view.tick, seeds)
    blocks.figure(described, draw_estimates.forest(described, view.theme), described.table())
    st.caption(
        "In the paper, a ViT-B/16 of which 81.6 % of the wrong labels came back says 3.5 % of them "
        "after K-FAC (SVD 3.5 %), the true label for 66.5 % (58.9 %), and its validation accuracy "
        "rises from 67.0 to 71.7 (67.8)."
    )


@st.cache_data(show_spinner=False, max_entries=64)
def _gain(_study: Study, key: tuple[str, str, int]) -> Estimate | None:
    recipe = _study.manifest.recipe(key[1])
    return label_gain.paired(_study.outputs, _study.items, recipe, key[2])


def gain(view: View) -> None:
    """Whether images kept from training are said better, paired image by image, and over seeds."""
    now = _gain(view.study, (study_key(view.study), view.recipe.id, view.tick))
    if now is None:
        st.info("This study stores no labels said of images kept from training.")
        return
    described = label_gain.gain(now, view.recipe, view.tick, _trainings(view))
    blocks.figure(described, draw_estimates.forest(described, view.theme), described.table())


def _trainings(view: View) -> Sequence[Mapping[str, Any]]:
    """The stored trainings, which were cut by the main method."""
    found = (view.study.acceptance or {}).get("seeds", ())
    return found if view.recipe.id == CONTROLS[0] else ()


def controls(view: View) -> None:
    """K-FAC against the controls at equal accuracy on rightly labelled images."""
    known = {recipe.id: recipe for recipe in view.study.recipes}
    chosen = [(known[name], known[name].title) for name in CONTROLS if name in known]
    wanted = view.measured.cost(view.recipe).value[view.tick]
    described = clean.frontier(view.measured, chosen, wanted)
    if not described.panels[0].lines:
        return
    blocks.figure(described, draw_estimates.lines(described, view.theme), described.table())
    tolerance = tolerated(
        chosen,
        "At equal accuracy on rightly labelled images of the choosing half",
        lambda key: f"{percent(float(key))} lost",
        "clean",
    )
    if tolerance is None:
        return
    st.dataframe(
        clean.at_equal_loss(view.measured, at_cost(chosen, tolerance)),
        hide_index=True,
    )
    dearer = [name for recipe, name in chosen if tolerance not in recipe.equal]
    none = f"No setting of {plain(listing(dearer))} loses so little. " if dearer else ""
    st.caption(
        f"{none}Every edit on its own axis and its own layers, each at the stored setting that "
        "loses this much on the choosing half; all shares are of the other half, but for the "
        "images kept from training, by which nothing is chosen."
    )


def around(view: View) -> None:
    """The loss around the model: along one direction at a time or, where asked for, over two."""
    stored = view.study.landscape
    if stored is None:
        return
    planes = stored.get("planes")
    looks = {"lines": "Along one direction", "planes": "Over two directions"}
    if planes and address.pick("Drawn", [*looks], "around", looks.__getitem__, "lines") == "planes":
        keys = [key for key in maps.OF_IMAGES if key in planes]
        key = address.pick("Plane", keys, "plane", maps.OF_IMAGES.__getitem__, keys[0])
        st.subheader("The loss around the model, over two directions", anchor="planes")
        draw_maps(view, planes[key], key, maps.AXES_OF_IMAGES[key], address_too=True)
        return
    described = label_slices.slices(stored)
    blocks.figure(described, draw_walks.valleys(described, view.theme), described.table())


def training(view: View) -> None:
    """How the wrong labels were learnt."""
    points: list[Mapping[str, Any]] = (view.study.training or {}).get("points", [])
    if len(points) < 2:
        return
    described = labels.learnt(points)
    blocks.figure(described, draw_estimates.lines(described, view.theme), described.table())
