"""The sections of the Vision page, top to bottom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from core.study import Study
from dashboard import blocks
from dashboard.components import scrubber
from dashboard.escape import plain
from dashboard.figures import (
    clean,
    draw_estimates,
    draw_recall,
    draw_walks,
    label_claims,
    label_slices,
    labels,
)
from dashboard.figures import wall as figures
from dashboard.figures.words import listing, percent
from dashboard.loading import study_key
from dashboard.recall_sections import CONTROLS, at_cost, tolerated
from dashboard.state import View


@st.cache_resource(show_spinner="Hanging the pictures …", max_entries=16)
def _wall(_study: Study, key: tuple[str, str]) -> tuple[figures.Wall, dict[str, Any]] | None:
    """The wall at tick 0, and what the component gets of it at every tick."""
    found = figures.wall(_study, _study.manifest.recipe(key[1]), 0)
    return None if found is None else (found, found.payload())


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


def wall(view: View) -> None:
    """Every wrongly labelled image, before and after."""
    hung = _wall(view.study, (study_key(view.study), view.recipe.id))
    if hung is None:
        st.info("This study stores no labels said of its wrongly labelled images.")
        return
    found = replace(hung[0], alt=figures.wall_alt(hung[0].tiles, view.tick))
    st.subheader(plain(found.title), anchor=found.id)
    scrubber.wall(hung[1], found.alt, view.tick, key="vision-wall")
    blocks.reading(found, found.table(view.tick))


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
    stored = view.study.acceptance or {}
    main = view.recipe.id == CONTROLS[0]  # the trainings were cut by the main method
    seeds = stored.get("seeds", ()) if main else ()
    described = label_claims.claims(view.measured, view.recipe, view.tick, seeds)
    blocks.figure(described, draw_estimates.forest(described, view.theme), described.table())
    st.caption(
        "In the paper, a ViT-B/16 of which 81.6 % of the wrong labels came back says 3.5 % of them "
        "after K-FAC (SVD 3.5 %), the true label for 66.5 % (58.9 %), and its validation accuracy "
        "rises from 67.0 to 71.7 (67.8)."
    )


def controls(view: View) -> None:
    """K-FAC against the controls at equal accuracy on rightly labelled images."""
    known = {recipe.id: recipe for recipe in view.study.recipes}
    chosen = [(known[name], known[name].title) for name in CONTROLS if name in known]
    wanted = view.measured.cost(view.recipe).value[view.tick]
    described = clean.frontier(view.measured, chosen, wanted)
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


def slices(view: View) -> None:
    """The loss along one image's own direction, eigendirections and the edit."""
    if view.study.landscape is None:
        return
    described = label_slices.slices(view.study.landscape)
    blocks.figure(described, draw_walks.valleys(described, view.theme), described.table())


def training(view: View) -> None:
    """How the wrong labels were learnt."""
    points: list[Mapping[str, Any]] = (view.study.training or {}).get("points", [])
    if len(points) < 2:
        return
    described = labels.learnt(points)
    blocks.figure(described, draw_estimates.lines(described, view.theme), described.table())
