"""The figures of the Recall page, as descriptions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.manifest import StoredRecipe
from dashboard.figures.describe import Axis, Bar, Bars, Curves, Panel, Series, numbers
from dashboard.figures.findings import Finding, order_finding, recall_finding
from dashboard.figures.measured import (
    RISE_CEILING,
    RISE_FLOOR,
    RISE_TICKS,
    Measured,
    Track,
    axis_of,
    rises,
)
from dashboard.figures.palette import PAPER_NAMES, PAPER_RANGES, style
from dashboard.figures.words import change, listing, percent, setting

SHARES = ((0.0, "0"), (0.25, ".25"), (0.5, ".5"), (0.75, ".75"), (1.0, "1"))


Ticks = tuple[tuple[float, str], ...]
FEW_RISE_TICKS: Ticks = tuple(tick for tick in RISE_TICKS if tick[0] in (0.05, 1.0, 100.0))
FEW = 20  # items below which a line carries no band


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
    noun = "passages" if study.memory[0] == "passage" else "strings"
    findings = tuple(
        recall_finding(t, memory, abilities, perplexity, noun) for t in range(axis.count)
    )
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
    """A track as a line; the interval of a handful of items says less than it hides."""
    if track.n < FEW:
        return Series(key, group, name, track.value, heavy=heavy)
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
            Panel("Exact answers", "share", (0.0, 1.0), SHARES, tuple(lines), 0.68),
            perplexity_panel(perplexity, 0.32, FEW_RISE_TICKS),
        ),
        how=(
            "From left to right more is cut. The thick line is the share of memorized passages "
            "(those repeated most often) that come back word for word; the others are the share "
            "of probe questions answered exactly. Below: by how much perplexity of fresh text "
            "rises, on a log axis. Bands are 95 % intervals."
        ),
        alt=alt,
    )


def full_curves(study: Measured, recipe: StoredRecipe, tick: int) -> Curves:
    """Every stored measure over the threshold: memorized text, probes, and fresh text."""
    group, top = study.memory
    noun = "passages" if group == "passage" else "strings"
    often = "" if top is None else f" shown {top}×"  # nobody knows it of one's own strings
    lines = []
    for key, look, name, track in (
        (
            "strict",
            "memory",
            f"{noun.capitalize()}{often}, word for word",
            study.score(recipe, group, "strict", top),
        ),
        (
            "loose",
            "passage-loose",
            f"The same {noun}, loosely",
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
        if track.known and key != group:
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
            "the tokens must be edited to reach the true text. Bands are 95 % intervals, left out "
            f"where fewer than {FEW} strings are counted; for "
            "edits with random draws they span all stored seeds."
        ),
        alt=said,
    )


def _top_class(study: Measured, recipe: StoredRecipe, group: str) -> Track:
    classes = study.classes(group)
    return study.score(recipe, group, "strict", classes[-1] if classes else None)


def perplexity_panel(track: Track, share: float, ticks: Ticks = RISE_TICKS) -> Panel:
    """By how much perplexity of fresh text rises; on a log axis cheap and dear cuts both show."""
    line = Series(
        "perplexity",
        "perplexity",
        "Perplexity, fresh text",
        rises(track.value),
        rises(track.low),
        rises(track.high),
        raw=track.value,
    )
    title = "Rise of perplexity, fresh text"
    return Panel(
        title, "edited / original", (RISE_FLOOR, RISE_CEILING), ticks, (line,), share, log=True
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
