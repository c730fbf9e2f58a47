"""What was claimed of a chosen cut of a classifier before it was measured, against what is so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.curvature.verdicts import Verdict
from core.images import RIGHT
from core.intervals import Estimate
from core.manifest import StoredRecipe
from dashboard.figures.describe import numbers
from dashboard.figures.estimates import Forest, Mark, Row, Scale, counted, ticked
from dashboard.figures.findings import span
from dashboard.figures.labels import STORED, estimate_at, tracks
from dashboard.figures.measured import Measured, Track
from dashboard.figures.palette import style
from dashboard.figures.recall import SHARES
from dashboard.figures.words import percent, setting

_ROOM = 0.04  # beside 0 and 1
AT_MOST_WRONG, AT_LEAST_TRUE, AT_LEAST_RIGHT = 0.05, 0.66, 0.97


def verdicts(found: Mapping[str, Track], tick: int) -> dict[str, Verdict]:
    """What was claimed of a chosen cut before it was measured, and what is so at this tick."""
    bounds = {
        "reproduced": (-math.inf, AT_MOST_WRONG, f"wrong labels said: at most {AT_MOST_WRONG:g}"),
        "recovered": (AT_LEAST_TRUE, math.inf, f"true labels said: at least {AT_LEAST_TRUE:g}"),
        RIGHT: (AT_LEAST_RIGHT, math.inf, f"rightly labelled: at least {AT_LEAST_RIGHT:g}"),
    }
    return {
        key: Verdict(claim, estimate_at(found[key], tick), low, high)
        for key, (low, high, claim) in bounds.items()
        if math.isfinite(found[key].value[tick])
    }


def claims(study: Measured, recipe: StoredRecipe, tick: int, seeds: Sequence[Any] = ()) -> Forest:
    """Three claims at the tick in view; below each the same of every stored training.

    What is claimed of the images kept from training is a gain, and so a figure of its own.

    `seeds` are those of a study's acceptance.json, each at its own chosen setting.
    """
    judged = verdicts(tracks(study, recipe), tick)
    rows: list[Row] = []
    for key, verdict in judged.items():
        look, claim = style(key), _field(verdict)
        said = verdict.claim
        rows.append(Row(f"{said[0].upper()}{said[1:]}"))
        mark = Mark(key, look.name, verdict.measured)
        rows.append(Row("In view", (mark,), claim, ticked(verdict), marked=True))
        rows += [_trained(key, verdict, entry) for entry in seeds]
    return Forest(
        id="label-claims",
        title="What was claimed, and what holds here",
        x=Scale("share of the images", (0.0, 1.0), ticks=SHARES),
        rows=tuple(rows),
        how=(
            "The shaded field is what was claimed before measuring. A claim holds where the whole "
            "95 % interval lies inside, fails where it lies outside, and is undecided otherwise. "
            "In view: this study at this threshold"
            + (
                ". Training n: the same recipe from the nth seed, the first being this study's and "
                "not the best; each at the setting chosen on its own choosing half, measured on "
                "the other."
                if seeds
                else "."
            )
        ),
        alt=f"At {setting(recipe.ticks[tick])} kept, of what was claimed: "
        f"{counted(list(judged.values()))}. "
        + " ".join(
            _claimed(key, found, tick, tracks(study, recipe)) for key, found in judged.items()
        ),
    )


def _claimed(key: str, verdict: Verdict, tick: int, found: Mapping[str, Track]) -> str:
    name = style(key).name
    return f"{name}: {percent(verdict.measured.value)} ({span(found[key], tick)})."


def _trained(key: str, verdict: Verdict, entry: Mapping[str, Any]) -> Row:
    """One claim of one training."""
    after = _estimate(entry["after"][STORED[key]])
    again = Verdict(verdict.claim, after, verdict.at_least, verdict.at_most)
    mark = Mark(key, style(key).name, again.measured)
    return Row(f"Training {int(entry['seed']) + 1}", (mark,), _field(again), ticked(again))


def _field(verdict: Verdict) -> tuple[float, float]:
    """The shares that a claim allows; an open end lies at the edge of the chart."""
    return max(verdict.at_least, -_ROOM), min(verdict.at_most, 1.0 + _ROOM)


def _estimate(raw: Mapping[str, Any]) -> Estimate:
    value, low, high = numbers(float(raw[name]) for name in ("value", "low", "high"))
    return Estimate(value, low, high, int(raw["n"]))
