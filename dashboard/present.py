"""Present mode: a page for the wall of a lecture room, in large type and with few controls.

    ?present=1            large type; of the controls only the threshold stays
    ?show=recipe,tables   the controls a lesson keeps, those and no others (see CONTROLS)

Both stay in the address and are kept from page to page. What is not kept is hidden by the browser
alone: the page runs as ever, so a lesson and its link show the same view.
"""

from __future__ import annotations

import re

import streamlit as st

from dashboard import address, notices

PRESENT, SHOW = "present", "show"

# A control's name in the address: what it is, and where the page has it.
CONTROLS: dict[str, tuple[str, str]] = {
    "bar": ("the threshold", "[data-testid=stLayoutWrapper]:has(> .st-key-threshold)"),
    "study": ("which study", ".st-key-study"),
    "recipe": ("which edit", ".st-key-recipe"),
    "projection": ("which projection is in view", ".st-key-projection"),
    "choices": (
        "which texts, examples and steps are shown",
        ".st-key-text, .st-key-probe, .st-key-cost, .st-key-clean, .st-key-measured, .st-key-step, "
        ".st-key-image, .st-key-around",
    ),
    "tables": (
        "the table behind a figure, and its zoom",
        "[class*=st-key-show-], [class*=st-key-closer-]",
    ),
    "captions": ("how to read a figure", "[data-testid=stCaptionContainer]"),
    "words": ("what a word means", "[data-testid=stLayoutWrapper]:has(> .st-key-glossary)"),
    "prompt": (
        "texts of one's own",
        "[data-testid=stLayoutWrapper]:has(> :is(.st-key-own-prompt, .st-key-own-strings))",
    ),
    "downloads": ("what can be taken along", ".stDownloadButton, .modebar"),
}
USUAL = ("bar",)  # what present mode keeps where nothing is named

TYPE = 1.25  # how much larger all type is on the wall
_LARGE = f"""
html {{ font-size: {16 * TYPE:g}px; }}
[data-testid=stBidiComponentIsolated] {{ zoom: {TYPE:g}; }}
"""


def on() -> bool:
    """Whether this run shows a page for the wall."""
    return bool(st.session_state.get(PRESENT) == "1")


def apply() -> None:
    """Read the address and set the page's rules; unknown names are said. Once a run, early."""
    address.settled(("", "1"), PRESENT, "")
    kept, unknown = _named(_shown())
    if unknown:
        notices.say(
            f"The address asks to show {', '.join(unknown)}, which this page does not know. "
            f"Controls that can be kept: {', '.join(CONTROLS)}."
        )
    if kept is None and not on():
        return
    stay = USUAL if kept is None else kept
    hidden = [where for name, (_, where) in CONTROLS.items() if name not in stay]
    rules = f"{', '.join(hidden)} {{ display: none; }}" if hidden else ""
    st.html(f"<style>{_LARGE if on() else ''}{rules}</style>")


def _shown() -> str:
    """What stands under `show`, kept from page to page as the address had it."""
    wish = address.asked(SHOW)
    if wish is not None:
        st.session_state[SHOW] = wish
    said: str = st.session_state.get(SHOW, "")
    kept, _ = _named(said)
    st.session_state[SHOW] = ",".join(kept or ())  # a name of none is said once
    address.write(SHOW, st.session_state[SHOW], "")
    return said


def _named(said: str) -> tuple[tuple[str, ...] | None, list[str]]:
    """The controls that are named, None where nothing is; and names of none, fit to be shown."""
    names = [name.strip().lower() for name in said.split(",") if name.strip()]
    if not names:
        return None, []
    unknown = [re.sub(r"[^\w -]", "", name)[:30] or "a sign" for name in names]
    known = tuple(name for name in CONTROLS if name in names)
    return known, [
        shown for name, shown in zip(names, unknown, strict=True) if name not in CONTROLS
    ]


def way() -> None:
    """At the end of every page: the way into present mode, and out of it."""
    label = "Leave present mode" if on() else "Present this page"
    with st.container(key="present-way", horizontal=True, horizontal_alignment="right"):
        key = "Esc" if on() else None  # as every presentation is left
        st.button(label, type="tertiary", key="present-turn", on_click=_turn, shortcut=key)


def _turn() -> None:
    """Before the page runs again; leaving, a lesson's choice of controls is left too."""
    st.session_state[PRESENT] = "" if on() else "1"
    if not on():
        st.session_state[SHOW] = ""
