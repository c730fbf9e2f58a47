"""What the model says at one point of a plane: its weights moved there, asked for a few texts.

The shared model is not touched: the point is a model of its own that owns only the moved matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.errors import HillshadeError
from core.study import Study
from dashboard import loading
from dashboard.components import scrubber
from dashboard.escape import plain
from dashboard.figures.cuts import Told
from dashboard.figures.rows import note
from dashboard.figures.texts import Row, Texts
from dashboard.loading import study_key
from dashboard.prompts import shown
from dashboard.state import View

if TYPE_CHECKING:
    from core.landscape.spec import Compass

STRINGS, PROBES = 4, 2  # of the study that are asked
_HEADS = ("Prompt", "The truth", "The model as it is", "The model there")


def compass_of(study: Study) -> Compass:
    """What directions of this study are made of; HillshadeError where its heavy part is missing."""
    from core.landscape.spec import Compass

    model, _ = loading.model_of(study)

    def edited(recipe_id: str, setting: float) -> Any:
        recipe = study.manifest.recipe(recipe_id)
        return loading.edited_model(study, recipe_id, recipe.tick_at(setting))

    bases = {name: study.basis(name) for name in study.spectra()}
    return Compass(model, bases, study.item_list(), edited)


@st.cache_data(show_spinner=False, max_entries=64)
def _heard(
    _study: Study, key: str, _told: Told, place: tuple[int, int], ids: tuple[str, ...]
) -> tuple[Row, ...]:
    del key
    from core.landscape.spec import RaySpec, stepped
    from core.landscape.summary import step_at
    from core.recall import evaluate

    model, tokenizer = loading.model_of(_study)
    compass = compass_of(_study)
    rays = [compass.ray(RaySpec(**axis["wanted"])) for axis in _told["axes"]]
    there = stepped(model, step_at(rays, _told, place))
    by_id = {item.id: item for item in _study.item_list()}
    items = [by_id[name] for name in ids if name in by_id]
    before, after = (evaluate(one, items) for one in (model, there))
    records = _study.items.set_index("id").loc[[item.id for item in items]]
    return tuple(
        Row(
            item.id,
            note(record),
            item.prompt.strip(),
            item.truth.strip(),
            (shown(tokenizer, list(was)), shown(tokenizer, list(now))),
            (bool(knew), bool(knows)),
        )
        for item, record, was, now, knew, knows in zip(
            items, records.to_dict("records"), before.continuations, after.continuations,
            before.strict, after.strict, strict=True,
        )
    )  # fmt: skip


def show(view: View, told: Told, place: tuple[int, int], ids: Sequence[str], key: str) -> None:
    """A table of prompts, truths and what is said at the point; a sentence where it cannot be."""
    if not view.study.has_heavy and any(
        axis["wanted"]["kind"] not in ("spike", "random") for axis in told["axes"]
    ):
        st.info("This study came without its eigenvectors, so the model cannot be moved there.")
        return
    try:
        with st.spinner("Moving the weights there …"):
            found = _heard(
                view.study, f"{study_key(view.study)} {told['texts_digest']} {key}", told, place,
                tuple(ids),
            )  # fmt: skip
    except HillshadeError as error:
        st.error(plain(str(error)))
        return
    if not found:
        return
    table = Texts(
        f"spoken-{key}", view.recipe.id, _HEADS, found, {"yes": "recited", "no": "broken"}
    )
    scrubber.texts(table.payload(), "What the model says there", 1, f"spoken-{key}", (1, 1), _stay)


def _stay() -> None:
    """There is only one page."""
