"""The little CSS that Streamlit's theme has no option for."""

from __future__ import annotations

from urllib.parse import quote

import streamlit as st

from dashboard.figures.palette import Theme

_CSS = """
<style>
.stMainBlockContainer { max-width: 1480px; padding-left: 3.25rem; padding-right: 3.25rem; }
.stMainBlockContainer > .stVerticalBlock { gap: 0.9rem; }
.stAppToolbar { padding-left: 3rem; }
.stAppToolbar::before {
  content: "Hillshade"; font: 600 1.2rem/1 "Source Serif", Georgia, serif;
  padding: 0 1.4rem 0 2.35rem;
  background: no-repeat 0.35rem 45% / 1.6rem url("data:image/svg+xml,MARK");
}
.st-key-selectors { margin-bottom: -0.55rem; }
.stSelectbox [role="group"] { background: transparent; }
.st-key-texts [data-testid="stHeading"] { margin: 0; padding: 0; }
.st-key-texts h3 { padding: 0; }
.st-key-threshold {
  position: sticky; top: 3.4rem; z-index: 90; background: PAPER;
  padding: 0.8rem 0 0.5rem; border-bottom: 1px solid HAIR;
}
[data-testid="stHeading"] h3 { padding: 0.2rem 0 0.1rem; }
@media (max-width: 640px) {
  .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
  .stAppToolbar { padding-left: 0.6rem; }
  .stAppToolbar::before { font-size: 0; padding: 0.8rem 0.6rem 0.8rem 1.6rem; }
  .st-key-selectors .stHorizontalBlock { gap: 0.4rem 0.6rem; flex-wrap: wrap; }
  .st-key-selectors .stColumn { min-width: 0; flex: 1 1 40%; }
  .st-key-selectors .stColumn:nth-child(2) { order: -1; flex-basis: 100%; }
}
</style>
"""

# Three ridges, the nearest darkest: shaded relief in three strokes.
_MARK = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 26'>"
    "<path d='M0 20L9 7l6 8 5-6 12 12v5H0z' fill='INK' opacity='.28'/>"
    "<path d='M0 23l7-8 6 5 8-9 11 12v3H0z' fill='INK' opacity='.5'/>"
    "<path d='M0 26l10-7 6 4 7-6 9 9z' fill='INK'/></svg>"
)
_COLOURS = {"light": ("#FCFBF8", "#DAD8D0", "#1F5B78"), "dark": ("#12181D", "#33404A", "#7FB8D4")}


def apply(theme: Theme) -> None:
    """Set the page's own rules in the theme's colours."""
    paper, hair, ink = _COLOURS[theme]
    mark = quote(_MARK.replace("INK", ink))
    st.html(_CSS.replace("MARK", mark).replace("PAPER", paper).replace("HAIR", hair))
