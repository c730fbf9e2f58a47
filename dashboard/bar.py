"""The threshold bar above every page: study, recipe, projection in view, and the slider."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from core.manifest import StoredRecipe
from core.study import Study
from dashboard import address, loading, state
from dashboard.components import scrubber
from dashboard.figures.measured import Measured, axis_of
from dashboard.figures.spectrum import UNKNOWN, boundary, by_curvature, in_order, short, unit_of
from dashboard.figures.words import count, listing, percent, setting

STUDY_TITLES = {
    "language": "Shipped language model",
    "vision": "Shipped image classifier",
    "own": "Your study",
}
_LENT = "hillshade_lent"  # the study of the other pages, while a page of images shows its own


def show(images: bool = False) -> state.View:
    """Draw the bar and return the view it sets; StudyError when the study cannot be opened.

    On a page of `images` the studies of texts are left out, where there is another.
    """
    with st.container(key="selectors"):
        place_study, place_recipe, place_projection = st.columns([1, 1.5, 1])
    with place_study:
        study = _study(images)
    titles = {recipe.id: recipe_title(recipe) for recipe in study.recipes}
    with place_recipe:
        recipe_id = address.choice(
            "Edit: method and weights",
            list(titles),
            "recipe",
            titles.__getitem__,
            next(iter(titles)),
        )
    with place_projection:
        projection = address.choice(
            "Projection in view (never changes the edit)",
            in_order(study.spectra()),
            "projection",
            lambda key: f"In view: {short(key)}",
            _first(study),
        )
    view = _view(study, recipe_id, projection)
    threshold(view)
    return view


def threshold(view: state.View) -> None:
    """The slider itself; it stays in reach while the page scrolls."""
    with st.container(key="threshold"):
        scrubber.bar(payload(view.study, view.recipe, view.projection), view.tick, state.released)


def show_study_only() -> state.View:
    """The bar of a page that no threshold moves: the study alone; the rest is kept as it was."""
    with st.container(key="selectors"):
        place_study, _ = st.columns([1, 2.5])
    with place_study:
        study = _study()
    recipes = [recipe.id for recipe in study.recipes]
    recipe_id = address.settled(recipes, "recipe", recipes[0])
    projections = in_order(study.spectra())
    return _view(study, recipe_id, address.settled(projections, "projection", _first(study)))


def _study(images: bool = False) -> Study:
    studies = loading.available()
    names = list(studies)
    if images:
        names = [name for name in names if not loading.of_texts(studies[name])] or names
        if (current := st.session_state.get("study", next(iter(studies)))) not in names:
            st.session_state[_LENT] = current
    elif _LENT in st.session_state:
        st.session_state["study"] = lent = st.session_state.pop(_LENT)
        address.write("study", lent, names[0])  # so that a link to the other one is a wish
    name = address.choice("Study", names, "study", lambda key: STUDY_TITLES.get(key, key), names[0])
    state.turn_to(name)
    return loading.open_study(studies[name])


def _first(study: Study) -> str:
    """The projection in view before one is chosen."""
    return _told_of(study, loading.study_key(study)) or in_order(study.recipes[0].projections)[0]


@st.cache_data(show_spinner=False, max_entries=8)
def _told_of(_study: Study, key: str) -> str | None:
    """The projection that was chosen to tell of single examples; None where none was."""
    del key
    findings = (_study.curvature or {}).get("findings")
    chosen = findings.get("chosen") if isinstance(findings, dict) else None
    return chosen if chosen in _study.spectra() else None


def _view(study: Study, recipe_id: str, projection: str) -> state.View:
    recipe = study.manifest.recipe(recipe_id)
    measured = loading.measured(study)
    tick = state.resolve_tick(measured, recipe)
    view = state.View(study, measured, recipe, tick, projection, state.theme())
    state.set_view(view)
    return view


def recipe_title(recipe: StoredRecipe) -> str:
    """A recipe as one line: method, layers, kinds."""
    layers = [str(layer) for layer in recipe.layers]
    where = f"layer{'s' * (len(layers) > 1)} {listing(layers)}"
    return f"{recipe.title}: {where}, {' + '.join(recipe.kinds)}"


@st.cache_data(show_spinner=False, max_entries=32)
def _payload(_study: Study, key: tuple[str, str, str]) -> dict[str, Any]:
    recipe = _study.manifest.recipe(key[1])
    axis = axis_of(recipe)
    return {
        "study": key[0],
        "axis": axis.payload(),
        "ends": ["nothing cut", "more cut →"],
        "readouts": readouts(_study, loading.measured(_study), recipe, key[2]),
    }


def payload(study: Study, recipe: StoredRecipe, projection: str) -> dict[str, Any]:
    """What the bar component gets."""
    return _payload(study, (loading.study_key(study), recipe.id, projection))


def readouts(
    study: Study, measured: Measured, recipe: StoredRecipe, projection: str
) -> list[dict[str, Any]]:
    """The setting and its exact translations at every tick, as finished text."""
    kept = measured.point(recipe, "directions_kept")
    total = measured.point(recipe, "directions_total")
    weight = measured.point(recipe, "weight_kept")
    label = recipe.axis.label
    # What makes a name long is said where the mouse rests.
    name = label.removesuffix(" of all projections together")
    name = "K-FAC mass it matches" if recipe.method == "noise" else name
    return [
        {
            "name": name[0].upper() + name[1:],
            "hint": f"What the slider sets: {label}.",
            "at": [setting(value) for value in recipe.ticks],
        },
        {
            "name": "Directions kept",
            "hint": "Over all edited weights together.",
            "at": [_directions(k, n) for k, n in zip(kept, total, strict=True)],
        },
        {
            "name": "Share of ‖W‖² kept",
            "hint": "Squared norm of the edited weights that is left, over all of them together.",
            "at": [percent(value) if math.isfinite(value) else "–" for value in weight],
        },
        {
            "name": f"Cut-off, {short(projection)}",
            "hint": "Directions of the projection in view with a smaller λᵢμⱼ are cut."
            + ("" if study.manifest.scale == "summed" else f" {UNKNOWN}"),
            "at": _cutoffs(study, recipe, projection),
        },
    ]


def _directions(kept: float, total: float) -> str:
    if not (math.isfinite(kept) and math.isfinite(total)) or total <= 0:
        return "–"
    return f"{count(kept)} of {count(total)}"


def _cutoffs(study: Study, recipe: StoredRecipe, projection: str) -> list[str]:
    if not by_curvature(recipe):
        return ["not by curvature"] * len(recipe.ticks)
    if projection not in recipe.projections:
        return ["not edited here"] * len(recipe.ticks)
    kept = [study.kept(recipe, projection, value) for value in recipe.ticks]
    edge = boundary(kept, (), unit_of(study, projection))
    return [
        "none" if value >= 1.0 else edge.flatter_than(tick)
        for tick, value in enumerate(recipe.ticks)
    ]
