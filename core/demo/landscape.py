"""The landscape around the shipped model: slices along single directions, and two planes.

Everything is read on the reporting half. One late projection is looked at, the one in which single
examples were measured; the edit runs over all projections of the chosen recipe. The string whose
own direction is walked is not picked by eye: of the strings of the highest class it is the one
whose own rise is the median.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from torch import nn
from transformers import PreTrainedModel

from core.basis import Basis
from core.curvature.examples import Example, Examples, Progress
from core.curvature.halves import Half, half_of
from core.curvature.spikes import gradients, own_directions, rises
from core.demo.laboratory import Laboratory
from core.demo.reported import Finished
from core.exam import Answers
from core.items import Item
from core.landscape.directions import Ray
from core.landscape.lanczos import sharpest
from core.landscape.slices import Line, centred
from core.landscape.spec import Compass, RaySpec
from core.landscape.summary import summarise
from core.landscape.texts import Texts
from core.projection import Projection, select

TEXTS: Final = 24  # of a kind
PICKED_AT: Final = 0.1  # of ‖W‖: where own rises are compared
REACH, POINTS, SIDE = 0.3, 31, 21  # of ‖W‖ to either side; points of a line, of a plane's side
FINE: Final = (0.0025, 0.005, 0.01)  # and these, where it is seen how far a parabola holds
EDIT_FROM, EDIT_TO, EDIT_POINTS = -0.5, 1.5, 33  # 1 is the whole edit
SHARPEST_TEXTS: Final = 8  # fresh texts, others than those that are read
SHARPEST_TOLERANCE: Final = 1e-2


@dataclass(frozen=True)
class Place:
    """Where the landscape is cut: one projection, and a recipe's edit at one setting."""

    projection: Projection
    recipe: str
    setting: float
    mass: float  # curvature mass up to which pairs of this projection are kept


