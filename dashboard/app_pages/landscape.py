"""Landscape: the loss around the model, along single directions and over planes."""

from __future__ import annotations

from dashboard import blocks, cutting_section, landscape_sections, state

view = state.view()
texts = blocks.of_texts(view)
document = landscape_sections.document(view) if texts else None
if document is not None:
    with blocks.understood("landscape.json"):
        landscape_sections.opening(view, document)
        if blocks.seen():
            landscape_sections.directions(view, document)
            landscape_sections.over_planes(view, document)
if texts and blocks.painted():
    with blocks.understood("training.json"):
        landscape_sections.training(view)
    cutting_section.show(view)
