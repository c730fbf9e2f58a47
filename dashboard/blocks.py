"""How a figure stands on a page: title, picture, what it shows, how to read it, its table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard.figures.look import CONFIG


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


def figure(described: Described, drawing: go.Figure, table: pd.DataFrame) -> None:
    """A Plotly figure with everything that belongs to it."""
    st.subheader(described.title, anchor=described.id)
    st.markdown(described.alt)
    st.plotly_chart(
        drawing, theme=None, config=CONFIG, alt=described.alt, key=f"chart-{described.id}"
    )
    reading(described, table)


def reading(described: Described, table: pd.DataFrame) -> None:
    """How to read a figure, and its numbers as a table."""
    st.caption(described.how)
    with st.expander("Show as table"):
        st.dataframe(table, hide_index=True, key=f"table-{described.id}")


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
