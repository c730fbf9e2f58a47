"""A map of one text, computed from the page: of the pinned example or of what a visitor types.

What is typed stays in the session and never enters the address.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from core.errors import HillshadeError
from core.study import Study
from dashboard import blocks, jobs, loading, portraits_sections
from dashboard.escape import plain
from dashboard.figures import cells as figures_cells
from dashboard.figures import draw_estimates, draw_portraits
from dashboard.figures.cells import Mapped
from dashboard.figures.portraits import Subject
from dashboard.figures.spectrum import short
from dashboard.loading import study_key
from dashboard.state import View

if TYPE_CHECKING:
    from core.curvature.examples import Example

JOB = "map"
SHORTEST = 3  # tokens of a text: one that begins it, one to read, one to predict
_TEXT = "map-text"


def show(view: View) -> None:
    """The form, the job while it runs, and the last map."""
    st.header("The map of one text", anchor="map-of-one")
    name = plain(short(view.projection))
    st.caption(
        f"All directions of the projection in view, {name}, for a text of yours or for pin A: "
        "eight backward passes, computed on this server beside the pages. Of your text every "
        "prediction counts, of pin A those of what truly follows."
    )
    if not view.study.has_heavy:
        st.info(
            "This study came without its eigenvectors, so no map can be computed here; the stored "
            "results on this page are complete."
        )
        return
    with st.form("map-form", border=False):
        st.text_area(
            "Text",
            key=_TEXT,
            height=88,
            placeholder="Leave it empty for pin A",
            persist_state="session",
        )
        asked = st.form_submit_button("Compute the map", disabled=jobs.busy() is not None)
    if asked:
        try:
            jobs.start(JOB, _work(view, str(st.session_state.get(_TEXT) or "")))
        except HillshadeError as error:
            st.error(plain(str(error)))
            return
    jobs.follow(JOB)
    made = jobs.found(JOB)
    if isinstance(made, Mapped):
        _result(view, made)


def _work(view: View, text: str) -> Any:
    """The job: of what is typed, or of pin A where nothing is."""
    text = text.strip()
    if text:
        return partial(_own, view.study, view.projection, text)
    found = portraits_sections.pinned(view)
    id_ = st.session_state.get("a")
    if found is None or id_ not in found.ids:
        raise HillshadeError(
            f"No example is pinned in {short(view.projection)}; type a text of at least two words."
        )
    return partial(_pinned, view.study, view.projection, found.subjects[found.ids.index(id_)])


def _own(study: Study, projection: str, text: str, progress: jobs.Progress) -> Mapped:
    from core.curvature.examples import Example

    progress(0, 1, "Loading the model")
    model, tokenizer = loading.model_of(study)
    context = int(model.config.max_position_embeddings)
    ids: list[int] = tokenizer.encode(text)
    if len(ids) < SHORTEST:
        raise HillshadeError("The text is too short to predict anything; type a few words.")
    if len(ids) > context:
        raise HillshadeError(
            f"The text has {len(ids)} tokens and the model reads at most {context}; shorten it."
        )
    example = Example.of_text(ids)
    return _mapped(
        study, projection, f"your text ({example.tokens} predictions)", example, progress
    )


def _pinned(study: Study, projection: str, one: Subject, progress: jobs.Progress) -> Mapped:
    from core.curvature.examples import Example

    progress(0, 1, "Loading the model")
    _, tokenizer = loading.model_of(study)
    items = {item.id: item for item in study.item_list()}
    if one.id in items:
        example = Example.of_item(items[one.id])
    else:  # a fresh text, which is no item
        ids = tokenizer.encode(one.prompt + one.truth)
        example = Example(tuple(ids), range(len(ids) - 1 - one.tokens, len(ids) - 1))
    name = one.kind.partition(",")[0]
    return _mapped(study, projection, f"pin A ({name.lower()} {one.id})", example, progress)


def _mapped(
    study: Study, projection: str, name: str, example: Example, progress: jobs.Progress
) -> Mapped:
    from core.curvature.bands import rank_bands
    from core.curvature.maps import DRAWS, example_map, in_cells
    from core.curvature.portraits import BANDS
    from core.projection import find_projections

    model, _ = loading.model_of(study)
    there = {p.name: p for p in find_projections(model)}
    basis = study.basis(projection)
    whole = example_map(
        model,
        basis,
        there[projection],
        example,
        progress=lambda done, total: progress(done, total, "Drawing labels, and backward"),
    )
    values, rows, columns = in_cells(whole)
    bands = rank_bands(basis, BANDS)
    sums = np.bincount(bands.grid.ravel(), whole.double().numpy().ravel()).astype(np.float64)
    return Mapped(
        name,
        study_key(study),
        projection,
        DRAWS,
        values,
        tuple(rows.tolist()),
        tuple(columns.tolist()),
        sums,
        tuple(np.cumsum(bands.counts).tolist()),
    )


def _result(view: View, mapped: Mapped) -> None:
    """The map, and its curve beside that of pin A."""
    if mapped.study != study_key(view.study):
        return
    if mapped.projection != view.projection:
        st.caption(
            f"Computed in {plain(short(mapped.projection))}; another projection is in view "
            "since. Compute it again to see it there."
        )
        found = None
    else:
        found = portraits_sections.pinned(view)
    left, right = st.columns([1.1, 1], gap="large")
    with left:
        described = figures_cells.cells(mapped)
        blocks.figure(described, draw_portraits.cells(described, view.theme), described.table())
    with right:
        id_ = None if found is None else str(st.session_state["a"])
        beside = figures_cells.beside(mapped, found, id_)
        blocks.figure(beside, draw_estimates.lines(beside, view.theme), beside.table())
