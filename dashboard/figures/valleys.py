"""The first picture of the landscape: a few directions side by side, and what they show.

Every sentence is chosen by the numbers and their intervals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from core.intervals import Estimate
from dashboard.figures.cuts import FLOOR, USUAL, Told, even_rise, nats, present, spread
from dashboard.figures.estimates import multiple, plain
from dashboard.figures.walks import Walk, change, span, walk

SURELY = 3.0  # times fresh text's upper end: a rise that is the string's own
VALLEY_X = "step (‖W‖; for the edit, 1 is the whole edit)"
FIRST = ("spike", "high", "low", "edit")  # the first picture
ORDER = ("spike", "high", "ggn", "middle", "low", "random", "edit")
NAMES: dict[str, str] = {
    "spike": "One string's own spike",
    "high": "Sharpest eigendirection",
    "ggn": "Sharpest for fresh text",
    "middle": "At the edge of the cut",
    "low": "A flat eigendirection",
    "random": "A random direction",
    "edit": "The edit",
}


@dataclass(frozen=True)
class Valleys:
    """A few directions side by side on one scale of rises."""

    id: str
    title: str
    walks: tuple[Walk, ...]
    span: tuple[float, float]
    how: str
    alt: str
    unit: str = "nats a token"

    def table(self) -> pd.DataFrame:
        rows = [
            {"direction": walk.title, VALLEY_X: x, "of": line.said, "rise": e.value,
             "low": e.low, "high": e.high}
            for walk in self.walks
            for line in walk.lines
            for x, e in zip(walk.x, line.rise, strict=True)
        ]  # fmt: skip
        return pd.DataFrame(rows)


def valleys(lines: Mapping[str, Told]) -> Valleys:
    """The first picture: some directions side by side."""
    walks, scale = side_by_side(lines, NAMES)
    return Valleys(
        id="valleys",
        title="The same weights, moved along different directions",
        walks=walks,
        span=scale,
        how=(
            "Each panel is a walk through weight space: the model stands at 0, and the lines are "
            "by how much the loss of a group of texts rises when the weights are moved to either "
            "side. All panels share one scale. Steps are fractions of ‖W‖ of the matrix; in the "
            "panel of the edit, 1 is the whole edit over all its matrices."
        ),
        alt=" ".join((*_spike_sentence(lines), *_hill_sentence(lines), *_edit_sentence(lines))),
    )


def side_by_side(
    lines: Mapping[str, Told], names: Mapping[str, str]
) -> tuple[tuple[Walk, ...], tuple[float, float]]:
    """The directions of the first picture, and one scale for the rises of all."""
    keys = [key for key in FIRST if key in lines] or list(lines)[:4]
    walks = tuple(walk(lines[key], names.get(key, key), f"valley-{key}") for key in keys)
    tops = [
        e.value
        for one in walks
        for line in one.lines
        for x, e in zip(one.x, line.rise, strict=True)
        if abs(x) <= 1.0
    ]
    return walks, span(tops)


def headline(lines: Mapping[str, Told]) -> str:
    """The answer in one line, by the numbers of the spike."""
    told = lines.get("spike")
    if told is None or not {"string", "fresh"} <= set(told["groups"]):
        return "What the loss does around the model."
    own, fresh = (even_rise(told, key, USUAL) for key in ("string", "fresh"))
    if own.value > max(SURELY * fresh.high, FLOOR):
        return "A memorized string stands in a valley of its own: fresh text does not feel it."
    if own.value > max(fresh.high, FLOOR):
        return "A memorized string's valley is steeper for itself, but fresh text feels it too."
    return "A memorized string has no valley of its own here: fresh text feels the same direction."


def _spike_sentence(lines: Mapping[str, Told]) -> list[str]:
    told = lines.get("spike")
    if told is None or not {"string", "fresh"} <= set(told["groups"]):
        return []
    own, fresh = (even_rise(told, key, USUAL) for key in ("string", "fresh"))
    begin = (
        f"Along one memorized string's own spike, {USUAL:g} ‖W‖ to either side raises its own loss "
        f"by {nats(own.value)} nats a token and that of fresh text by {spread(fresh)}"
    )
    if own.value <= max(fresh.high, FLOOR):
        return [f"{begin}: the direction is not this string's own."]
    if fresh.high <= 0.0:
        return [f"{begin}, which does not rise at all."]
    least = own.value / fresh.high
    if fresh.low <= 0.0:
        return [f"{begin}: at least {plain(least)}× as much, by its 95 % interval."]
    ratio = Estimate(own.value / fresh.value, least, own.value / fresh.low, fresh.n)
    return [f"{begin}: {multiple(ratio, 'the rise of fresh text')}."]


def _hill_sentence(lines: Mapping[str, Told]) -> list[str]:
    told = lines.get("high")
    if told is None or "fresh" not in told["groups"]:
        return []
    keys = [key for key in ("string", "fresh") if key in told["groups"]]
    rises = {key: even_rise(told, key, USUAL) for key in keys}
    fresh = rises["fresh"]
    if fresh.low <= 0.0:
        return [
            "Along the sharpest eigendirection fresh text does not rise for sure "
            f"({nats(fresh.low)} to {nats(fresh.high)})."
        ]
    own = f" and this string by {nats(rises['string'].value)}" if "string" in rises else ""
    return [
        "Along the sharpest eigendirection the same step raises fresh text by "
        f"{spread(fresh)}{own}."
    ]


def _edit_sentence(lines: Mapping[str, Told]) -> list[str]:
    told = lines.get("edit")
    if told is None:
        return []
    return [change(told, present(told), True)]
