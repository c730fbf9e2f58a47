"""What the address asked for in vain, said until the visitor does something.

A first visit's page runs a second time by itself, once its first screen has been painted: what was
said in the first run must not vanish in the second.
"""

from __future__ import annotations

import streamlit as st

from dashboard.escape import plain

_SAID, _AGAIN = "hillshade_notices", "hillshade_runs_again"


def begin() -> None:
    """Once a run, early: show again what the run before said, if nobody asked for this one."""
    memory = st.session_state
    if memory.pop(_AGAIN, False):
        for text in memory.get(_SAID, []):
            st.warning(plain(text))
    else:
        memory[_SAID] = []


def say(text: str) -> None:
    """A warning that a run of the page's own does not take away."""
    st.session_state.setdefault(_SAID, []).append(text)
    st.warning(plain(text))


def keep() -> None:
    """From a callback: the run that follows is the page's own."""
    st.session_state[_AGAIN] = True
