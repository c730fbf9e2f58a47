"""The scrubber: the one threshold bar, and what follows its thumb without asking the server.

Five components-v2 parts speak over one bus in the browser: `bar` announces ticks; `live` (figures),
`texts` (before and after), `passage` (one text) and `wall` (images) follow. All get finished
numbers and snap to stored ticks. Three more work unseen: `moves` sets in a chart what changed,
`theme` sees a switch, `painted` the first picture.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard.components import parts

_HTML = '<div class="root"></div>'


def _part(name: str) -> Any:
    return st.components.v2.component(
        f"hillshade_{name}", html=_HTML, css=parts.style(name), js=parts.script(name)
    )


_bar = _part("bar")
_live = _part("live")
_texts = _part("texts")
_passage = _part("passage")
_wall = _part("wall")
_moves = _part("moves")
_theme = _part("theme")
_painted = _part("painted")


def _digest(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _versioned(data: Mapping[str, Any], tick: int) -> dict[str, Any]:
    """The data with a digest of all but the tick: an unchanged view is not drawn again."""
    return {**data, "tick": tick, "version": _digest(data)}


def bar(data: Mapping[str, Any], tick: int, on_release: Callable[[], None]) -> None:
    """The threshold bar; `on_release` runs when the thumb is let go at another tick."""
    _bar(
        key="bar",
        data=_versioned(data, tick),
        on_release_change=on_release,
    )


def theme(drawn: str) -> None:
    """Once a page: has it drawn again when the visitor switches to another theme than `drawn`."""
    _theme(key="theme", data={"drawn": drawn}, on_theme_change=lambda: None)


def painted(on_seen: Callable[[], None]) -> None:
    """`on_seen` runs once what stands on the page so far has been painted."""
    _painted(key="painted", on_seen_change=on_seen)


def live(
    axis: Mapping[str, Any],
    figures: Sequence[Mapping[str, Any]],
    tick: int,
    key: str,
    findings: Sequence[Sequence[str]] = (),
    layout: str = "",
) -> None:
    """Figures that follow the thumb, with the finding sentence of every tick above them."""
    # The alt sentences speak of the tick in view: kept apart, so that a release redraws nothing.
    alts = [figure["alt"] for figure in figures]
    data = {
        "axis": axis,
        "figures": [{k: v for k, v in f.items() if k != "alt"} for f in figures],
        "findings": list(findings),
        "layout": layout,
    }
    _live(key=key, data={**_versioned(data, tick), "alts": alts})


def texts(
    table: Mapping[str, Any],
    title: str,
    tick: int,
    key: str,
    page: tuple[int, int],
    on_page: Callable[[], None],
) -> None:
    """A table of prompts, truths, and continuations before and after; page (number, of how many).

    `on_page` runs when another page is asked for; its number is `st.session_state[key].page`.
    """
    data = {**table, "title": title, "page": page[0], "pages": page[1]}
    _texts(key=key, data=_versioned(data, tick), on_page_change=on_page)


def passage(table: Mapping[str, Any], tick: int, key: str, small: bool = False) -> None:
    """The first row of a table of texts in large type; without outputs its rest stays untold."""
    row = table["rows"][0]
    data = {**table, "row": row, "truth": table["heads"][1], "small": small}
    del data["rows"]
    _passage(key=key, data=_versioned(data, tick))


def wall(
    images: Mapping[str, Any],
    alt: str,
    tick: int,
    key: str,
    picked: str = "",
    on_pick: Callable[[str], None] | None = None,
) -> None:
    """Images with the labels they were given and show, and what is said of them.

    `on_pick` gets the id of an image that was chosen, before the page runs again; `picked` is the
    one in view.
    """

    def chosen() -> None:
        told = st.session_state[key].pick
        if on_pick is not None and isinstance(told, str):
            on_pick(told)

    data = {**_versioned(images, tick), "alt": alt, "picked": picked, "picks": on_pick is not None}
    _wall(key=key, data=data, on_pick_change=chosen)


def moves(
    chart: str,
    moved: Mapping[str, Any],
    alt: str,
    on_click: Callable[[list[Any]], None] | None = None,
) -> None:
    """What has changed in the Plotly chart of key `chart` since it was sent: see `moving`.

    `on_click` gets the customdata of a point that was clicked, before the page runs again.
    """
    key = f"moves-{chart}"
    data = {"chart": chart, "moves": moved, "alt": alt, "clicks": on_click is not None}

    def clicked() -> None:
        told = st.session_state[key].click
        if on_click is not None and isinstance(told, list):
            on_click(told)

    _moves(key=key, data={**data, "version": _digest(moved)}, on_click_change=clicked)
