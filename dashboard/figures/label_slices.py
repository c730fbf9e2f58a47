"""The loss around a classifier along a few directions, as `valleys` has it of texts.

Every sentence is chosen by the numbers and their intervals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.images import HELD_OUT, RIGHT, WRONG
from dashboard.figures.cuts import FLOOR, USUAL, Told, even_rise, nearest, rise_at, said, spread
from dashboard.figures.valleys import NAMES, SURELY, Valleys, side_by_side
from dashboard.figures.words import listing, setting

UNIT = "nats an image"
OTHERS = (WRONG, RIGHT, HELD_OUT)  # groups, beside the image whose direction is walked
_NAMES = NAMES | {"spike": "One image's own spike"}


def slices(document: Mapping[str, Any]) -> Valleys:
    """The slices of a study of images (its landscape.json), side by side."""
    lines: Mapping[str, Told] = document["lines"]
    walks, scale = side_by_side(lines, _NAMES)
    picked = document["picked"]
    return Valleys(
        id="slices",
        title="The loss around the model, along different directions",
        walks=walks,
        span=scale,
        how=(
            "Each panel is a walk through weight space: the model stands at 0, and the lines are "
            "by how much the loss of the label given rises when the weights are moved to either "
            "side. All panels share one scale. Steps are fractions of ‖W‖ of the matrix; in the "
            "panel of the edit, 1 is the whole edit "
            f"({setting(float(document['setting']))} kept). The image was not picked by eye: of "
            f"{picked['of']} wrongly labelled ones it is that whose own rise at "
            f"{float(picked['step']):g} ‖W‖ is the median."
        ),
        alt=" ".join(
            (*(spike(told) for key, told in lines.items() if key == "spike"), *_edit(lines))
        )
        or "No direction is told of.",
        unit=UNIT,
    )


def spike(told: Told) -> str:
    """Whether a wrongly labelled image's own direction is its own, by what the others feel."""
    others = {key: even_rise(told, key, USUAL) for key in OTHERS if key in told["groups"]}
    own = even_rise(told, "string", USUAL)
    most = max((e.high for e in others.values()), default=0.0)
    if own.value > max(SURELY * most, FLOOR):
        verdict = "the direction is this image's own"
    elif own.value > max(most, FLOOR):
        verdict = "the direction is steeper for itself, but the others feel it too"
    else:
        verdict = "the direction is not this image's own"
    rises = listing(
        [f"of {said(key, [*told['groups']])} by {spread(e)}" for key, e in others.items()]
    )
    return (
        f"Along a wrongly labelled image's own spike, {USUAL:g} ‖W‖ to either side raises its own "
        f"loss by {spread(own)} {UNIT}, that {rises}: {verdict}."
    )


def _edit(lines: Mapping[str, Told]) -> list[str]:
    told = lines.get("edit")
    if told is None:
        return []
    keys = [key for key in OTHERS if key in told["groups"]]
    at = nearest(told["axes"][0]["values"], 1.0)
    rises = listing(
        [f"{said(key, keys)} by {spread(rise_at(told['groups'][key], [at]))}" for key in keys]
    )
    return [f"The whole edit changes the loss of the labels given to {rises} {UNIT}."]
