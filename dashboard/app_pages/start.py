"""Start: six guided steps, each with a guess before the numbers."""

from __future__ import annotations

from dashboard import blocks, start_sections, state

view = state.view()
if blocks.of_texts(view):
    start_sections.show(view)
