"""The loss along one direction of weight space, as a description: rises, recall and parabolas.

Every sentence is chosen by the numbers and their intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from core.intervals import Estimate
from dashboard.figures.cuts import (
    FLOOR,
    GROUPS,
    USUAL,
    Told,
    facts,
    is_edit,
    nearest,
    parabolas,
    present,
    reaches,
    recall_at,
    right_at,
    rise_at,
    said,
    spread,
)
from dashboard.figures.words import listing


@dataclass(frozen=True)
class Walked:
    """One group of texts along a direction; `recall` is None where nothing was recited before."""

    key: str
    look: str
    said: str
    texts: int
    rise: tuple[Estimate, ...]
    recall: tuple[Estimate, ...] | None


@dataclass(frozen=True)
class Walk:
    """One direction. `x` is in fractions of ‖W‖ or, for an edit, of the whole edit."""

    id: str
    title: str
    x_title: str
    x: tuple[float, ...]
    lines: tuple[Walked, ...]
    predicted: tuple[tuple[str, tuple[float, ...]], ...]  # parabolas: name and rises
    of: str  # the group they are of, as said
    span: tuple[float, float]
    how: str
    alt: str
    unit: str = "nats a token"

    def table(self) -> pd.DataFrame:
        columns: dict[str, Sequence[float]] = {self.x_title: self.x}
        for line in self.lines:
            columns[f"{line.said}: rise ({self.unit})"] = [e.value for e in line.rise]
            columns[f"{line.said}: rise, low"] = [e.low for e in line.rise]
            columns[f"{line.said}: rise, high"] = [e.high for e in line.rise]
            if line.recall is not None:
                columns[f"{line.said}: recited"] = [e.value for e in line.recall]
        for name, values in self.predicted:
            columns[f"{name}, {self.of}"] = values
        return pd.DataFrame(columns)


def walk(told: Told, title: str, id_: str = "walk", of: str | None = None) -> Walk:
    """One direction with everything that is known along it."""
    axis, keys = told["axes"][0], present(told)
    x = tuple(float(value) for value in axis["values"])
    of = of if of in keys else keys[0]
    lines = tuple(_walked(told, key, keys) for key in keys)
    edit = is_edit(told)
    predicted = parabolas(told, of)
    return Walk(
        id=id_,
        title=title,
        x_title="share of the edit (0: nothing, 1: all of it)" if edit
        else "step, as a fraction of ‖W‖",
        x=x,
        lines=lines,
        predicted=predicted,
        of=said(of, keys),
        span=span([e.value for line in lines for e in line.rise]),
        how=(
            f"{facts(told)} All weights the direction touches are moved along it, and every text "
            "is read again. "
            "Above: by how much the loss rises (0 is the model as it is, the dashed line); bands "
            "are 95 % intervals over texts, a single text has none. Dashed curves: what the slope "
            f"and a curvature at the centre predict for {said(of, keys)}; where they leave the "
            "chart, they predict more. Below: the share of texts that come out word for word."
        ),
        alt=f"{change(told, keys, edit)} {_fit(x, lines, of, predicted, edit)}",
    )  # fmt: skip


def _walked(told: Told, key: str, keys: Sequence[str]) -> Walked:
    group, axis = told["groups"][key], told["axes"][0]
    every = range(len(axis["values"]))
    centre = axis["values"].index(0.0)
    look = GROUPS[key][0] if key in GROUPS else key
    if key == "memorized" and "string" not in keys:
        look = "memory"
    return Walked(
        key,
        look,
        said(key, keys),
        int(group["texts"]),
        tuple(rise_at(group, [at]) for at in every),
        tuple(recall_at(group, [at]) for at in every) if right_at(group, [centre])[0] else None,
    )


def span(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    high = max([*finite, 2 * FLOOR])
    low = min([*finite, 0.0])
    return min(low, -0.06 * high) * 1.1, high * 1.08


def change(told: Told, keys: Sequence[str], edit: bool) -> str:
    values = told["axes"][0]["values"]
    at = nearest(values, 1.0 if edit else USUAL)
    rises = []
    for key in keys:
        rises.append(f"{said(key, keys)} by {spread(rise_at(told['groups'][key], [at]))}")
    step = "The whole edit" if edit and values[at] == 1.0 else (
        f"{values[at]:.2g} of the edit" if edit else f"A step of {values[at]:.2g} ‖W‖"
    )  # fmt: skip
    recited = [
        _recited(told, key, keys, at)
        for key in keys
        if right_at(told["groups"][key], [values.index(0.0)])[0]
    ]
    tail = f" Right word for word: {listing(recited)}." if recited else ""
    return f"{step} changes the loss of {listing(rises)} nats a token.{tail}"


def _recited(told: Told, key: str, keys: Sequence[str], at: int) -> str:
    right, texts = right_at(told["groups"][key], [at])
    if texts == 1:
        return said(key, keys) if right else f"not {said(key, keys)}"
    return f"{right} of {texts} {said(key, keys)}"


def _fit(
    x: Sequence[float],
    lines: Sequence[Walked],
    of: str,
    predicted: Sequence[tuple[str, tuple[float, ...]]],
    edit: bool,
) -> str:
    """How far each parabola holds, in a sentence."""
    if not predicted:
        return ""
    line = next(line for line in lines if line.key == of)
    rise = [e.value for e in line.rise]
    said_ = []
    for name, values in predicted:
        far = reaches(x, rise, values)
        if far is None:
            return f"The loss of {line.said} hardly moves: there is nothing to predict."
        if far == 0.0:
            said_.append(f"{name} does not tell the rise of {line.said} even at the smallest step")
        elif far >= min(-x[0], x[-1]):
            said_.append(f"{name} tells the rise of {line.said} as far as the slice goes")
        else:
            unit = "of the edit" if edit else "‖W‖"
            said_.append(f"{name} tells the rise of {line.said} up to ±{far:.2g} {unit}")
    return f"{'; '.join(said_)} (within 20 %)."
