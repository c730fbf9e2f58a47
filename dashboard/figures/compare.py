"""Comparisons on the Recall page: repeat classes, recipes at equal cost, planted shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from core.manifest import StoredRecipe
from dashboard.figures.measured import Measured, Track
from dashboard.figures.palette import style
from dashboard.figures.recall import memory_track
from dashboard.figures.words import change, listing, percent, setting


@dataclass(frozen=True)
class Classes:
    """Recall against repeat count, before and at the tick in view."""

    id: str
    title: str
    groups: tuple[tuple[str, tuple[int, ...], tuple[str, ...], Track, Track], ...]
    how: str
    alt: str

    def table(self) -> pd.DataFrame:
        rows = []
        for group, repeats, exact, before, after in self.groups:
            for place, count in enumerate(repeats):
                rows.append(
                    {
                        "text": style(group).name,
                        "times shown": count,
                        "exact copies seen": exact[place],
                        "recited before": before.value[place],
                        "before, low": before.low[place],
                        "before, high": before.high[place],
                        "recited after": after.value[place],
                        "after, low": after.low[place],
                        "after, high": after.high[place],
                    }
                )
        return pd.DataFrame(rows)


def recall_by_repeats(study: Measured, recipe: StoredRecipe, tick: int) -> Classes:
    """Strict recall of every repeat class of passages and canaries."""
    groups = []
    for group in ("passage", "canary"):
        classes = study.classes(group)
        tracks = [study.score(recipe, group, "strict", c) for c in classes]
        shown = [(c, t) for c, t in zip(classes, tracks, strict=True) if t.known]
        if shown:
            classes = tuple(c for c, _ in shown)
            exact = tuple(_exact(study.exact_copies(group, c)) for c in classes)
            before, after = (_across([t for _, t in shown], at) for at in (0, tick))
            groups.append((group, classes, exact, before, after))
    said = "No repeat classes are stored."
    if groups:
        group, classes, _, before, after = groups[0]
        said = (
            f"{style(group).name} shown {classes[0]} time{'s' * (classes[0] != 1)}: "
            f"{percent(before.value[0])} recited before, {percent(after.value[0])} after; shown "
            f"{classes[-1]} times: {percent(before.value[-1])} before, "
            f"{percent(after.value[-1])} after."
        )
    unseen = unseen_change(study, recipe, tick)
    if math.isfinite(unseen):
        said += (
            " Passages of the same kind that were never seen: the next word is guessed right "
            f"{_points(unseen)}."
        )
    return Classes(
        id="repeats",
        title="Recall against repeats",
        groups=tuple(groups),
        how=(
            "Each mark is the share of strings of one repeat class that come back word for word: "
            "hollow before the cut, filled after it, with 95 % intervals. Training text carries "
            "noise, so fewer exact copies were seen than the string was shown; the table has both."
        ),
        alt=said,
    )


def _across(tracks: Sequence[Track], tick: int) -> Track:
    return Track(
        tuple(t.value[tick] for t in tracks),
        tuple(t.low[tick] for t in tracks),
        tuple(t.high[tick] for t in tracks),
        min((t.n for t in tracks), default=0),
    )


def _exact(seen: tuple[int, int] | None) -> str:
    """The exact copies seen of one class, as a number or a range."""
    if seen is None:
        return "unknown"
    low, high = seen
    return str(low) if low == high else f"{low}–{high}"


@dataclass(frozen=True)
class Tradeoff:
    """Recall against what the cut costs on fresh text, one line a recipe."""

    id: str
    title: str
    lines: tuple[tuple[str, str, Track, Track, tuple[float, ...], int], ...]
    # (recipe, name, cost, recall, settings, tick in view)
    wanted: float  # the perplexity ratio in view
    how: str
    alt: str

    def table(self) -> pd.DataFrame:
        rows = [
            {
                "edit": name,
                "setting": settings[t],
                "perplexity, edited / original": cost.value[t],
                "recited": recall.value[t],
                "low": recall.low[t],
                "high": recall.high[t],
            }
            for _, name, cost, recall, settings, _ in self.lines
            for t in range(len(settings))
        ]
        return pd.DataFrame(rows)


def nearest_cost(costs: Sequence[float], wanted: float) -> int:
    """The tick whose perplexity ratio lies nearest to the wanted one (the first of equals)."""
    return min(
        range(len(costs)),
        key=lambda t: abs(costs[t] - wanted) if math.isfinite(costs[t]) else math.inf,
    )


def tradeoff(
    study: Measured,
    recipes: Sequence[tuple[StoredRecipe, str]],
    wanted: float,
    id: str,
    title: str,
    note: str = "",
) -> Tradeoff:
    """Lines of several recipes, each with its tick of nearest perplexity to `wanted` marked."""
    lines = []
    for recipe, name in recipes:
        cost, recall = study.ratio(recipe), memory_track(study, recipe)
        if cost.known and recall.known:
            at = nearest_cost(cost.value, wanted)
            lines.append((recipe.id, name, cost, recall, recipe.ticks, at))
    said = listing([f"{name} {percent(recall.value[at])}" for _, name, _, recall, _, at in lines])
    return Tradeoff(
        id=id,
        title=title,
        lines=tuple(lines),
        wanted=wanted,
        how=(
            "Right is dearer (perplexity of fresh text, on a log axis), down is less recall: a "
            "good cut falls early. The large mark is each edit's stored setting nearest to the "
            "cost in view; "
            f"bands are 95 % intervals. Click a point to set its edit and threshold. {note}".strip()
        ),
        alt=f"Still recited at {change(wanted)} perplexity: {said}.",
    )


def compared(study: Measured, recipes: Sequence[tuple[StoredRecipe, str, int]]) -> pd.DataFrame:
    """One row a method at its tick: setting, cost, recall strict and loose, every ability."""
    rows = []
    for recipe, name, tick in recipes:
        row: dict[str, object] = {
            "edit": name,
            "kept": setting(recipe.ticks[tick]),
            "perplexity": change(study.ratio(recipe).value[tick]),
            "recited word for word": with_interval(memory_track(study, recipe), tick),
            "recited loosely": with_interval(memory_track(study, recipe, "loose"), tick),
        }
        for group in study.probes:
            track = study.score(recipe, group, "above_chance")
            row[style(group).name] = percent(track.value[tick]) if track.known else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def with_interval(track: Track, tick: int) -> str:
    """A share with its interval, for a cell of a table."""
    if not track.known:
        return "–"
    low, high = percent(track.low[tick]), percent(track.high[tick])
    return f"{percent(track.value[tick])} ({low} to {high})"


def _points(difference: float) -> str:
    """A change of an accuracy in percentage points."""
    if abs(difference) < 0.00005:
        return "as often as before"
    more = "more" if difference > 0 else "less"
    return f"{abs(100.0 * difference):.2g} percentage points {more} often"


def unseen_change(study: Measured, recipe: StoredRecipe, tick: int) -> float:
    """Teacher-forced accuracy on unseen passages, after minus before."""
    accuracy = study.point(recipe, "tf_accuracy")
    return accuracy[tick] - accuracy[0]
