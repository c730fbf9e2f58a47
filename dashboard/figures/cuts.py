"""Slices of the landscape as they are read: axes, rises and recall of groups, predictions.

A slice is what `core.landscape.summary` puts, stored in a study's landscape.json or cut just now.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.images import HELD_OUT, RIGHT, WRONG
from core.intervals import Estimate, wilson
from dashboard.figures.estimates import plain
from dashboard.figures.spectrum import short
from dashboard.figures.words import NBSP, digits, listing, percent, setting

Told = Mapping[str, Any]

USUAL = 0.1  # of ‖W‖: the step that sentences speak of
WITHIN, FLOOR = 0.2, 1e-3  # a parabola fits: share of the true rise, nats below which all fits
# A group's look in the palette and its name in a sentence.
GROUPS: dict[str, tuple[str, str]] = {
    "string": ("memorized own", "the string itself"),
    "second": ("fresh others", "the other string"),
    "memorized": ("memorized others", "memorized strings"),
    "fresh": ("memorized to fresh", "fresh text"),
    "probes": ("probes", "probes"),
    "pasted": ("fresh others", "your text"),
    WRONG: ("memorized others", "other wrongly labelled images"),
    RIGHT: ("right labels", "rightly labelled images"),
    HELD_OUT: ("held out", "images kept from training"),
}


def is_edit(told: Told, axis: int = 0) -> bool:
    """Whether an axis is measured in whole edits."""
    return bool(told["axes"][axis]["unit_of"] == "direction")


def axis_name(told: Told, axis: int, string: str = "") -> str:
    """What a direction is, in words."""
    origin = told["axes"][axis]["origin"]
    kind = str(origin["kind"])
    where = f", {short(str(origin['projection']))}" if "projection" in origin else ""
    if kind == "spike":
        return f"The own spike of {string or origin['example']}{where}"
    if kind == "eigendirection":
        return f"Eigendirection ({origin['i'] + 1}, {origin['j'] + 1}){where}"
    if kind == "band":
        return f"Ranks {origin['start'] + 1:,} to {origin['stop']:,} of W{where}"
    if kind == "edit":
        return f"The edit ({origin['recipe']}, {setting(float(origin['setting']))} kept)"
    if kind.startswith("filter"):
        return f"A random direction (seed {origin['seed']})"
    return kind[0].upper() + kind[1:]


def axis_title(told: Told, axis: int, name: str) -> str:
    """The title of an axis with its unit."""
    if is_edit(told, axis):
        return f"{name}: share of the edit (1 is all of it)"
    return f"{name}: step as a fraction of ‖W‖"


def number(raw: float | None) -> float:
    """A stored number; null is not finite."""
    return math.nan if raw is None else float(raw)


def nats(value: float) -> str:
    """A rise in a sentence: two digits that mean something, three decimals at most."""
    if abs(value) < 0.0095:
        return f"{value:.3f}".replace("-", "−").replace("−0.000", "0.000")
    return plain(value)


def spread(e: Estimate) -> str:
    """A rise with its interval; a single text has none."""
    return nats(e.value) if e.n == 1 else f"{nats(e.value)} ({nats(e.low)} to {nats(e.high)})"


def rise_at(group: Told, place: Sequence[int]) -> Estimate:
    """A group's rise at one grid point."""
    value, half = group["rise"], group["half"]
    for step in place:
        value, half = value[step], half[step]
    value, half = number(value), number(half)
    return Estimate(value, digits(value - half), digits(value + half), int(group["texts"]))


def right_at(group: Told, place: Sequence[int]) -> tuple[int, int]:
    """How many of a group's texts come out word for word at one grid point, and of how many."""
    right = group["right"]
    for step in place:
        right = right[step]
    return int(right), int(group["texts"])


def recall_at(group: Told, place: Sequence[int]) -> Estimate:
    """The share of it, with Wilson's interval."""
    right, texts = right_at(group, place)
    return Estimate(right / texts, *wilson(right, texts), texts)


