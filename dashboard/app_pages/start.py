"""Start: six guided steps, each with a guess before the numbers."""

from __future__ import annotations

from dashboard import start_sections, state

start_sections.show(state.view())
