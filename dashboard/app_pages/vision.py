"""Vision: move the threshold and watch a classifier forget the wrong labels it was given."""

from __future__ import annotations

from dashboard import blocks, image_sections, state, vision_sections

view = state.view()
if blocks.of_images(view):
    vision_sections.story(view)
    with blocks.understood("examples.json"):
        vision_sections.wall(view)
    if blocks.painted():
        with blocks.understood("examples.json"):
            vision_sections.portrait(view)
        with blocks.understood("curvature.json"):
            image_sections.spikes(view)
        with blocks.understood("examples.json"):
            image_sections.averaged(view)
        vision_sections.numbers(view)
        with blocks.understood("acceptance.json"):
            vision_sections.claims(view)
            vision_sections.gain(view)
        vision_sections.controls(view)
        with blocks.understood("landscape.json"):
            vision_sections.slices(view)
        with blocks.understood("training.json"):
            vision_sections.training(view)
