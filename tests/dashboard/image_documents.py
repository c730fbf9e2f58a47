"""What a study of images tells of single ones, made up for any outcome.

As `documents` has it of texts; `True` is a world in which a wrongly labelled image's direction is
its own, `False` one in which everybody feels it, `None` one in between.
"""

from __future__ import annotations

from typing import Any

from core.images import HELD_OUT, RIGHT, WRONG
from tests.dashboard import documents, slices
from tests.dashboard.documents import Outcome, pick
from tests.image_study import TICKS

UP = "vit.layers.1.mlp.fc1"
STEPS = (-0.2, -0.1, 0.1, 0.2)
OTHERS = {WRONG: 23, RIGHT: 30, HELD_OUT: 20}


def curvature(outcome: Outcome = True) -> dict[str, Any]:
    """curvature.json: those kept from training feel what the rightly labelled feel."""
    found = documents.curvature(outcome)
    for part in found["findings"]["projections"]:
        for step in part["steps"]:
            step["medians"]["memorized to probes"] = step["medians"]["memorized to fresh"]
    return found | {"stages": []}


def examples(ids: tuple[str, ...], outcome: Outcome = True) -> dict[str, Any]:
    """examples.json; `ids` are those of the images with slices of their own."""
    return documents.portraits(outcome) | {"own": own(ids, outcome)}


def own(ids: tuple[str, ...], outcome: Outcome = True) -> dict[str, Any]:
    """Parabolas of curvature 40 to the owner; the cut takes ever more of its direction."""
    share = pick(outcome, 0.01, 1.2, 0.6)
    parabola = [20.0 * step**2 for step in STEPS]
    kappa = [0.5 + 0.01 * n for n in range(len(ids))]
    return {
        "projection": UP,
        "norm": 20.0,
        "recipe": "kfac",
        "ids": list(ids),
        "steps": list(STEPS),
        "loss": [0.1] * len(ids),
        "rise": [parabola] * len(ids),
        "kappa": kappa,
        "factors": [share * value / 2 for value in kappa],
        "cut": [[n / 10 for n in range(len(TICKS))]] * len(ids),
        "groups": {
            name: {
                "rise": [[share * rise for rise in parabola]] * len(ids),
                "rise_half": [[0.1 * share * rise for rise in parabola]] * len(ids),
                "kappa": [share * value for value in kappa],
                "kappa_half": [0.1 * share * value for value in kappa],
                "count": [float(count)] * len(ids),
            }
            for name, count in OTHERS.items()
        },
    }


def landscape(outcome: Outcome = True) -> dict[str, Any]:
    """landscape.json: that of a study of texts, its groups called as those of images."""
    made = slices.landscape(outcome)
    names = {"string": "string", "second": "second", "memorized": WRONG, "fresh": RIGHT,
             "probes": HELD_OUT}  # fmt: skip
    for told in (*made["lines"].values(), *made["planes"].values()):
        told["groups"] = {names[key]: group for key, group in told["groups"].items()}
    return made
