"""Reading a study's tables: the values of one measure over the ticks of one recipe.

Methods drawn with several seeds (random pairs, noise) are shown by their mean; their interval
spans the intervals of all seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from core.items import PROBE_GROUPS
from core.manifest import StoredRecipe
from dashboard.figures.describe import Axis, numbers

SPLIT = "report"  # settings are chosen on the other half; only this half is ever shown


class Results(Protocol):
    """What the figures need of a study."""

    @property
    def recipes(self) -> tuple[StoredRecipe, ...]: ...
    @property
    def items(self) -> pd.DataFrame: ...
    @property
    def points(self) -> pd.DataFrame: ...
    @property
    def scores(self) -> pd.DataFrame: ...


@dataclass(frozen=True)
class Track:
    """A measure over the ticks: value, interval, and how many items it is counted on."""

    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int

    @property
    def known(self) -> bool:
        return any(value == value for value in self.value)


def axis_of(recipe: StoredRecipe) -> Axis:
    """The slider of a stored recipe."""
    return Axis(recipe.id, recipe.axis.label, recipe.ticks, recipe.chosen)


def _track(frame: pd.DataFrame, count: int, columns: Sequence[str]) -> Track:
    """Seeds joined and ticks put in place; a tick nobody measured is NaN."""
    value, low, high = columns
    by_tick = frame.groupby("tick").agg({value: "mean", low: "min", high: "max"})
    by_tick = by_tick.reindex(range(count)).astype(float)
    n = int(frame["n"].max()) if "n" in frame and len(frame) else 0
    return Track(numbers(by_tick[value]), numbers(by_tick[low]), numbers(by_tick[high]), n)


def score(
    scores: pd.DataFrame,
    recipe: StoredRecipe,
    group: str,
    measure: str,
    repeats: int | None = None,
) -> Track:
    """One measure of one group (and repeat class) on the reporting half."""
    rows = scores[
        (scores["recipe"] == recipe.id)
        & (scores["split"] == SPLIT)
        & (scores["group"] == group)
        & (scores["measure"] == measure)
    ]
    if repeats is not None:
        rows = rows[rows["repeats"] == repeats]
    return _track(rows, len(recipe.ticks), ("value", "low", "high"))


def ratio(points: pd.DataFrame, recipe: StoredRecipe) -> Track:
    """Perplexity of fresh text, edited over original, on the reporting half."""
    rows = points[points["recipe"] == recipe.id]
    return _track(rows, len(recipe.ticks), ("ratio_report", "ratio_low", "ratio_high"))


def point(points: pd.DataFrame, recipe: StoredRecipe, column: str) -> tuple[float, ...]:
    """One column of the points over the ticks, the mean over seeds."""
    rows = points[points["recipe"] == recipe.id]
    means = rows.groupby("tick")[column].mean().reindex(range(len(recipe.ticks)))
    return tuple(float(value) for value in means.astype(float))


def repeat_classes(items: pd.DataFrame, group: str = "passage") -> tuple[int, ...]:
    """The repeat counts of a group, ascending; those shown at least once."""
    rows = items[(items["group"] == group) & items["repeats"].notna()]
    return tuple(sorted({int(value) for value in rows["repeats"] if value > 0}))


def memory_group(items: pd.DataFrame) -> tuple[str, int | None]:
    """The group and class whose recall is the headline: the passages repeated most often."""
    for group in ("passage", *items.loc[items["kind"] == "memory", "group"].unique()):
        classes = repeat_classes(items, group)
        if classes:
            return group, classes[-1]
    return "passage", None


def probe_groups(items: pd.DataFrame) -> tuple[str, ...]:
    """The abilities of this study: the known ones in the paper's order, then any others."""
    present = list(items.loc[items["kind"] == "probe", "group"].unique())
    order = ("sums", "facts", "open-book", "logic", "order", "copying")
    assert set(order) == set(PROBE_GROUPS)
    return tuple([g for g in order if g in present] + [g for g in present if g not in order])
