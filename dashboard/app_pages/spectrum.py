"""Spectrum: the curvature of every direction, and where the threshold cuts it."""

from __future__ import annotations

from dashboard import blocks, spectrum_sections, state

view = state.view()
spectrum_sections.live(view)
if blocks.painted():
    spectrum_sections.eigenvalues(view)
    spectrum_sections.multiples(view)
