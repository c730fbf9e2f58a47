"""Examples: what the curvature of single examples shows, memorized against fresh text."""

from __future__ import annotations

from dashboard import blocks, examples_sections, map_section, portraits_sections, state

view = state.view()
texts = blocks.of_texts(view)
document = examples_sections.document(view) if texts else None
if document is not None:
    with blocks.understood("curvature.json"):
        look = examples_sections.opening(view, document)
        examples_sections.spikes(look)
        if blocks.painted():
            examples_sections.claims(look)
            with blocks.understood("examples.json"):
                portraits_sections.show(view, look.projection)
            map_section.show(view)
            examples_sections.growth(look)
            examples_sections.together(look)
            examples_sections.hills(look)
            examples_sections.by_activations(look)
elif texts:
    map_section.show(view)
