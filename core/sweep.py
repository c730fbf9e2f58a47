"""One method over its whole axis: which settings are worth a stop of the slider, and what they do.

The axis is 1 − setting on a log scale, because nearly everything happens close to 1. Ticks are the
unedited model, then thirteen steps from 1e-4 to 0.5 and further while the edit has neither raised
fresh-text perplexity by half nor removed all recall. Then gaps are bisected (geometric mean of
1 − setting) until neighbouring ticks differ by at most .1 in strict recall of the class repeated
most often and by at most 0.5 % in perplexity, as far as the number of ticks allows: first the gaps
in recall, then those in perplexity where it has risen by less than 2 %, 10 %, 50 %, and the wider
gap first. So no tick is spent on a destroyed model, nor many on a method that moves in jumps.

Of images, recall is the share of wrong labels reproduced, and in the place of the perplexity ratio
stands 1 + accuracy lost on rightly labelled ones (`core.image_exam`): half a point between ticks.

Everything is deterministic. A cancelling callback raises; nothing is written here, so nothing is
left behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from transformers import PreTrainedModel

from core.edit import Editor, EditReport
from core.errors import HillshadeError
from core.exam import Judgement
from core.intervals import Estimate
from core.items import Split

Progress = Callable[[int, int, str], None]

MOST_TICKS = 61  # what a browser animates smoothly
RECALL_STEP = 0.1
PERPLEXITY_STEP = 0.005
PRECISION = 0.001  # of the perplexity at which methods are compared

_FIRST = tuple(np.geomspace(1e-4, 0.5, 13).tolist())  # values of 1 − setting
_FURTHER = (0.65, 0.8, 0.9, 0.95, 0.98)
_NARROW = 1.001  # a gap whose ends differ by less than this factor of 1 − setting stays
_TINY = 1e-6  # nothing closer to 1 is tried
_LEAP = 4.0  # factor from the mildest tick to the next milder one
_BANDS = (1.02, 1.1, 1.5)  # perplexity ratios that divide the more from the less useful range


class Asked(Protocol):
    """Answers of one model to one exam: how much it still recites, and what the edit cost."""

    @property
    def recall(self) -> Estimate:
        """What shall go: strict recall, or wrong labels reproduced."""
        ...

    def cost(self, original: Any) -> float:
        """What shall stay, 1 where nothing is lost: perplexity ratio, or 1 + accuracy lost."""
        ...


Given = TypeVar("Given", bound=Asked)


class Asks(Protocol[Given]):
    """An exam: `core.exam.Exam` for texts, `core.image_exam.ImageExam` for images."""

    def ask(self, model: PreTrainedModel) -> Given:
        """All answers of a model."""
        ...

    def cost(self, model: PreTrainedModel, original: Given, split: Split = "choose") -> Estimate:
        """The cost alone, on one half."""
        ...

    def judge(self, model: PreTrainedModel, original: Given, split: Split = "choose") -> Judgement:
        """What a setting is chosen by, on the choosing half; the other only reports."""
        ...

    def narrowed(self) -> Asks[Given]:
        """Less of it, for further seeds of one method."""
        ...


@dataclass(frozen=True)
class Point(Generic[Given]):
    """One edited model: its setting and seed, what the edit kept, and its answers."""

    setting: float
    seed: int
    edit: EditReport
    answers: Given


@dataclass(frozen=True)
class Swept(Generic[Given]):
    """A finished sweep.

    original  answers of the unedited model
    ticks     settings, descending from 1
    points    one for each seed and tick, by seed, then tick; further seeds answer a narrowed exam
    equal     tolerated rise of the cost -> its tick; a rise no setting reaches is left out
    """

    original: Given
    ticks: tuple[float, ...]
    points: tuple[Point[Given], ...]
    equal: Mapping[float, int]

    def tick_of(self, setting: float) -> int:
        """The tick of a setting that was asked for."""
        return self.ticks.index(setting)


def sweep(
    editors: Sequence[Editor[PreTrainedModel]],
    exam: Asks[Given],
    original: Given,
    *,
    settings: Sequence[float] = (),
    rises: Sequence[float] = (),
    most: int = MOST_TICKS,
    progress: Progress | None = None,
) -> Swept[Given]:
    """Sweep one method; several editors are the seeds of one method, the first sets the ticks.

    original  answers of the unedited model to this exam, which every method shares
    settings  that must be ticks, such as a chosen one
    rises     tolerated rises of the cost, such as 0.01; the setting that meets each (`at_cost`,
              over all seeds) becomes a tick
    most      ticks at most, these included
    """
    label = editors[0].recipe(1.0).method
    points: dict[float, Point[Given]] = {}

    def ask(setting: float) -> None:
        if setting not in points:
            model, report = editors[0].at(setting)
            answers = original if setting == 1.0 else exam.ask(model)
            points[setting] = Point(setting, 0, report, answers)
            if progress:
                progress(len(points), most * len(editors), f"{label} at {setting:.5g}")

    room = most - len(rises)
    for setting in (1.0, *settings, *(1.0 - x for x in _FIRST)):
        ask(setting)
    for x in _FURTHER:
        last = points[min(points)].answers
        if last.recall.value == 0.0 or last.cost(original) >= 1.5:
            break
        ask(1.0 - x)
    while len(points) < room and (finer := _next_setting(points, original)) is not None:
        ask(finer)
    equal: dict[float, float] = {}
    for rise in rises:
        known = {setting: point.answers.cost(original) for setting, point in points.items()}
        found = at_cost(editors, exam, original, rise, known)
        if found is not None:
            ask(found)
            equal[rise] = found
    ticks = tuple(sorted(points, reverse=True))
    every = [points[setting] for setting in ticks]
    narrow = exam.narrowed()
    for seed, editor in enumerate(editors[1:], start=1):
        for setting in ticks:
            model, report = editor.at(setting)
            every.append(Point(setting, seed, report, narrow.ask(model)))
            if progress:
                total = len(ticks) * len(editors)
                progress(len(every), total, f"{label}, seed {seed}, at {setting:.5g}")
    return Swept(original, ticks, tuple(every), {r: ticks.index(s) for r, s in equal.items()})


def at_cost(
    editors: Sequence[Editor[PreTrainedModel]],
    exam: Asks[Given],
    original: Given,
    rise: float,
    known: Mapping[float, float] | None = None,
) -> float | None:
    """The setting whose cost is 1 + rise, ± 0.1 %: fresh-text perplexity / the original's.

    Measured on the choosing half; over several seeds the geometric mean. `original` are the
    unedited model's answers, `known` the costs of settings that a sweep has found so far: the
    search starts where they first cross. None if no setting gets there. A method that moves in
    jumps, or an accuracy, which always does, may miss the 0.1 %; then the setting lies at the jump.
    """
    if not 0.0 < rise < 10.0:
        raise HillshadeError(f"A rise of the cost of {rise} is no tolerance; try 0.01 for 1 %.")
    target = math.log1p(rise)

    @cache
    def height(x: float) -> float:
        """Log of the cost at 1 − setting = x."""
        logs = [math.log(exam.cost(editor.at(1.0 - x)[0], original).value) for editor in editors]
        return sum(logs) / len(logs)

    low, high = _bracket(known or {}, 1.0 + rise)
    while height(low) > target:
        low, high = low / 2, low
        if low < _TINY:
            return None
    while height(high) < target:
        low, high = high, min(2 * high, (1.0 + high) / 2)
        if high > 0.999:
            return None
    while True:
        middle = math.sqrt(low * high)
        found = height(middle)
        if abs(math.expm1(found - target)) <= PRECISION or high / low < 1 + 1e-6:
            return 1.0 - middle
        low, high = (middle, high) if found < target else (low, middle)


def _bracket(known: Mapping[float, float], target: float) -> tuple[float, float]:
    """Values of 1 − setting around the first crossing of the target, from what is known."""
    rises = [
        (1.0 - setting, known[setting]) for setting in sorted(known, reverse=True) if setting < 1.0
    ]
    for (low, before), (high, after) in pairwise(rises):
        if before < target <= after:
            return low, high
    if not rises:
        return 1e-3, 2e-3
    nearest = rises[0] if rises[0][1] > target else rises[-1]
    return nearest[0] / 2, nearest[0]


def _next_setting(points: Mapping[float, Point[Given]], original: Given) -> float | None:
    """The setting to add next, or None where every gap is narrow enough.

    The most urgent gap, and among equals the widest, in log(1 − setting).
    """
    best: tuple[int, float, float] | None = None
    for mild, strong in pairwise(sorted(points, reverse=True)):
        low, high = 1.0 - mild, 1.0 - strong
        low = low or high / _LEAP**2  # the unedited model lies infinitely far away
        urgency = _urgency(points[mild].answers, points[strong].answers, original)
        kept = points[mild].edit.directions_kept - points[strong].edit.directions_kept
        # With one direction between them there is no edit in between.
        if urgency is None or kept == 1 or high / low < _NARROW or high < _TINY:
            continue
        gap = (urgency, -math.log(high / low), 1.0 - math.sqrt(low * high))
        best = gap if best is None else min(best, gap)
    return best[2] if best else None


def _urgency(mild: Given, strong: Given, original: Given) -> int | None:
    """Rank of a gap, 0 first; None where its two ends are near enough to each other."""
    if abs(mild.recall.value - strong.recall.value) > RECALL_STEP + 1e-9:
        return 0
    if abs(math.log(strong.cost(mild))) <= math.log1p(PERPLEXITY_STEP):
        return None
    risen = mild.cost(original)
    return 1 + sum(risen >= bound for bound in _BANDS)
