"""How a figure stands on a page: title, picture, what it shows, how to read it, its table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import moving, notices, present
from dashboard.components import scrubber
from dashboard.escape import plain
from dashboard.figures.look import config, enlarged
from dashboard.state import View


class Described(Protocol):
    """What every figure description carries."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def how(self) -> str: ...
    @property
    def alt(self) -> str: ...


PAINTED = "hillshade_painted"
Picked = Callable[[list[Any]], None]


def figure(
    described: Described, drawing: go.Figure, table: pd.DataFrame, picked: Picked | None = None
) -> None:
    """A Plotly figure with everything that belongs to it.

    `picked` gets the customdata of a point that was clicked, before the page runs again.
    """
    titled(described)
    chart(described, drawing, picked)
    reading(described, table)


def titled(described: Described) -> None:
    """A figure's title, and in words what it shows."""
    st.subheader(plain(described.title), anchor=described.id)
    st.markdown(plain(described.alt))


def finding(sentence: str, name: str) -> None:
    """What a page or a part of it has found: a heading, in the size of a sentence."""
    with st.container(key=f"finding-{name}"):
        st.header(plain(sentence), anchor=False)


def chart(described: Described, drawing: go.Figure, picked: Picked | None = None) -> None:
    """A Plotly chart alone; where only the tick moved, the browser changes the one it has."""
    key = f"chart-{described.id}"
    if present.on():
        drawing = enlarged(drawing, present.TYPE)
    sent, moved = moving.follow(described.id, drawing, described.alt)
    st.plotly_chart(
        sent.drawing,
        theme=None,
        config=config(described.id),
        alt=sent.alt,
        key=key,
    )
    scrubber.moves(key, moved, described.alt, picked)


def seen() -> bool:
    """Whether this visitor has seen a page painted, so that pages may come whole."""
    return bool(st.session_state.get(PAINTED))


def painted() -> bool:
    """The same, asked where the first screen of a page ends: if not, have it told once it is.

    A browser draws all charts it is sent before it shows any: on a first visit the first screen is
    sent alone, and the rest once that has been painted.
    """
    if seen():
        return True
    scrubber.painted(_have_seen)
    return False


def _have_seen() -> None:
    st.session_state[PAINTED] = True
    notices.keep()


def reading(described: Described, table: pd.DataFrame) -> None:
    """How to read a figure, and its numbers as a table."""
    st.caption(plain(described.how))
    _table(described.id, table)


@st.fragment
def _table(name: str, table: pd.DataFrame) -> None:
    """The numbers, sent once they are asked for."""
    with st.expander("Show as table", key=f"show-{name}", on_change="rerun") as shown:
        if shown.open:
            st.dataframe(table, hide_index=True, key=f"table-{name}")


def of_texts(view: View) -> bool:
    """Whether a page of texts can show the study in view; where not, says so, with a way on."""
    if view.measured.images:
        finding("This study is of images, this page of texts.", "kind")
        st.markdown("Its wrongly labelled images, before and after every cut, are on another page.")
        st.page_link("app_pages/vision.py", label="See them on Vision", icon=":material/image:")
    return not view.measured.images


def of_images(view: View) -> bool:
    """The same of a page of images, where no study of images is known."""
    if not view.measured.images:
        finding("This study is of texts, this page of images.", "kind")
        st.markdown(
            "No study of an image classifier is known here. Open one on the page Studies; what "
            "this one memorized is on Recall."
        )
        st.page_link("app_pages/recall.py", label="See it on Recall", icon=":material/article:")
        st.page_link("app_pages/studies.py", label="Open another study", icon=":material/folder:")
    return view.measured.images


@contextmanager
def understood(name: str) -> Iterator[None]:
    """Inside, a document of the study is read; one of another form becomes a sentence."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError):
        st.error(
            f"{name} of this study does not hold what this page reads, so the rest is not shown: "
            "it was written by another version of Hillshade. Make the study again."
        )
