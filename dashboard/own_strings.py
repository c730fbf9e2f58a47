"""A list of one's own strings: is each recited before the cut, and after it, where the slider is?

Asked in a job beside the page, of the shared model and of an edited one made from it. What is
pasted or uploaded stays in the session and never enters the address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.errors import HillshadeError
from dashboard import exports, jobs, loading
from dashboard.components import scrubber
from dashboard.escape import plain
from dashboard.figures import own, rows
from dashboard.figures.own import Asked
from dashboard.figures.words import setting
from dashboard.prompts import shown
from dashboard.state import View

if TYPE_CHECKING:
    from core.items import Item
    from core.recall import Outcome

JOB = "own-strings"
MOST = 200  # strings of one list
LARGEST = 1  # MB of a file
PIECE = 4  # strings between two signs of progress
EXAMPLES = 3  # of the study, in the list before one's own is pasted
_TEXT, _FILE, _SOURCE, _PAGE = "own-list", "own-file", "own-source", "hillshade_page_own"
_PASTED, _UPLOADED = "Paste a list", "Upload JSONL"


def show(view: View) -> None:
    """The form, the job with its progress, and the last result."""
    if not view.study.has_heavy:
        return  # the section on prompts, above, says why nothing is live
    st.subheader("Your own strings", anchor="own-strings")
    st.caption(
        "Both models are asked to go on from each prompt, and what they say is held against the "
        f"true text. Up to {MOST} strings, each no longer than the model reads. A pasted line is "
        "cut at half of its tokens: the first half is the prompt. A .jsonl file says itself where: "
        '{"prefix": "…", "suffix": "…"} or {"prefix_ids": […], "suffix_ids": […]} a line.'
    )
    read = _form(view)
    place = st.container()
    job = jobs.of(JOB)
    if read is not None and (job is None or not job.state.running):
        if jobs.busy() not in (None, JOB):
            st.info("Another computation of yours is running; cancel it or wait for its end.")
            return
        jobs.start(JOB, partial(ask, view, read))
        st.session_state.pop(_PAGE, None)
    with place:
        jobs.follow(JOB)
    answered = jobs.found(JOB)
    if isinstance(answered, Asked):
        _result(view, answered)


def _form(view: View) -> Callable[[Any], list[Item]] | None:
    """What reads the strings with a tokenizer, once the button is pressed; None before."""
    source = st.segmented_control(
        "Where the strings come from", (_PASTED, _UPLOADED), default=_PASTED, key=_SOURCE,
        label_visibility="collapsed", required=True, persist_state="session",
    )  # fmt: skip
    with st.form("own-strings-form", border=False):
        if source == _UPLOADED:
            file = st.file_uploader(
                f"A .jsonl file of at most {LARGEST} MB", type="jsonl", key=_FILE,
                max_upload_size=LARGEST,
            )  # fmt: skip
        else:
            st.text_area(
                "One string a line", value=_examples(view), key=_TEXT, height=132,
                persist_state="session",
            )  # fmt: skip
        if not st.form_submit_button("Ask both models"):
            return None
    from core.strings import halved_strings, jsonl_strings

    if source == _UPLOADED:
        if file is None:
            st.error("Choose a file first.")
            return None
        data, name = file.getvalue(), file.name
        return lambda tokenizer: jsonl_strings(data, name, tokenizer, MOST)
    text = str(st.session_state.get(_TEXT, ""))
    if not text.strip():
        st.error("The list is empty; paste at least one string.")
        return None
    return lambda tokenizer: halved_strings(text, tokenizer, MOST)


def _examples(view: View) -> str:
    """Memorized strings of the reporting half: pressing the button shows the point."""
    records = rows.pick(view.study.items, "memory", rows.MIXED)
    strings = [f"{r['prompt']}{r['truth']}" for r in records]
    return "\n".join([s for s in strings if "\n" not in s][:EXAMPLES])


def ask(view: View, read: Callable[[Any], list[Item]], progress: Callable[..., None]) -> Asked:
    """The work: read the strings, cut the model at the view's tick, ask both."""
    progress(0, 1, "Loading the model")
    model, tokenizer = loading.model_of(view.study)
    items = read(tokenizer)
    _require_short(items, int(model.config.max_position_embeddings))
    progress(0, 1, "Cutting the weights")
    edited = loading.edited_model(view.study, view.recipe.id, view.tick)
    answers: list[Outcome] = []
    for number, (name, one) in enumerate((("original", model), ("edited", edited))):

        def told(done: int, name: str = name, before: int = number * len(items)) -> None:
            progress(before + done, 2 * len(items), f"Asking the {name} model")

        answers.append(asked_of(one, items, told))
    before, after = answers
    return Asked(
        tuple(items),
        before,
        after,
        _texts(tokenizer, before),
        _texts(tokenizer, after),
        view.recipe.id,
        view.recipe.title,
        view.setting,
    )


def _require_short(items: Sequence[Item], context: int) -> None:
    for item in items:
        if item.length > context:
            raise HillshadeError(
                f"The string in line {own.line(item)} has {item.length} tokens and the model reads "
                f"at most {context}; shorten it."
            )


def asked_of(model: Any, items: Sequence[Item], told: Callable[[int], None]) -> Outcome:
    """`core.recall.evaluate`, a few strings at a time (so that progress shows)."""
    import numpy as np

    from core.recall import Outcome, evaluate

    parts: list[Outcome] = []
    for start in range(0, len(items), PIECE):
        told(start)
        parts.append(evaluate(model, items[start : start + PIECE]))
    return Outcome(
        strict=np.concatenate([part.strict for part in parts]),
        loose=np.concatenate([part.loose for part in parts]),
        distance=np.concatenate([part.distance for part in parts]),
        right=np.concatenate([part.right for part in parts]),
        continuations=tuple(ids for part in parts for ids in part.continuations),
    )


def _texts(tokenizer: Any, outcome: Outcome) -> tuple[str, ...]:
    return tuple(shown(tokenizer, list(ids)) for ids in outcome.continuations)


def _result(view: View, asked: Asked) -> None:
    said = own.finding(asked)
    st.markdown(f"**{plain(said.head)}** {plain(said.rest)}")
    number = min(max(int(st.session_state.get(_PAGE, 1)), 1), asked.pages)

    def turned() -> None:
        st.session_state[_PAGE] = st.session_state["texts-own"].page or number

    scrubber.texts(
        own.rows(asked, number).payload(), "Your own strings", own.AFTER, "texts-own",
        (number, asked.pages), turned,
    )  # fmt: skip
    if (asked.recipe, asked.setting) != (view.recipe.id, view.setting):
        st.caption(
            f"Made with {plain(asked.title)} at {setting(asked.setting)}; the slider has moved "
            "since. Ask again to see the edit in view."
        )
    table = own.table(asked)
    with st.expander("Show as table"):
        st.dataframe(own.rates(asked), hide_index=True, key="table-own-rates")
        st.caption("In brackets: 95 % interval of a share of so many strings (Wilson).")
        st.dataframe(table, hide_index=True, key="table-own")
    st.download_button(
        "As CSV", exports.csv(table), "own-strings.csv", "text/csv",
        key="download-own-strings", on_click="ignore", icon=":material/download:",
    )  # fmt: skip
