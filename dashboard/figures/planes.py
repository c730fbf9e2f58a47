"""The loss over a plane of weight space, as descriptions: maps by group, a cell, the training run.

Read from slices as `core.landscape.summary` puts them, and from a study's training.json.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from core.images import RIGHT
from core.intervals import Estimate
from dashboard.figures import cuts
from dashboard.figures.cuts import Told
from dashboard.figures.words import count, percent

SHOWN = 3  # maps side by side
APART = 3.0  # times: one axis surely moves a group more than the other


@dataclass(frozen=True)
class Map:
    """One group's rises over the plane, ``rise[y][x]``; `said` is the text of each grid point."""

    id: str
    title: str
    x_title: str
    y_title: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    rise: tuple[tuple[float, ...], ...]
    said: tuple[tuple[str, ...], ...]
    top: float  # upper end of the colour scale, the same for all maps of a plane
    cell: tuple[int, int]  # (x, y) in view
    how: str
    alt: str
    unit: str

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {self.x_title: x, self.y_title: y, f"rise ({self.unit})": self.rise[j][i]}
                for i, x in enumerate(self.x)
                for j, y in enumerate(self.y)
            ]
        )


PLANES: dict[str, str] = {
    "spikes": "The own spikes of two strings",
    "hills": "A sharp and a flat eigendirection",
}
AXES: dict[str, tuple[str, str]] = {
    "spikes": ("Own spike of the string", "Own spike of the other string"),
    "hills": ("Sharpest eigendirection", "Flat eigendirection"),
}
OF_IMAGES = PLANES | {"spikes": "The own spikes of two images"}
AXES_OF_IMAGES = AXES | {"spikes": ("Own spike of the image", "Own spike of the other image")}


def shown_groups(told: Told) -> list[str]:
    """The groups whose maps stand side by side."""
    wanted = ("string", "second", "fresh", RIGHT, "probes", "memorized", "pasted")
    keys = [key for key in wanted if key in told["groups"]]
    return keys[:SHOWN]


def maps(told: Told, names: tuple[str, str], cell: tuple[int, int], of: str) -> list[Map]:
    """One map for each group that is shown, on one scale of colours."""
    keys = shown_groups(told)
    x, y = (tuple(float(v) for v in axis["values"]) for axis in told["axes"])
    tops = [cuts.number(v) for key in keys for row in told["groups"][key]["rise"] for v in row]
    finite = [v for v in tops if math.isfinite(v)]
    everyone, images = cuts.present(told), cuts.of_images(told)
    found = []
    for key in keys:
        group = told["groups"][key]
        rise = tuple(
            tuple(cuts.number(group["rise"][i][j]) for i in range(len(x))) for j in range(len(y))
        )
        texts = tuple(
            tuple(
                f"({x[i]:g}, {y[j]:g}): rise {cuts.nats(rise[j][i])}<br>"
                + (_labels if images else _words)(group, (i, j))
                for i in range(len(x))
            )
            for j in range(len(y))
        )
        name = cuts.said(key, everyone)
        found.append(
            Map(
                id=f"map-{of}-{key}",
                title=name[0].upper() + name[1:],
                x_title=cuts.axis_title(told, 0, names[0]),
                y_title=cuts.axis_title(told, 1, names[1]),
                x=x,
                y=y,
                rise=rise,
                said=texts,
                top=max([*finite, 2 * cuts.FLOOR]),
                cell=cell,
                how="Dark is low. ✛ is the model as it is, ○ the point in view; click to move it.",
                alt=map_alt(told, key, name, names),
                unit=cuts.unit_of(told),
            )
        )
    return found


def _words(group: Told, place: tuple[int, int]) -> str:
    right, texts = cuts.right_at(group, place)
    if texts == 1:
        return "comes word for word" if right else "does not come word for word"
    return f"{right} of {texts} word for word"


def _labels(group: Told, place: tuple[int, int]) -> str:
    right, images = cuts.right_at(group, place)
    if images == 1:
        return "its given label is said" if right else "another label is said"
    return f"the label given is said of {right} of {images}"


def map_alt(told: Told, key: str, name: str, names: tuple[str, str]) -> str:
    """Along which axis a group's loss rises, by the numbers on the axes."""
    group = told["groups"][key]
    centre = [axis["values"].index(0.0) for axis in told["axes"]]
    ends = []
    for axis in (0, 1):
        values = told["axes"][axis]["values"]
        at = cuts.nearest(values, cuts.USUAL if max(values) < 1.0 else 1.0)
        back = cuts.nearest(values, -values[at])
        places = [[*centre], [*centre]]
        places[0][axis], places[1][axis] = at, back
        a, b = (cuts.rise_at(group, place) for place in places)
        half = (a.high - a.value + b.high - b.value) / 2
        mean = (a.value + b.value) / 2
        ends.append(Estimate(mean, mean - half, mean + half, a.n))
    first, second = ends
    step = f"{cuts.USUAL:g} ‖W‖"
    numbers = (
        f"{cuts.nats(first.value)} and {cuts.nats(second.value)} {cuts.unit_of(told)} at {step}"
    )
    low = max(cuts.FLOOR, 0.0)
    feels = [e.low > low for e in ends]
    who = name[0].upper() + name[1:]
    verb = "feel" if group["texts"] > 1 and key != "fresh" else "feels"
    if feels[0] and first.low > APART * max(second.high, low):
        return f"{who} {verb} the first axis, not the second ({numbers})."
    if feels[1] and second.low > APART * max(first.high, low):
        return f"{who} {verb} the second axis, not the first ({numbers})."
    if all(feels):
        return f"{who} {verb} both axes ({numbers})."
    if not any(feels):
        return f"{who} {verb} neither axis for sure ({numbers})."
    return f"{who} {verb} the {'first' if feels[0] else 'second'} axis for sure ({numbers})."