def landscape_of(
    laboratory: Laboratory, main: Finished[Answers], seen: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of landscape.json; ``seen`` is that of curvature.json."""
    best = main.choice.best
    projections = select(laboratory.projections, best.layers, best.kinds)
    measured = str(seen["findings"]["chosen"])
    late = next((p for p in projections if p.name == measured), projections[-1])
    exam = laboratory.exam

    def edited(recipe: str, setting: float) -> nn.Module:
        return laboratory.editor(recipe, projections).at(setting)[0]

    with laboratory.parts.part("landscape") as show:
        return landscape(
            laboratory.model,
            laboratory.bases,
            exam.items,
            exam.fresh_report,
            edited,
            Place(late, "kfac", best.setting, best.setting),
            progress=show,
        )


def landscape(
    model: PreTrainedModel,
    bases: Mapping[str, Basis],
    items: Sequence[Item],
    fresh: Sequence[Sequence[int]],
    edited: Callable[[str, float], nn.Module],
    place: Place,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Slices along eight directions and two planes, as plain values for a study.

    `progress(done, total)` counts per mille and may raise to cancel. Raises HillshadeError for too
    few texts (`core.curvature.halves.half_of`).
    """
    memorized = [item for item in items if item.kind == "memory"]
    probes = [item for item in items if item.kind == "probe"]
    half = half_of(memorized, fresh, probes, "report", TEXTS)
    compass = Compass(model, bases, half.items, edited)
    own, order = picked(model, place.projection, half.strings)
    string, second = (half.items[number] for number in order)
    groups = {string.id: "string", second.id: "second"}
    line_texts = _texts(half, {string.id: "string"})
    plane_texts = _texts(half, groups)
    name = place.projection.name
    wanted = directions_at(bases[name], place, string.id)
    pairs = planes_at(wanted, second.id)
    stops = _Stops(progress, [1] * (len(wanted) + 1) + [6] * len(pairs))
    lines = lines_read(compass, wanted, line_texts, stops.next)
    line = line_along(_sharpest(model, place.projection, half, fresh))
    lines["ggn"] = summarise(model, [line], [None], line_texts, bases, progress=stops.next())
    planes = planes_read(compass, pairs, plane_texts, SIDE, stops.next)
    return {
        "projection": name,
        "recipe": place.recipe,
        "setting": place.setting,
        "string": string.id,
        "second": second.id,
        "picked": {"step": PICKED_AT, "rise": float(own[order[0]]), "of": len(own)},
        "items": {"memorized": [item.id for item in half.items],
                  "probes": [item.id for item in probes_of(half, probes)]},
        "fresh": {"from": half.fresh[0].counted.start,
                  "ids": [list(example.ids) for example in half.fresh]},
        "lines": lines,
        "planes": planes,
    }  # fmt: skip


def probes_of(half: Half, probes: Sequence[Item]) -> list[Item]:
    """The probe items that the examples of this half are made of, in their order."""
    by_ids = {item.prompt_ids + item.truth_ids: item for item in probes if item.split == "report"}
    return [by_ids[example.ids] for example in half.probes]


def picked(
    model: PreTrainedModel, projection: Projection, memorized: Examples
) -> tuple[np.ndarray, tuple[int, int]]:
    """Own rises of all examples, and which has the median and which the next larger one."""
    rows = gradients(model, [projection], memorized)[projection.name]
    spikes = own_directions(projection.name, rows)
    along = [spikes.direction(number) for number in range(len(spikes))]
    own = rises(model, projection, along, memorized, [PICKED_AT])[PICKED_AT].even.diagonal()
    order = np.argsort(own, kind="stable")
    middle = (len(order) - 1) // 2
    return own, (int(order[middle]), int(order[middle + 1]))


def _texts(half: Half, named: Mapping[str, str]) -> Texts:
    """All texts of the half; the strings of ``named`` come first, as groups of their own."""
    ids = [item.id for item in half.items]
    order = [ids.index(name) for name in named]
    order += [number for number in range(len(ids)) if number not in order]
    strings = Texts(
        tuple(ids[number] for number in order),
        tuple(named.get(ids[number], "memorized") for number in order),
        tuple(half.strings[number] for number in order),
    )
    return strings + _numbered(half.fresh, "fresh") + _numbered(half.probes, "probes")


def _numbered(examples: Sequence[Example], group: str) -> Texts:
    names = tuple(f"{group} {number}" for number in range(len(examples)))
    return Texts(names, (group,) * len(examples), tuple(examples))


def directions_at(basis: Basis, place: Place, string: str) -> dict[str, RaySpec]:
    """The directions, by the name the page knows them by; `string` is the id of a memorized one.

    Eigendirections: the sharpest; the last one that the edit keeps; the middle one of those it
    cuts.
    """
    name = place.projection.name
    order = np.argsort(-np.outer(basis.lam, basis.mu), axis=None, kind="stable")
    kept = basis.staircase.kept(place.mass).count

    def at(rank: int) -> RaySpec:
        i, j = divmod(int(order[min(rank, len(order) - 1)]), len(basis.mu))
        return RaySpec("eigendirection", name, i=i, j=j)

    return {
        "spike": RaySpec("spike", name, item=string),
        "high": at(0),
        "middle": at(max(kept - 1, 1)),
        "low": at((kept + len(order)) // 2),
        "random": RaySpec("random", name),
        "edit": RaySpec("edit", recipe=place.recipe, setting=place.setting),
    }


def planes_at(wanted: Mapping[str, RaySpec], second: str) -> dict[str, tuple[RaySpec, RaySpec]]:
    """The planes: own spikes of two examples, `second` the other; a sharp and a flat direction."""
    spike = wanted["spike"]
    return {
        "spikes": (spike, replace(spike, item=second)),
        "hills": (wanted["high"], wanted["low"]),
    }


def lines_read(
    compass: Compass,
    wanted: Mapping[str, RaySpec],
    texts: Texts,
    progress: Callable[[], Progress | None],
) -> dict[str, Any]:
    """Slices along these directions; ``progress()`` is called once for each."""
    found = {}
    for key, one in wanted.items():
        line = line_along(compass.ray(one), edit=one.kind == "edit")
        found[key] = summarise(
            compass.model, [line], [one], texts, compass.bases, progress=progress()
        )
    return found


def planes_read(
    compass: Compass,
    pairs: Mapping[str, tuple[RaySpec, RaySpec]],
    texts: Texts,
    side: int,
    progress: Callable[[], Progress | None],
) -> dict[str, Any]:
    """Slices over the planes of these directions, `side` points to a side."""
    steps = centred(-REACH, REACH, side).round(10)
    return {
        key: summarise(
            compass.model,
            [Line(compass.ray(one), steps) for one in pair],
            pair,
            texts,
            compass.bases,
            progress=progress(),
        )
        for key, pair in pairs.items()
    }


def line_along(ray: Ray, *, edit: bool = False) -> Line:
    """A direction with its steps; along an edit, 1 is the whole edit."""
    if edit:
        return Line(ray, centred(EDIT_FROM, EDIT_TO, EDIT_POINTS), "direction")
    fine = [sign * step for step in FINE for sign in (-1.0, 1.0)]
    return Line(ray, np.unique([*centred(-REACH, REACH, POINTS).round(10), *fine]))


def _sharpest(
    model: PreTrainedModel, projection: Projection, half: Half, fresh: Sequence[Sequence[int]]
) -> Ray:
    """The sharpest direction of fresh text (GGN), from texts that are not among those read."""
    read = {example.ids for example in half.fresh}
    shape = half.fresh[0]
    others = [
        Example(tuple(ids[: len(shape.ids)]), shape.counted)
        for ids in fresh
        if len(ids) >= len(shape.ids) and tuple(ids[: len(shape.ids)]) not in read
    ]
    texts = _numbered(others[:SHARPEST_TEXTS] or half.fresh[:SHARPEST_TEXTS], "other fresh")
    found = sharpest(model, [projection], texts, "ggn", k=1, tolerance=SHARPEST_TOLERANCE)
    return found.rays[0]


class _Stops:
    """One progress over several parts of known weights, in per mille."""

    def __init__(self, progress: Progress | None, weights: Sequence[int]) -> None:
        self._progress, self._weights, self._part = progress, weights, -1

    def next(self) -> Progress:
        """The progress of the next part."""
        self._part += 1
        before, whole = sum(self._weights[: self._part]), sum(self._weights)

        def show(done: int, total: int) -> None:
            if self._progress is not None:
                part = self._weights[self._part] * done / total
                self._progress(round(1000 * (before + part) / whole), 1000)

        return show
