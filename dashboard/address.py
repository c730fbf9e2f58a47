"""The view in the address bar: what a link asks for, and writing back what was chosen.

Streamlit can bind a widget to the address itself, but writes the label a person reads; here short
lasting names stand there (`?recipe=svd&mass=0.95`), for the selectors and the scrubber alike. The
address wins whenever it says something else than was last written: a link, or back and forward.

What is written reaches the browser later than a quick hand moves on: a run may be asked for from
an address that is about to be replaced. Such a one is known by having been there before, and is no
wish.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard.escape import plain

_WRITTEN, _PAGE, _MOVED = "hillshade_written", "hillshade_page", "hillshade_moved"
_UNDER_WAY = "hillshade_under_way"  # the address the browser last told, and those written since


def begin(page: str) -> None:
    """Once a run, before anything is asked: which page this is."""
    memory = st.session_state
    memory.setdefault(_WRITTEN, {})
    memory[_MOVED] = memory.get(_PAGE) not in (None, page)
    memory[_PAGE] = page
    told = st.query_params.to_dict()
    under_way: list[dict[str, str]] = memory.get(_UNDER_WAY, [])
    context = get_script_run_ctx()
    chosen = memory[_MOVED] or (context is not None and context.is_history_navigation)
    if chosen or told not in under_way or told == under_way[-1]:
        memory[_UNDER_WAY] = [told]
    else:
        memory[_UNDER_WAY] = under_way[under_way.index(told) :]


def _shown() -> dict[str, str]:
    """What the address bar says, or will say once it has all that was written."""
    shown: dict[str, str] = st.session_state[_UNDER_WAY][-1]
    return shown


def page() -> str:
    """The title of the page that is being run."""
    title: str = st.session_state.get(_PAGE, "")
    return title


def asked(name: str) -> str | None:
    """What the address newly asks for; "" where it was taken out; None where nothing is new."""
    now = _shown().get(name)
    # Going to another page empties the address: that is no wish.
    if now == st.session_state[_WRITTEN].get(name) or (now is None and st.session_state[_MOVED]):
        return None
    return now or ""


def write(name: str, value: str, default: str) -> None:
    """Note a value for the address; a default only where it was asked for by name.

    An empty value is taken out of the address.
    """
    if name not in _shown() and value == default:
        st.session_state[_WRITTEN].pop(name, None)
        return
    st.session_state[_WRITTEN][name] = value


def noted(names: Sequence[str]) -> dict[str, str]:
    """What the address will say under these names, for a link."""
    written: dict[str, str] = st.session_state[_WRITTEN]
    return {name: written[name] for name in names if written.get(name)}


def flush() -> None:
    """Once a run, at its end: all that was noted goes into the address, as one step of history."""
    noted: dict[str, str] = st.session_state[_WRITTEN]
    shown = _shown()
    wanted = {name: value for name, value in {**shown, **noted}.items() if value}
    if wanted != shown:
        st.session_state[_UNDER_WAY].append(wanted)
        st.query_params.from_dict(wanted)


def settled(options: Sequence[str], name: str, default: str, key: str = "") -> str:
    """The value under `name`, from the address or kept from before, with or without its widget.

    `key` is where the session keeps it, `name` itself unless two pages use one name.
    """
    key = key or name
    wish = asked(name)
    if wish is not None:
        st.session_state[key] = wish if wish in options else default
    elif st.session_state.get(key) not in options:
        st.session_state[key] = default
    value: str = st.session_state[key]
    write(name, value, default)
    return value


def choice(
    label: str, options: Sequence[str], name: str, said: Callable[[str], str], default: str
) -> str:
    """A selectbox whose value stands in the address under `name`, kept over pages."""
    settled(options, name, default)
    return st.selectbox(
        label,
        options,
        format_func=said,
        key=name,
        persist_state="session",
        label_visibility="collapsed",
    )


def pick(
    label: str, options: Sequence[str], name: str, said: Callable[[str], str], default: str
) -> str:
    """The same as pills in a row, for a few options that are read at once."""
    settled(options, name, default)
    value: str | None = st.segmented_control(
        label,
        options,
        format_func=lambda key: plain(said(key)),
        key=name,
        persist_state="session",
        required=True,
        label_visibility="collapsed",
    )
    return value or default
