"""The figures of the Vision page but for the wall, as descriptions.

A study of images asks three things of every edit: whether the wrong labels that training gave are
still said, whether the true ones are said instead, and whether what was right stays so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from core.images import HELD_OUT, RIGHT, WRONG
from core.intervals import Estimate
from core.manifest import StoredRecipe
from dashboard.figures.describe import Axis, Bar, BarChart, Curves, Panel, Series, numbers
from dashboard.figures.estimates import Line, Lines, Scale
from dashboard.figures.estimates import Panel as Over
from dashboard.figures.findings import Finding, labels_finding
from dashboard.figures.measured import ANOTHER, Measured, Track, axis_of
from dashboard.figures.palette import style
from dashboard.figures.recall import SHARES, Ticks
from dashboard.figures.stages import training_ticks
from dashboard.figures.words import count, listing, percent, setting

# Measures of a study of images: look in the palette -> group and measure of its scores.
MEASURES: dict[str, tuple[str, str]] = {
    "reproduced": (WRONG, "reproduced"),
    "recovered": (WRONG, "recovered"),
    RIGHT: (RIGHT, "accuracy"),
    HELD_OUT: (HELD_OUT, "accuracy"),
}
# Their names in a study's documents.
STORED = {"reproduced": "reproduced", "recovered": "recovered", RIGHT: "clean",
          HELD_OUT: "held_out"}  # fmt: skip
OF_WRONG, OF_OTHERS = ("reproduced", "recovered"), (RIGHT, HELD_OUT)
_FLOORS = (0.9, 0.8, 0.5, 0.0)  # where the axis of the accuracies may begin


def tracks(study: Measured, recipe: StoredRecipe) -> dict[str, Track]:
    """Every measure over the ticks of a recipe, reporting half."""
    return {key: study.score(recipe, *measure) for key, measure in MEASURES.items()}


def estimate_at(track: Track, tick: int) -> Estimate:
    """One point of a track with its interval."""
    return Estimate(track.value[tick], track.low[tick], track.high[tick], track.n)


@dataclass(frozen=True)
class Said(BarChart):
    """What is said, over the ticks; `counts` are the images behind each bar.

    Of the wrongly labelled images three shares of one whole, of the others the share that is right.
    """

    counts: tuple[int, ...]

    def table(self, tick: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "said": [bar.name for bar in self.bars],
                "before, share": [bar.value[0] for bar in self.bars],
                "after, share": [bar.value[tick] for bar in self.bars],
                "low": [bar.low[tick] for bar in self.bars],
                "high": [bar.high[tick] for bar in self.bars],
                "images": list(self.counts),
            }
        )


@dataclass(frozen=True)
class Story:
    """Everything that follows the thumb above the wall."""

    axis: Axis
    curves: Curves
    said: Said
    findings: tuple[Finding, ...]


def story(study: Measured, recipe: StoredRecipe, tick: int) -> Story:
    """The live figures of a recipe, with alt sentences for the tick in view."""
    axis = axis_of(recipe)
    found = tracks(study, recipe)
    findings = tuple(labels_finding(t, *found.values()) for t in range(axis.count))
    curves = Curves(
        id="label-curves",
        title="What is said (share of the images)",
        axis=axis,
        panels=(Panel("Labels", "share", (0.0, 1.0), SHARES, _lines(found, MEASURES)),),
        how=_HOW,
        alt=f"{findings[tick].head} {findings[tick].rest}",
    )
    another = study.score(recipe, WRONG, ANOTHER)
    return Story(axis, curves, said(found, another, axis, tick), findings)


_PARTS = (
    "The first three shares add up to all wrongly labelled images of the half that no setting was "
    "chosen on; the others are the share that is right. "
)
_HOW = (
    "From left to right more is cut. Each point is a stored setting; lines only join them. Bands "
    "are 95 % intervals over images; for edits with random draws they span all stored draws."
)


def _lines(found: Mapping[str, Track], keys: Iterable[str]) -> tuple[Series, ...]:
    return tuple(
        Series(key, key, style(key).name, t.value, t.low, t.high, heavy=key == "reproduced")
        for key in keys
        if (t := found[key]).known
    )


def said(found: Mapping[str, Track], another: Track, axis: Axis, tick: int) -> Said:
    """Wrong label, true label, or another; and what stays right."""
    shares = {key: found[key] for key in OF_WRONG} | {ANOTHER: another}
    shares |= {key: found[key] for key in OF_OTHERS if found[key].known}
    shares = {key: track for key, track in shares.items() if track.known}
    bars = tuple(
        Bar(key, style(key).name, t.value, t.low, t.high, t.value, None, None)
        for key, t in shares.items()
    )
    listed = listing([f"{bar.name.lower()} {percent(bar.value[tick])}" for bar in bars])
    return Said(
        id="said",
        title="At this threshold",
        axis=axis,
        bars=bars,
        counts=tuple(track.n for track in shares.values()),
        how=(
            (_PARTS if OF_WRONG[0] in shares else "Of the half that no setting was chosen on. ")
            + "Low and high are 95 % intervals."
        ),
        alt=f"At this threshold: {listed}.",
    )


def full_curves(study: Measured, recipe: StoredRecipe, tick: int) -> Curves:
    """Every measure over the threshold, what was right on an axis of its own."""
    found = tracks(study, recipe)
    at = {key: track.value[tick] for key, track in found.items() if track.known}
    floor = _floor([found[key] for key in OF_OTHERS], recipe)
    ticks: Ticks = tuple((floor + (1.0 - floor) * k / 5, _short(floor + (1.0 - floor) * k / 5))
                         for k in range(6))  # fmt: skip
    panels = (
        Panel("Wrongly labelled", "share", (0.0, 1.0), SHARES, _lines(found, OF_WRONG), 0.5),
        Panel("Right", "share", (floor, 1.0), ticks, _lines(found, OF_OTHERS), 0.5),
    )
    return Curves(
        id="curves",
        title="Everything over the threshold",
        axis=axis_of(recipe),
        panels=tuple(panel for panel in panels if panel.series),
        how=(
            f"{_HOW} The lower axis begins at {_short(floor)}, so that small changes show; what "
            "falls lower leaves it."
        ),
        alt=(
            f"At {setting(recipe.ticks[tick])} ({recipe.axis.label}): "
            + listing([f"{style(key).name.lower()} {percent(at[key])}" for key in at])
            + "."
        ),
    )


def _floor(of: Sequence[Track], recipe: StoredRecipe) -> float:
    """The highest beginning of the axis that shows the chosen setting and all before it."""
    until = (len(recipe.ticks) // 2 if recipe.chosen is None else recipe.chosen) + 1
    lowest = min((v for t in of for v in t.low[:until] if math.isfinite(v)), default=0.0)
    return next((floor for floor in _FLOORS if floor <= lowest), 0.0)


def _short(value: float) -> str:
    return f"{value:.2f}".removeprefix("0").rstrip("0").rstrip(".") or "0"


# -- training --------------------------------------------------------------------------------------


def learnt(points: Sequence[Mapping[str, Any]]) -> Lines:
    """The same measures after so many steps of training (a study's training.json)."""
    steps = tuple(float(point["step"]) for point in points)
    lines = tuple(
        Line(
            key,
            key,
            style(key).name,
            steps,
            tuple(_exact(p[name]) for p in points),
            band=True,  # no whiskers, and no mark beside its step
            quiet=True,
        )
        for key, name in STORED.items()
    )
    right, wrong = (
        [float(point[STORED[key]]) for point in points] for key in ("recovered", "reproduced")
    )
    best = max(range(len(points)), key=right.__getitem__)
    return Lines(
        id="learnt",
        title="How the wrong labels were learnt",
        x=Scale("training step", (0.0, steps[-1]), ticks=training_ticks(steps[-1])),
        panels=(Over(Scale("share of the images", (0.0, 1.0), ticks=SHARES), lines),),
        how=(
            "The same four shares in stored states of the training run, over all images of each "
            "kind, without intervals. Marks are stored states, lines only join them."
        ),
        alt=(
            f"After {count(steps[best])} steps the true label of {percent(right[best])} of the "
            f"wrongly labelled images is said, and the wrong one of {percent(wrong[best])}; at the "
            f"end, after {count(steps[-1])}, {percent(right[-1])} and {percent(wrong[-1])}."
        ),
    )


def _exact(value: Any) -> Estimate:
    """A share stored without an interval."""
    (share,) = numbers([float(value)])
    return Estimate(share, share, share, 1)
