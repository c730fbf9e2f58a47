"""The figures of the Recall page, as descriptions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from core.manifest import StoredRecipe
from dashboard.figures.describe import Axis, Bar, Bars, Curves, Panel, Series, numbers
from dashboard.figures.findings import Finding, order_finding, recall_finding
from dashboard.figures.measured import Measured, Track, axis_of
from dashboard.figures.palette import PAPER_NAMES, PAPER_RANGES, style
from dashboard.figures.words import change, listing, percent, setting

SHARES = ((0.0, "0"), (0.25, ".25"), (0.5, ".5"), (0.75, ".75"), (1.0, "1"))


@dataclass(frozen=True)
class Story:
    """Everything the live part of the Recall page shows of one recipe."""

    axis: Axis
    curves: Curves
    bars: Bars
    findings: tuple[Finding, ...]


def story(study: Measured, recipe: StoredRecipe, tick: int) -> Story:
    """The live figures of a recipe, with alt sentences for the tick in view."""
    axis = axis_of(recipe)
    memory = memory_track(study, recipe)
    abilities = [
        (style(group).name, study.score(recipe, group, "above_chance")) for group in study.probes
    ]
    perplexity = study.ratio(recipe)
    findings = tuple(recall_finding(t, memory, abilities, perplexity) for t in range(axis.count))
    alt = f"{findings[tick].head} {findings[tick].rest}"
    return Story(
        axis,
        _curves(study, recipe, axis, memory, perplexity, alt),
        abilities_bars(study, recipe, tick),
        findings,
    )


def memory_track(study: Measured, recipe: StoredRecipe, measure: str = "strict") -> Track:
    """Recall of the passages repeated most often."""
    group, repeats = study.memory
    return study.score(recipe, group, measure, repeats)


def _line(key: str, group: str, name: str, track: Track, heavy: bool = False) -> Series:
    return Series(key, group, name, track.value, track.low, track.high, heavy)


def _curves(
    study: Measured, recipe: StoredRecipe, axis: Axis, memory: Track, perplexity: Track, alt: str
) -> Curves:
    lines = [_line("memory", "memory", style("memory").name, memory, heavy=True)]
    for group in study.probes:
        track = study.score(recipe, group, "accuracy")
        if track.known:
            lines.append(_line(group, group, style(group).name, track))
    return Curves(
        id="recall-curves",
        title="What still comes out right (share exact)",
        axis=axis,
        panels=(
            Panel("Exact answers", "share", (0.0, 1.0), SHARES, tuple(lines), 0.72),
            perplexity_panel(perplexity, 0.28),
        ),
        how=(
            "From left to right more is cut. The thick line is the share of memorized passages "
            "(those repeated most often) that come back word for word; the others are the share "
            "of probe questions answered exactly. Below: perplexity of fresh text over that of "
            "the original model. Bands are 95 % intervals."
        ),
        alt=alt,
    )


def full_curves(study: Measured, recipe: StoredRecipe, tick: int) -> Curves:
    """Every stored measure over the threshold: memorized text, probes, and fresh text."""
    group, top = study.memory
    lines = []
    for key, look, name, track in (
        (
            "strict",
            "memory",
            f"Passages shown {top}×, word for word",
            study.score(recipe, group, "strict", top),
        ),
        (
            "loose",
            "passage-loose",
            "The same passages, loosely",
            study.score(recipe, group, "loose", top),
        ),
        ("canary", "canary", "Numbers, word for word", _top_class(study, recipe, "canary")),
        (
            "recited",
            "recited",
            "Recited works, word for word",
            _top_class(study, recipe, "recited"),
        ),
    ):
        if track.known:
            lines.append(_line(key, look, name, track, heavy=key == "strict"))
    probes = [
        _line(probe, probe, style(probe).name, track)
        for probe in study.probes
        if (track := study.score(recipe, probe, "accuracy")).known
    ]
    fresh = study.ratio(recipe)
    strict = memory_track(study, recipe)
    half = next((t for t, v in enumerate(strict.value) if v <= 0.5 * strict.value[0]), None)
    said = (
        "Recall never falls to half of what it was."
        if half is None
        else f"Recall has fallen to half at {setting(recipe.ticks[half])} kept, where fresh text "
        f"costs {change(fresh.value[half])} perplexity."
    )
    return Curves(
        id="curves",
        title="Everything over the threshold",
        axis=axis_of(recipe),
        panels=(
            Panel("Memorized text", "share", (0.0, 1.0), SHARES, tuple(lines), 0.38),
            Panel("Probes", "share exact", (0.0, 1.0), SHARES, tuple(probes), 0.38),
            perplexity_panel(fresh, 0.24),
        ),
        how=(
            "Each point is a stored setting; lines only join them. Loosely: at most a quarter of "
            "the tokens must be edited to reach the true text. Bands are 95 % intervals; for "
            "edits with random draws they span all stored seeds."
        ),
        alt=said,
    )


def _top_class(study: Measured, recipe: StoredRecipe, group: str) -> Track:
    classes = study.classes(group)
    return study.score(recipe, group, "strict", classes[-1] if classes else None)


def perplexity_panel(track: Track, share: float = 1.0) -> Panel:
    """Perplexity of fresh text, edited over original. The axis ends where the curve does."""
    finite = [value for value in track.value if math.isfinite(value)]
    top = max([1.02, *finite])
    bottom = min([1.0, *finite])
    middle = 1.0 + (top - 1.0) / 2
    ticks = ((1.0, change(1.0)), (middle, change(middle)), (top, change(top)))
    line = _line("perplexity", "perplexity", "Perplexity, fresh text", track)
    return Panel(
        "Perplexity of fresh text", "edited / original", (bottom, top), ticks, (line,), share
    )


def abilities_bars(study: Measured, recipe: StoredRecipe, tick: int) -> Bars:
    """Edited over original for memory and every ability, in the paper's order."""
    memory = memory_track(study, recipe)
    base = memory.value[0] or math.nan
    bars = [
        Bar(
            "memory",
            "Memory",
            _over(memory.value, base),
            _over(memory.low, base),
            _over(memory.high, base),
            memory.value,
            PAPER_RANGES["memory"],
            PAPER_NAMES["memory"],
        )
    ]
    for group in study.probes:
        track = study.score(recipe, group, "above_chance")
        raw = study.score(recipe, group, "accuracy")
        if track.known:
            bars.append(
                Bar(
                    group,
                    style(group).name,
                    track.value,
                    track.low,
                    track.high,
                    raw.value,
                    PAPER_RANGES.get(group),
                    PAPER_NAMES.get(group),
                )
            )
    order = order_finding([(bar.name, bar.value[tick], bar.paper) for bar in bars])
    listed = listing([f"{bar.name.lower()} {percent(bar.value[tick])}" for bar in bars])
    return Bars(
        id="abilities",
        title="What is left",
        axis=axis_of(recipe),
        bars=tuple(bars),
        how=(
            "Edited over original: memory as exact recall, abilities as accuracy above chance. "
            "The whisker is a 95 % interval. The bracket above a bar is the range the paper "
            "reports for OLMo-2 7B, at its own setting; the rows stand in the paper's order."
        ),
        alt=f"Left of the original: {listed}. {order}",
    )