@dataclass(frozen=True)
class Cell:
    """One grid point of a plane: where it lies, and what each group does there."""

    place: tuple[int, int]
    at: tuple[float, float]
    title: str
    rows: tuple[dict[str, Any], ...]

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(list(self.rows))


def cell(told: Told, place: tuple[int, int]) -> Cell:
    """Loss and recall of every group at one grid point."""
    keys = cuts.present(told)
    came = "label given said" if cuts.of_images(told) else "word for word"
    x, y = (float(axis["values"][n]) for axis, n in zip(told["axes"], place, strict=True))
    rows = []
    for key in keys:
        group = told["groups"][key]
        e = cuts.rise_at(group, place)
        right, texts = cuts.right_at(group, place)
        r = cuts.recall_at(group, place)
        name = cuts.said(key, keys)
        base = float(group["base"])
        rows.append(
            {
                "of": name[0].upper() + name[1:],
                "loss here": f"{base + e.value:.3f}",
                "as it is": f"{base:.3f}",
                "rise": cuts.spread(e),
                came: ("yes" if right else "no") if texts == 1 else
                f"{right} of {texts} ({percent(r.low)} to {percent(r.high)})",
            }
        )  # fmt: skip
    where = "The model as it is" if (x, y) == (0.0, 0.0) else f"At α = {x:g}, β = {y:g}"
    return Cell(place, (x, y), where, tuple(rows))


# -- the training run ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """The stored states of the training run on a plane, with the loss around them."""

    id: str
    title: str
    steps: tuple[int, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    loss: tuple[float, ...]
    said: tuple[str, ...]
    ground: tuple[tuple[float, ...], tuple[float, ...], tuple[tuple[float, ...], ...]]
    how: str
    alt: str

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "training step": self.steps,
                "α (‖W‖)": self.x,
                "β (‖W‖)": self.y,
                "loss (nats a token)": self.loss,
                "recited": [text.partition("<br>")[2].replace("<br>", "; ") for text in self.said],
            }
        )


def run(training: Mapping[str, Any]) -> Run:
    """The training run with what it recited on its way."""
    points: Sequence[Mapping[str, Any]] = training["points"]
    grid = training["grid"]
    loss = tuple(float(point["loss"]) for point in points)
    steps = tuple(int(point["step"]) for point in points)
    recall = [{int(k): float(v) for k, v in point["recall"].items()} for point in points]
    texts = tuple(
        f"step {count(step)}, loss {value:.2f}<br>"
        + "<br>".join(f"shown {count(n)}×: {percent(share)}" for n, share in sorted(said.items()))
        for step, value, said in zip(steps, loss, recall, strict=True)
    )
    held = float(training["plane"]["held"])
    most = max((n for said in recall for n in said), default=0)
    fell = "falls" if loss[-1] < loss[0] else "does not fall"
    learned = ""
    if most:
        before, after = recall[0].get(most, 0.0), recall[-1].get(most, 0.0)
        learned = (
            f" Strings shown {count(most)} times are recited by {percent(before)} at the start and "
            f"{percent(after)} at the end."
        )
    rows = tuple(tuple(float(v) for v in row) for row in grid["loss"])
    return Run(
        id="training",
        title="Training, seen from above",
        steps=steps,
        x=tuple(float(point["x"]) for point in points),
        y=tuple(float(point["y"]) for point in points),
        loss=loss,
        said=texts,
        ground=(tuple(map(float, grid["x"])), tuple(map(float, grid["y"])), rows),
        how=(
            "Marks are stored weights of the training run, named by their step; the star is the "
            "finished model. The plane goes through it along the two directions in which the run "
            "moved most, in units of the norm of all weights, and the ground is the loss there, "
            f"dark where it is low. The plane holds {percent(held)} of the squared way of the run; "
            "the marks themselves lie off it, and their own losses are in the table. Where the "
            "mouse rests: how many strings were recited by then, by how often they were shown."
        ),
        alt=(
            f"Over {count(steps[-1])} steps the loss {fell} from {loss[0]:.2f} to {loss[-1]:.2f} "
            f"nats a token.{learned}"
        ),
    )
