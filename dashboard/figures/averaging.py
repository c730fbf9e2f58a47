"""The mean over n examples along the own direction of each: spikes that flatten, or do not.

Finished numbers for a component that moves them under the hand; every n shown is computed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.intervals import Estimate
from dashboard.figures.estimates import INTERVAL, judged, times
from dashboard.figures.kinds import TEXTS, Kind
from dashboard.figures.palette import style
from dashboard.figures.portraits import FRESH, MEMORIZED, Portraits
from dashboard.figures.spectrum import short
from dashboard.figures.words import digits, percent

Floats = NDArray[np.float64]

LITTLE, MOST = 0.1, 0.5  # what is felt by others, and so remains in a mean over many
CEILING = 1.25  # where bars end; what is higher ends in a tip


@dataclass(frozen=True)
class Skyline:
    """One group: along each of its own directions the mean over the first n examples, every n.

    heights  by step, by direction: κ̄_n(D_x)/κ_x(D_x), 1 for a spike that stands alone
    """

    group: str
    name: str
    heights: tuple[tuple[float, ...], ...]

    def payload(self) -> dict[str, Any]:
        look = style(self.group)
        return {
            "name": self.name,
            "light": look.light,
            "dark": look.dark,
            "heights": [list(step) for step in self.heights],
        }


@dataclass(frozen=True)
class Averaging:
    """Both skylines over the same steps; `said` is the sentence of each step."""

    id: str
    title: str
    steps: tuple[int, ...]
    skylines: tuple[Skyline, ...]
    said: tuple[str, ...]
    how: str
    alt: str

    def payload(self) -> dict[str, Any]:
        return {
            "steps": list(self.steps),
            "panels": [skyline.payload() for skyline in self.skylines],
            "said": list(self.said),
            "ceiling": CEILING,
            "label": "Examples averaged",
            "unit": "of its own spike",
            "axis": "own directions, one bar an example",
        }

    def table(self) -> pd.DataFrame:
        rows = [
            {
                "along own directions of": skyline.name,
                "examples averaged": n,
                "1/n": digits(1.0 / n),
                "left of the spikes of those averaged (median)": digits(_left(step, n)),
                "highest bar": max(step),
            }
            for skyline in self.skylines
            for n, step in zip(self.steps, skyline.heights, strict=True)
        ]
        return pd.DataFrame(rows)


def averaging(found: Portraits, kind: Kind = TEXTS) -> Averaging:
    """What a mean over 1, 2, … examples keeps of their own spikes."""
    most = min(len(table) for table in found.kappa.values())
    steps = _steps(most)
    skylines = tuple(
        Skyline(kind.look(group), kind.name(group), _heights(found.kappa[group], steps))
        for group in (MEMORIZED, FRESH)
    )
    return Averaging(
        id="averaging",
        title="Average over n examples: what flattens, what stays",
        steps=steps,
        skylines=skylines,
        said=tuple(_said(skylines, at, n, kind) for at, n in enumerate(steps)),
        how=(
            "Each bar is one example's own sharpest direction. Its height is the exact curvature "
            "along it of the mean loss of the first n examples, over that of its owner alone. The "
            "dashed line is 1/n: what is left of a spike that nobody else feels. Filled bars "
            "belong to examples already in the mean. Bars that end in a tip are higher than "
            "drawn. Examples stand in stored order; drag, or use the arrow keys."
        ),
        alt=_alt(found, kind),
    )


def _steps(most: int) -> tuple[int, ...]:
    """1, 2, 3, 4, 6, 8, 12, … below `most`, and `most`."""
    return (*(n for n in sorted({2**k for k in range(12)} | {3 * 2**k for k in range(11)})
              if n < most), most)  # fmt: skip


def _heights(kappa_xy: Floats, steps: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    relative = kappa_xy / kappa_xy.diagonal()[:, None]
    return tuple(
        tuple(digits(value, 3) for value in relative[:, :n].mean(1).tolist()) for n in steps
    )


def _left(step: Sequence[float], n: int) -> float:
    """The median height over the directions of the examples in the mean."""
    return float(np.median(step[:n]))


def _said(skylines: Sequence[Skyline], at: int, n: int, kind: Kind) -> str:
    memorized, fresh = (percent(_left(one.heights[at], n)) for one in skylines)
    if n == 1:
        return "One example alone: its own direction is a spike, whatever it is."
    return (
        f"Averaged over {n}, {memorized} of a {kind.first}'s spike is left and {fresh} of a "
        f"{kind.second}'s (medians); if nobody felt another's, {percent(1.0 / n)}."
    )


def _alt(found: Portraits, kind: Kind) -> str:
    memorized, fresh = found.felt[MEMORIZED], found.felt[FRESH]
    ratio = found.verdict.measured
    firsts = kind.firsts[0].upper() + kind.firsts[1:]
    claim = f"{firsts} flatten faster than {kind.mass}"
    told = {
        True: f"{claim}.",
        False: f"{claim}: no, slower.",
        None: f"Whether {kind.firsts} flatten faster {judged(found.verdict)}.",
    }[found.verdict.holds]
    over = f"{kind.like_first[0].upper()}{kind.like_first[1:]} over {kind.like_second}"
    return (
        f"In {short(found.projection)}, another {kind.first} feels {_felt(memorized)} of "
        f"{kind.short}'s own curvature: {_kept(memorized)}. Another {kind.second} feels "
        f"{_felt(fresh)} of a {kind.second}'s: {_kept(fresh)}. {told} {over} is {times(ratio)}."
    )


def _felt(felt: Estimate) -> str:
    return f"{percent(felt.value)} ({INTERVAL} {percent(felt.low)} to {percent(felt.high)})"


def _kept(felt: Estimate) -> str:
    if felt.high < LITTLE:
        return "an average over many flattens the spike"
    if felt.low > MOST:
        return "an average over many keeps most of it"
    if felt.low > LITTLE and felt.high < MOST:
        return "an average over many keeps a part of it"
    return "how much of it an average over many keeps is undecided"