def even_rise(told: Told, key: str, step: float) -> Estimate:
    """½ [L(+s) + L(−s)] − L(0) of a group at the grid point nearest to a step.

    The slope cancels. Both halves are of the same texts, so that half the sum of both widths is an
    upper bound of the width.
    """
    values = told["axes"][0]["values"]
    up = nearest(values, step)
    down = nearest(values, -values[up])
    a, b = (rise_at(told["groups"][key], [at]) for at in (up, down))
    value = (a.value + b.value) / 2
    half = (a.high - a.value + b.high - b.value) / 2
    return Estimate(digits(value), digits(value - half), digits(value + half), a.n)


def nearest(values: Sequence[float], wanted: float) -> int:
    """The grid point nearest to a value."""
    return min(range(len(values)), key=lambda at: abs(values[at] - wanted))


def reaches(x: Sequence[float], rise: Sequence[float], predicted: Sequence[float]) -> float | None:
    """The largest |x| up to which, on both sides, a prediction is within 20 % of the true rise.

    0 where it fails at once; None where the loss hardly moves, so that there is nothing to predict.
    """
    if all(abs(value) <= FLOOR for value in rise if math.isfinite(value)):
        return None
    misses = [
        abs(at)
        for at, true, said_ in zip(x, rise, predicted, strict=True)
        if not abs(said_ - true) <= max(WITHIN * abs(true), FLOOR)
    ]
    first = min(misses, default=math.inf)
    return max(abs(at) for at in x if abs(at) < first)


def parabolas(told: Told, key: str) -> tuple[tuple[str, tuple[float, ...]], ...]:
    """The rises that a group's slope with K-FAC's and with its exact curvature predicts."""
    group, axis = told["groups"][key], told["axes"][0]
    if "slope" not in group:
        return ()
    slope = number(group["slope"][0])
    steps = [value * axis["unit"] for value in axis["values"]]
    curvatures = {}
    if group.get("ggn") is not None:
        curvatures["Exact curvature (GGN)"] = number(group["ggn"])
    if told.get("kfac") is not None:
        curvatures["K-FAC's curvature"] = number(told["kfac"][0][0])
    return tuple(
        (name, tuple(digits(s * slope + 0.5 * c * s * s) for s in steps))
        for name, c in curvatures.items()
    )


def present(told: Told) -> list[str]:
    """The groups of a slice, in the order in which they are drawn."""
    known = [key for key in GROUPS if key in told["groups"]]
    return known + [key for key in told["groups"] if key not in GROUPS]


def of_images(told: Told) -> bool:
    """Whether a slice was read on images; their one prediction is the label given."""
    return any(key in told["groups"] for key in (WRONG, RIGHT, HELD_OUT))


def unit_of(told: Told) -> str:
    """What its rises are counted in."""
    return "nats an image" if of_images(told) else "nats a token"


def said(key: str, groups: Sequence[str]) -> str:
    """A group in a sentence; the rest of the strings is called the others."""
    if key == "memorized" and "string" in groups:
        return "other memorized strings"
    if key in ("string", "second") and WRONG in groups:
        return "the image itself" if key == "string" else "the other image"
    return GROUPS[key][1] if key in GROUPS else key


def facts(told: Told) -> str:
    """What is always said of a slice: how far it goes, how much of the curvature it shows."""
    norm, share = float(told["norm"]), told.get("mass_share")
    names = [short(str(name)) for name in told["projections"]]
    where = listing(names) if len(names) < 3 else f"{len(names)} matrices"
    parts = []
    for number_, axis in enumerate(told["axes"]):
        unit, reach = float(axis["unit"]), max(abs(v) for v in axis["values"])
        which = "" if len(told["axes"]) == 1 else f"{'first' if number_ == 0 else 'second'} axis: "
        if axis["unit_of"] == "direction":
            parts.append(f"{which}the whole edit is a step of {unit / norm:.2g} ‖W‖")
        else:
            parts.append(f"{which}steps up to {reach:.2g} ‖W‖, {reach * unit:.2g} in length")
    what = "direction holds" if len(parts) == 1 else "plane holds"
    held = (
        "" if share is None else f" This {what} {_tiny(float(share))} of the curvature mass there."
    )
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]} (‖W‖ = {norm:.3g}, {where}).{held}"


def _tiny(share: float) -> str:
    return percent(share) if share >= 5e-4 else f"{plain(100 * share)}{NBSP}%"
