"""The little CSS that Streamlit's theme has no option for."""

from __future__ import annotations

import streamlit as st

_CSS = """
<style>
.stMainBlockContainer { max-width: 1480px; padding-left: 3.25rem; padding-right: 3.25rem; }
.st-key-threshold {
  position: sticky; top: 3.4rem; z-index: 90; background: var(--st-paper);
  padding: 0.9rem 0 0.55rem; border-bottom: 1px solid var(--st-hair);
}
.st-key-selectors { margin-bottom: -0.35rem; }
.st-key-selectors [data-baseweb="select"] > div { min-height: 2.2rem; }
.stPlotlyChart { min-height: 0; }
.caption { font-size: 0.875rem; line-height: 1.45; max-width: 72ch; }
@media (max-width: 640px) {
  .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
  .st-key-selectors .stColumn { min-width: 0; flex: 1 1 100%; }
}
</style>
"""

PAPER = {"light": ("#FCFBF8", "#DAD8D0"), "dark": ("#12181D", "#33404A")}


def apply(theme: str) -> None:
    """Set the page's own rules; the sticky bar needs the paper's colour under it."""
    paper, hair = PAPER[theme]
    st.html(_CSS.replace("var(--st-paper)", paper).replace("var(--st-hair)", hair))
