"""One wrongly labelled image's own direction: its slice, and who feels how much of its curvature.

Read from the "own" part of a study's examples.json (`core.curvature.own`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from core.curvature.resampling import estimate
from core.intervals import Estimate
from core.manifest import StoredRecipe
from dashboard.figures.cuts import Told, facts, number, said
from dashboard.figures.estimates import INTERVAL, plain
from dashboard.figures.label_slices import OTHERS, UNIT, spike
from dashboard.figures.spectrum import short
from dashboard.figures.walks import Walk, walk
from dashboard.figures.words import digits, percent, setting

Document = Mapping[str, Any]
_FEWEST = 5  # images a group below which no two are compared


@dataclass(frozen=True)
class Portrait:
    """What one image's own direction shows: a slice, and its curvature in rows."""

    image: str
    walk: Walk
    rows: tuple[tuple[str, str, str], ...]
    said: str  # how much of the direction the cut in view takes

    def table(self) -> pd.DataFrame:
        columns = ("Along its own direction", "Curvature κ", "Own ÷ it")
        return pd.DataFrame(list(self.rows), columns=columns)


def ids(document: Document) -> list[str]:
    """The images that have slices, in stored order."""
    return [str(id_) for id_ in document["ids"]]


def portrait(document: Document, image: str, recipe: StoredRecipe, tick: int) -> Portrait:
    """One image at the cut in view."""
    at = ids(document).index(image)
    told = _told(document, at)
    drawn = walk(told, "Its own spike", "own-spike")
    return Portrait(
        image,
        replace(
            drawn,
            title="One image's own direction",
            how=(
                f"{facts(told)} The weights of {short(str(document['projection']))} are moved "
                "along the one direction that is steepest for this image, and every image is read "
                "again: the lines are by how much the loss of the label given rises (the model as "
                "it is stands at 0). Of the others the mean is drawn, with its 95 % interval over "
                "images. The table has the exact curvature at 0, and in its last row what the "
                "factors hold, on average over images never trained on."
            ),
            alt=spike(told),
            unit=UNIT,
        ),
        tuple(_rows(document, at, told)),
        _cut(document, at, recipe, tick),
    )


def _told(document: Document, at: int) -> Told:
    """The image's slice as `core.landscape.summary` tells one."""
    steps = [float(step) for step in document["steps"]]
    centre = sum(step < 0 for step in steps)

    def with_zero(values: list[Any]) -> list[Any]:
        return [*values[:centre], 0.0, *values[centre:]]

    def group(texts: int, rise: list[Any], half: list[Any]) -> dict[str, Any]:
        nothing = [0] * (len(steps) + 1)  # what is said along the way is not stored
        return {"texts": texts, "rise": with_zero(rise), "half": with_zero(half), "right": nothing}

    groups = {"string": group(1, document["rise"][at], [0.0] * len(steps))}
    for name in OTHERS:
        if name in document["groups"]:
            felt = document["groups"][name]
            groups[name] = group(int(felt["count"][at]), felt["rise"][at], felt["rise_half"][at])
    norm = float(document["norm"])
    return {
        "axes": [{"values": with_zero(steps), "unit": norm, "unit_of": "weights"}],
        "projections": [document["projection"]],
        "norm": norm,
        "mass_share": None,
        "groups": groups,
    }


def _rows(document: Document, at: int, told: Told) -> list[tuple[str, str, str]]:
    own = number(document["kappa"][at])
    rows = [("The image itself", plain(own), "1×")]
    for name in OTHERS:
        if name in document["groups"]:
            felt = document["groups"][name]
            value, half = number(felt["kappa"][at]), number(felt["kappa_half"][at])
            e = Estimate(value, digits(value - half), digits(value + half), int(felt["count"][at]))
            name = said(name, [*told["groups"]])
            who = f"{name[0].upper()}{name[1:]}, mean of {e.n}"
            rows.append(
                (who, f"{plain(e.value)} ({plain(e.low)} to {plain(e.high)})", _of(e.value, own))
            )
    factors = number(document["factors"][at])
    rows.append(("What the factors hold, on average", plain(factors), _of(factors, own)))
    return rows


def _of(value: float, own: float) -> str:
    return f"{plain(digits(own / value, 2))}×" if value > 0 else "–"


def taken(document: Document, still: Mapping[str, bool], recipe: StoredRecipe, tick: int) -> str:
    """The same over all images: do those that forget their wrong label lose more of theirs?

    ``still`` says of each image whether its wrong label is said at this tick.
    """
    if not _stored(document, recipe) or tick == 0:
        return ""
    cut = {id_: number(row[tick]) for id_, row in zip(ids(document), document["cut"], strict=True)}
    groups = [
        np.array([cut[id_] for id_ in cut if still.get(id_) is wanted]) for wanted in (False, True)
    ]
    sizes = [len(group) for group in groups]
    if min(sizes) < _FEWEST:
        return f"Over all {sum(sizes)} images the median is {percent(_median([*cut.values()]))}."
    gone, kept = groups
    apart = estimate(lambda a, b: _median(gone[a]) - _median(kept[b]), sizes)
    judged = "told apart" if apart.low > 0.0 or apart.high < 0.0 else "not told apart"
    low, high = (percent(end).replace("-", "−") for end in (apart.low, apart.high))
    return (
        f"Over all images the median is {percent(_median(gone))} where the wrong label is gone "
        f"({sizes[0]}) and {percent(_median(kept))} where it is still said ({sizes[1]}): {judged} "
        f"({INTERVAL} of the difference {low} to {high})."
    )


def _median(values: Any) -> float:
    return float(np.median(values))


def _stored(document: Document, recipe: StoredRecipe) -> bool:
    """Whether what this edit takes of own directions is stored."""
    return (
        recipe.id == document["recipe"]
        and document["projection"] in recipe.projections
        and len(document["cut"][0]) == len(recipe.ticks)
    )


def _cut(document: Document, at: int, recipe: StoredRecipe, tick: int) -> str:
    where = short(str(document["projection"]))
    if document["projection"] not in recipe.projections:
        return f"This edit leaves {where} as it is, and with it this direction."
    if not _stored(document, recipe):
        return f"How much of this direction {recipe.title} takes is not stored."
    taken = number(document["cut"][at][tick])
    return (
        f"Of this direction (its squared length) {percent(taken)} lies in what the cut takes at "
        f"{setting(recipe.ticks[tick])} kept."
    )
