"""The sections of the Recall page, top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from core.manifest import StoredRecipe
from core.study import Study
from dashboard import address, blocks, own_strings, prompts, state
from dashboard.components import scrubber
from dashboard.escape import plain
from dashboard.figures import compare, draw_recall, recall, rows
from dashboard.figures.words import change, listing, percent
from dashboard.loading import study_key
from dashboard.state import View

NO_PROMISE = (
    "No edit can promise full removal. A string that no longer comes back greedily may still come "
    "back under sampling, from a longer or shifted prompt, or after a few steps of training."
)
CONTROLS = ("kfac", "svd", "magnitude", "random", "noise")


@st.cache_resource(show_spinner=False, max_entries=16)
def _said(_study: Study, key: tuple[str, str]) -> rows.Said:
    return rows.continuations(_study.outputs, _study.manifest.recipe(key[1]))


def said(view: View) -> rows.Said:
    """The stored continuations of the recipe in view."""
    return _said(view.study, (study_key(view.study), view.recipe.id))


@st.cache_resource(show_spinner=False, max_entries=64)
def _sheet(
    _study: Study, key: tuple[str, str], kind: str, group: str, number: int
) -> tuple[dict[str, Any], int]:
    """One page of a table of texts, as the component gets it, and how many pages there are."""
    items, known = _study.items, _said(_study, key)
    table = rows.table(items, known, _study.manifest.recipe(key[1]), kind, group, number)
    return table.payload(), rows.pages(items, known, kind, group)


def story(view: View) -> None:
    """The finding, the curves under the slider, and the spectrum of abilities: all live."""
    told = recall.story(view.measured, view.recipe, view.tick)
    scrubber.live(
        told.axis.payload(),
        [told.curves.payload(), told.bars.payload()],
        view.tick,
        key="recall-live",
        findings=[finding.payload() for finding in told.findings],
    )


def texts(view: View) -> None:
    """Memorized strings and probes, before and after, side by side."""
    with st.container(key="texts"):
        left, right = st.columns([1.55, 1], gap="medium")
    with left:
        _texts(view, "memory", "Memorized text", rows.memory_choices(view.study.items))
    with right:
        _texts(view, "probe", "Abilities", rows.probe_choices(view.study.items))
    st.caption(
        "Stored continuations, greedy, of the half of the items that no setting was chosen on. "
        f"Underlined and bold: words that repeat the true text. {NO_PROMISE}{_aside(view)}"
    )


def _aside(view: View) -> str:
    """What must be said wherever SVD is shown."""
    if view.recipe.method != "svd":
        return ""
    return (
        " At 7B parameters the paper finds SVD nearly as good as K-FAC; the chart below compares "
        "them here."
    )


def _texts(view: View, kind: str, title: str, choices: dict[str, str]) -> None:
    head, filters = st.columns([1.5, 1], vertical_alignment="bottom")
    head.subheader(title, anchor=False)
    with filters:
        group = address.choice(
            f"Which {title.lower()}",
            list(choices),
            "text" if kind == "memory" else "probe",
            choices.__getitem__,
            rows.MIXED,
        )
    key, page_key = f"texts-{kind}", f"hillshade_page_{kind}_{group}"
    asked = int(st.session_state.get(page_key, 1))
    where = (study_key(view.study), view.recipe.id)
    table, count = _sheet(view.study, where, kind, group, asked)
    number = min(max(asked, 1), count)

    def turned() -> None:
        st.session_state[page_key] = st.session_state[key].page or number

    if table["rows"]:
        scrubber.texts(table, title, view.tick, key, (number, count), turned)
    else:
        st.info("This study stores no continuations here.")


def own_prompt(view: View) -> None:
    """A prompt of one's own, on the original and on the edited model."""
    with st.container(key="own-prompt"):
        st.subheader("Your own prompt", anchor="own-prompt")
        prompts.show(view)


def own_list(view: View) -> None:
    """A list of one's own strings, asked of both models."""
    with st.container(key="own-strings"):
        own_strings.show(view)


