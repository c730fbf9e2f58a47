"""The little CSS that Streamlit's theme has no option for; it knows no colours of its own."""

from __future__ import annotations

from urllib.parse import quote

import streamlit as st

# Three ridges, the nearest darkest: shaded relief in three strokes.
_MARK = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 26'>"
    "<path d='M0 20L9 7l6 8 5-6 12 12v5H0z' opacity='.28'/>"
    "<path d='M0 23l7-8 6 5 8-9 11 12v3H0z' opacity='.5'/>"
    "<path d='M0 26l10-7 6 4 7-6 9 9z'/></svg>"
)
_CSS = """
<style>
.stMainBlockContainer { max-width: 1480px; padding-left: 3.25rem; padding-right: 3.25rem; }
.stMainBlockContainer > .stVerticalBlock { gap: 0.9rem; }
.stAppToolbar { padding-left: 12rem; box-sizing: border-box; }
.stAppToolbar::before {
  content: ""; position: absolute; left: 3.25rem; width: 1.65rem; height: 1.4rem;
  background: currentColor; mask: url("data:image/svg+xml,MARK") no-repeat center / contain;
}
.stAppToolbar::after {
  content: "Hillshade"; position: absolute; left: 5.3rem;
  font: 600 1.2rem/1 "Source Serif", Georgia, serif;
}
.stApp :is(a, button, summary, canvas, textarea):focus-visible,
.stSelectbox [role="group"]:has(input:focus-visible) {
  outline: 2px solid currentColor !important; outline-offset: 2px;
}
.stApp main:focus-visible { outline: 2px solid currentColor !important; outline-offset: -2px; }
.st-key-selectors { margin: -0.5rem 0 -0.75rem; }
.stSelectbox [role="group"], .stTextArea textarea, .stTextArea > div { background: transparent; }
[data-testid="stCaptionContainer"] { opacity: 1; color: light-dark(#55626B, #A9B2B8); }
.st-key-texts h3 { padding: 0; }
[class*="st-key-moves-"], .st-key-theme, .st-key-painted { display: none; }
[class*="st-key-finding-"] h2, .st-key-start-question h1 {
  padding: 0 0 0.6rem; font-size: 1.4rem; line-height: 1.35;
}
[data-testid="stLayoutWrapper"]:has(> .st-key-threshold) {
  position: sticky; top: 3.75rem; z-index: 90;
}
.st-key-start-opening h1 { font-size: clamp(2rem, 3.1vw, 2.9rem); line-height: 1.12; }
.st-key-start-opening { margin-bottom: 0.5rem; }
.st-key-start-exhibit { padding-top: 1.4rem; min-height: 26rem; }
.st-key-start-exhibit .stRadio [data-testid="stWidgetLabel"] p {
  font-size: 1.12rem; font-weight: 600; line-height: 1.4;
}
.st-key-start-exhibit .stRadio [role="radiogroup"] { gap: 0.45rem; margin-top: 0.5rem; }
.st-key-start-exhibit .stRadio [role="radiogroup"] p { font-size: 1.05rem; }
.st-key-glossary { row-gap: 0; }
.st-key-glossary .stPopover button p {
  font-size: 0.875rem; text-decoration: underline dotted; text-underline-offset: 3px;
}
[data-testid="stHeading"] h3 { padding: 0.5rem 0 0.35rem; }
@media (max-width: 640px) {
  .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
  .stAppToolbar { padding-left: 3.2rem; }
  .stAppToolbar::before { left: 1rem; }
  .stAppToolbar::after { content: none; }
  .st-key-selectors .stHorizontalBlock { gap: 0.4rem 0.6rem; flex-wrap: wrap; }
  .st-key-selectors .stColumn { min-width: 0; flex: 1 1 40%; }
  .st-key-selectors .stColumn:nth-child(2) { order: -1; flex-basis: 100%; }
  .st-key-start-way button:not([aria-checked="true"]) p { font-size: 0; }
  .st-key-start-way button p strong { font-size: 0.875rem; }
}
</style>
"""


def apply() -> None:
    """Set the page's own rules."""
    st.html(_CSS.replace("MARK", quote(_MARK)))