def _over(values: Sequence[float], base: float) -> tuple[float, ...]:
    return numbers(value / base for value in values)


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
            exact = tuple(_exact(study.items, group, c) for c in classes)
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


def _exact(items: pd.DataFrame, group: str, repeats: int) -> str:
    """The exact copies seen of one class, as a number or a range."""
    rows = items[(items["group"] == group) & (items["repeats"] == repeats)]
    seen = rows["exact_copies"].dropna()
    if seen.empty:
        return "unknown"
    low, high = int(seen.min()), int(seen.max())
    return str(low) if low == high else f"{low}–{high}"


@dataclass(frozen=True)
class Tradeoff:
    """Recall against what the cut costs on fresh text, one line a recipe."""

    id: str
    title: str
    lines: tuple[tuple[str, str, Track, Track, tuple[float, ...], int], ...]
    # (recipe, name, cost, recall, settings, tick in view)
    tolerance: float | None
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
    study: Measured, recipes: Sequence[tuple[StoredRecipe, str]], wanted: float, id: str, title: str
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
        tolerance=wanted,
        how=(
            "Right is dearer (perplexity of fresh text), down is less recall: a good cut falls "
            "early. The large mark is each edit's stored setting nearest to the cost in view; "
            "bands are 95 % intervals."
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
            "recited word for word": _with_interval(memory_track(study, recipe), tick),
            "recited loosely": _with_interval(memory_track(study, recipe, "loose"), tick),
        }
        for group in study.probes:
            track = study.score(recipe, group, "above_chance")
            row[style(group).name] = percent(track.value[tick]) if track.known else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def _with_interval(track: Track, tick: int) -> str:
    if not track.known:
        return "–"
    low, high = percent(track.low[tick]), percent(track.high[tick])
    return f"{percent(track.value[tick])} ({low} to {high})"


def unseen_change(study: Measured, recipe: StoredRecipe, tick: int) -> float:
    """Teacher-forced accuracy on unseen passages, after minus before."""
    accuracy = study.point(recipe, "tf_accuracy")
    return accuracy[tick] - accuracy[0]
