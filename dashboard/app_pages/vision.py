"""Vision: move the threshold and watch a classifier forget the wrong labels it was given."""

from __future__ import annotations

from dashboard import blocks, image_sections, state, vision_sections

view = state.view()
if blocks.of_images(view):
    vision_sections.story(view)
    picked = ""
    with blocks.understood("examples.json"):
        picked = vision_sections.picked(view)
    vision_sections.wall(view, picked)
    if blocks.painted():
        with blocks.understood("examples.json"):
            vision_sections.single_images(view, picked)
        with blocks.understood("curvature.json"):
            image_sections.spikes(view)
        vision_sections.numbers(view)
        with blocks.understood("acceptance.json"):
            vision_sections.claims(view)
            vision_sections.gain(view)
        vision_sections.controls(view)
        with blocks.understood("landscape.json"):
            vision_sections.around(view)
        with blocks.understood("training.json"):
            vision_sections.training(view)
