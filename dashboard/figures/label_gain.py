"""Whether a cut gains accuracy on images kept from training: paired over images, and over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.curvature.verdicts import Verdict
from core.images import HELD_OUT
from core.intervals import Estimate, mean
from core.manifest import StoredRecipe
from dashboard.figures.estimates import (
    INTERVAL,
    Forest,
    Mark,
    Row,
    Scale,
    judged,
    stored_verdict,
    ticked,
)
from dashboard.figures.palette import style
from dashboard.figures.words import count, digits, setting

CLAIM = "held-out accuracy gained"
_ABOVE_ZERO = math.nextafter(0.0, 1.0)
_ROOM = 0.04  # beyond the last named place
_STEPS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)  # between named places of the axis


def paired(
    outputs: pd.DataFrame, items: pd.DataFrame, recipe: StoredRecipe, tick: int
) -> Estimate | None:
    """Accuracy at a tick less that before the cut, the same images twice; None if not stored.

    The interval is that of a mean of differences: an image that stays as it was adds no noise. Of
    an edit with random draws it is the first.
    """
    held = items.loc[items["group"] == HELD_OUT, "id"]
    rows = outputs[(outputs["recipe"] == recipe.id) & outputs["item"].isin(set(held))]
    before, after = (
        rows[rows["tick"] == at].set_index("item")["strict"].astype(float) for at in (0, tick)
    )
    change = (after - before).dropna()  # a label given to an image that is held out is the true one
    return None if change.empty else mean(change.to_numpy())


def gain(
    now: Estimate, recipe: StoredRecipe, tick: int, seeds: Sequence[Mapping[str, Any]] = ()
) -> Forest:
    """The gain in view, that of every stored training at its own chosen setting, and their mean."""
    trained = [
        (int(entry["seed"]), verdict)
        for entry in seeds
        for verdict in map(stored_verdict, entry.get("verdicts", ()))
        if verdict.claim == CLAIM
    ]
    here = Verdict(CLAIM, now, _ABOVE_ZERO)
    named = [("In view", here)] + [(f"Training {seed + 1}", verdict) for seed, verdict in trained]
    over = None
    if len(trained) > 1:
        average = mean([verdict.measured.value for _, verdict in trained])
        over = Verdict(CLAIM, average, _ABOVE_ZERO)
        named.append((f"Mean of the {len(trained)}", over))
    points = [_points(verdict.measured) for _, verdict in named]
    scale = _scale(points)
    field = (0.0, scale.span[1] + _ROOM * (scale.span[1] - scale.span[0]))
    rows = [
        Row(
            label,
            (Mark(HELD_OUT, style(HELD_OUT).name, measured),),
            field,
            ticked(verdict),
            verdict is here,
        )
        for (label, verdict), measured in zip(named, points, strict=True)
    ]
    return Forest(
        id="gain",
        title="Are images that were kept from training said better?",
        x=scale,
        rows=tuple(rows),
        how=(
            "Accuracy on the images kept from training after the cut less before it, on the same "
            "images, with the 95 % interval of these paired differences; the shaded field is what "
            "was claimed: a gain."
            + (
                " Training n stands at the setting chosen on its own choosing half; the interval "
                "of the mean is over the trainings, whose pictures, wrong labels and first weights "
                "differ."
                if trained
                else ""
            )
        ),
        alt=_alt(here, over, [verdict for _, verdict in trained], recipe, tick),
    )


def _points(e: Estimate) -> Estimate:
    """A share in percentage points."""
    return Estimate(digits(100 * e.value), digits(100 * e.low), digits(100 * e.high), e.n)


def _scale(estimates: Sequence[Estimate]) -> Scale:
    ends = [end for e in estimates for end in (e.low, e.high)]
    low, high = min([*ends, -1.0]), max([*ends, 1.0])
    step = next((step for step in _STEPS if (high - low) / step <= 8), _STEPS[-1])
    first, last = math.floor(low / step), math.ceil(high / step)
    return Scale(
        "accuracy gained on images kept from training (percentage points)",
        (first * step, last * step),
        ticks=tuple((n * step, _named(n * step)) for n in range(first, last + 1)),
    )


def _named(points: float) -> str:
    return f"{points:+g}".replace("-", "−") if points else "0"


def _spread(e: Estimate) -> str:
    """A gain with its interval: "+0.4 points (95 % interval −1.3 to +2.1)"."""
    value, low, high = (
        f"{100 * end:+.1f}".replace("-", "−") if abs(end) >= 0.0005 else "0.0"
        for end in (e.value, e.low, e.high)
    )
    return f"{value} points ({INTERVAL} {low} to {high})"


def _alt(
    here: Verdict,
    over: Verdict | None,
    trained: Sequence[Verdict],
    recipe: StoredRecipe,
    tick: int,
) -> str:
    e = here.measured
    told = (
        f"At {setting(recipe.ticks[tick])} kept, accuracy on the {count(e.n)} images kept from "
        f"training changes by {_spread(e)}: that it rises {judged(here)}."
    )
    if over is None:
        return told
    hold = sum(verdict.holds is True for verdict in trained)
    return (
        f"{told} Over {len(trained)} trainings, each at its chosen setting, the mean is "
        f"{_spread(over.measured)}: that it rises {judged(over)}. Of the trainings alone it holds "
        f"in {hold}."
    )
