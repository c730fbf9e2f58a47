"""A prompt of one's own: continued greedily by the original and by the edited model.

The edited model is a new object beside the shared one (see `loading`), so a visitor with another
threshold never meets it. What is typed stays in the session and never enters the address.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.errors import HillshadeError
from dashboard import loading
from dashboard.escape import plain
from dashboard.figures.measured import SPLIT
from dashboard.figures.texts import END
from dashboard.figures.words import setting
from dashboard.state import View

NEW_TOKENS = 40
PIECE = 4  # tokens between two signs of progress
_KEY = "own-prompt-text"
_RESULT = "hillshade_own_result"


@dataclass(frozen=True)
class Result:
    """Two continuations of one prompt, and at which threshold the second was made."""

    prompt: str
    original: str
    edited: str
    recipe: str
    title: str
    setting: float


def show(view: View) -> None:
    """The form, the run with its progress, and the last result."""
    st.caption(
        f"Both models continue your text greedily for up to {NEW_TOKENS} tokens. The edited one "
        f"is cut where the slider stands, at {setting(view.setting)} "
        f"({plain(view.recipe.axis.label)})."
    )
    if not view.study.has_heavy:
        st.info(
            "This study came without its eigenvectors, so nothing can be edited live here; the "
            "stored results on this page are complete."
        )
        return
    with st.form("own-prompt-form", border=False):
        st.text_area("Prompt", value=_example(view), key=_KEY, height=88, persist_state="session")
        asked = st.form_submit_button("Continue with both models")
    place = st.container()
    if asked:
        with place:
            _run(view, str(st.session_state.get(_KEY, "")))
    elif isinstance(result := st.session_state.get(_RESULT), Result):
        with place:
            _result(view, result)


def _example(view: View) -> str:
    """The first memorized prompt of the reporting half: pressing the button shows the point."""
    items = view.study.items
    rows = items[(items["kind"] == "memory") & (items["split"] == SPLIT)]
    for group in ("passage", "recited"):
        found = rows[rows["group"] == group].sort_values("repeats", ascending=False)
        if len(found):
            return str(found.iloc[0]["prompt"])
    return ""


def _run(view: View, prompt: str) -> None:
    bar = st.progress(0.0, "Loading the model …")
    left, right = _columns(view.setting)
    try:
        model, tokenizer = loading.model_of(view.study)
        ids = _encode(tokenizer, prompt, _context(model))
        room = min(NEW_TOKENS, _context(model) - len(ids))
        bar.progress(0.0, "Cutting the weights …")
        edited = loading.edited_model(view.study, view.recipe.id, view.tick)
        texts = []
        for number, (one, place) in enumerate(((model, left), (edited, right))):
            name = ("original", "edited")[number]
            said: list[int] = []
            for said in pieces(one, ids, room, tokenizer.eos_token_id):
                done = (number + len(said) / room) / 2
                bar.progress(done, f"The {name} model writes: {len(said)} of {room} tokens")
                place.text(shown(tokenizer, said))
            texts.append(shown(tokenizer, said))
    except HillshadeError as error:
        bar.empty()
        left.empty()
        right.empty()
        st.error(plain(str(error)))
        return
    bar.empty()
    st.session_state[_RESULT] = Result(
        prompt, texts[0], texts[1], view.recipe.id, view.recipe.title, view.setting
    )


def _encode(tokenizer: Any, prompt: str, context: int) -> list[int]:
    if not prompt.strip():
        raise HillshadeError("The prompt is empty; type at least one word.")
    ids: list[int] = tokenizer.encode(prompt.rstrip())
    if len(ids) >= context:
        raise HillshadeError(
            f"The prompt has {len(ids)} tokens and the model reads at most {context}, its own "
            f"words included; shorten the prompt to fewer than {context} tokens."
        )
    return ids


def _context(model: Any) -> int:
    return int(model.config.max_position_embeddings)


def pieces(model: Any, ids: list[int], count: int, end: int | None) -> Iterator[list[int]]:
    """The greedy continuation so far, a few tokens longer each time (so that progress shows).

    Ends after `count` tokens, or with the token that ends a text.
    """
    from core.recall import complete

    said: list[int] = []
    while len(said) < count and end not in said:
        said += complete(model, [*ids, *said], min(PIECE, count - len(said)))
        yield list(said)


def shown(tokenizer: Any, said: list[int]) -> str:
    """What a model said, up to where it ended the text."""
    end = tokenizer.eos_token_id
    ended = end in said
    text: str = tokenizer.decode(said[: said.index(end)] if ended else said)
    return f"{text.strip()} {END}".strip() if ended else text.strip()


def _columns(value: float) -> tuple[Any, Any]:
    columns = st.columns(2, gap="large")
    places = []
    heads = ("Original model", f"Edited model, {setting(value)} kept")
    for column, head in zip(columns, heads, strict=True):
        column.markdown(f"**{head}**")
        places.append(column.empty())
    return places[0], places[1]


def _result(view: View, result: Result) -> None:
    left, right = _columns(result.setting)
    left.text(result.original)
    right.text(result.edited)
    if (result.recipe, result.setting) != (view.recipe.id, view.setting):
        st.caption(
            f"Made with {plain(result.title)} at {setting(result.setting)}; the slider has moved "
            "since. Continue again to see the edit in view."
        )