def controls(view: View) -> None:
    """K-FAC against the controls at equal perplexity of fresh text."""
    study = view.study
    known = {recipe.id: recipe for recipe in study.recipes}
    chosen = [(known[name], known[name].title) for name in CONTROLS if name in known]
    wanted = view.measured.ratio(view.recipe).value[view.tick]
    described = compare.tradeoff(
        view.measured, chosen, wanted, "controls", "Is it the curvature? The same cost, other cuts"
    )
    drawing = draw_recall.tradeoff(described, view.theme)
    blocks.figure(described, drawing, described.table(), picked=partial(_picked, study))
    tolerance = tolerated(
        chosen,
        "At equal perplexity of fresh text",
        lambda key: change(1.0 + float(key)),
        "cost",
    )
    if tolerance is None:
        return
    st.dataframe(
        compare.compared(view.measured, at_cost(chosen, tolerance)),
        hide_index=True,
    )
    dearer = [name for recipe, name in chosen if tolerance not in recipe.equal]
    none = f"No setting of {plain(listing(dearer))} costs so little. " if dearer else ""
    st.caption(
        f"{none}"
        "Every edit on its own axis and its own layers, each at the stored setting that costs this "
        "much. Abilities are edited over original, above chance. In the paper, SVD comes close to "
        "K-FAC at 7B parameters (recited 3.0 % against 3.4 %, perplexity 22.49 against 22.84)."
    )


def tolerated(
    chosen: list[tuple[StoredRecipe, str]], label: str, said: Callable[[str], str], key: str
) -> str | None:
    """The cost at which methods are compared, picked among the stored; None where none is."""
    tolerances = sorted({key for recipe, _ in chosen for key in recipe.equal}, key=float)
    if not tolerances:
        return None
    picked: str | None = st.segmented_control(
        label,
        tolerances,
        default=tolerances[-1],
        format_func=said,
        key=key,
        persist_state="session",
        required=True,
    )
    return picked or tolerances[-1]


def at_cost(
    chosen: list[tuple[StoredRecipe, str]], tolerance: str
) -> list[tuple[StoredRecipe, str, int]]:
    """Those that have a stored setting at this tolerance, with its tick."""
    return [(r, name, r.equal[tolerance]) for r, name in chosen if tolerance in r.equal]


def repeats_and_share(view: View) -> None:
    """Two questions about memory: how often must a text be seen, and who was in the sample?"""
    study = view.study
    left, right = st.columns(2, gap="large")
    with left:
        classes = compare.recall_by_repeats(view.measured, view.recipe, view.tick)
        if classes.groups:
            blocks.figure(classes, draw_recall.classes(classes, view.theme), classes.table())
    shares = _shares(view)
    if len(shares) < 2:
        return
    wanted = view.measured.ratio(view.recipe).value[view.tick]
    with right:
        described = compare.tradeoff(
            view.measured,
            shares,
            wanted,
            "share",
            "When planted text is in the factor sample",
            "Each line is the same cut with factors from a sample that holds so much planted "
            f"text; all other figures use {percent(study.manifest.planted_share or 0.0)}.",
        )
        blocks.figure(
            described,
            draw_recall.tradeoff(described, view.theme, graded=True),
            described.table(),
            picked=partial(_picked, study),
        )


def _picked(study: Study, told: list[Any]) -> None:
    """A point of a trade-off curve sets edit and threshold."""
    recipe_id, tick = told[2:]
    state.put(study.manifest.recipe(str(recipe_id)), int(tick))


def _shares(view: View) -> list[tuple[StoredRecipe, str]]:
    """The K-FAC recipes that differ in the planted share of the factor sample, in its order."""
    found: dict[float, StoredRecipe] = {}
    for recipe in view.study.recipes:
        if recipe.method == "kfac" and recipe.planted_share is not None:
            found.setdefault(recipe.planted_share, recipe)
    return [
        (found[share], "none planted" if share == 0 else f"{percent(share)} planted")
        for share in sorted(found)
    ]


def full_curves(view: View) -> None:
    """Every stored measure over the threshold, to zoom and to read off."""
    described = recall.full_curves(view.measured, view.recipe, view.tick)
    drawing = draw_recall.curves(described, view.tick, view.theme)
    blocks.figure(described, drawing, described.table())
