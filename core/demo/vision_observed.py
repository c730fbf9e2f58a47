"""What single images show: spikes of wrongly and rightly labelled ones, and slices along them.

Everything told is of the reporting half; images in stored order, which is random: none is chosen by
what it shows. The projection looked at closely is chosen on the other half, among the up
projections of all layers, as for texts (`core.curvature.findings`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from torch import nn

from core.curvature.examples import Examples
from core.curvature.findings import CHOICE, Hills, hills
from core.curvature.own import along_own
from core.curvature.portraits import Subject, portraits
from core.demo.landscape import (
    PICKED_AT,
    Place,
    directions_at,
    lines_read,
    picked,
    planes_at,
    planes_read,
)
from core.demo.observed import SPIKE_COLUMNS, rises_cells
from core.demo.reported import Finished
from core.demo.vision_laboratory import VisionLaboratory
from core.image_exam import ImageAnswers
from core.images import HELD_OUT, RIGHT, WRONG, Image
from core.items import Split
from core.landscape.spec import Compass
from core.landscape.texts import Texts
from core.projection import named, select

IMAGES: Final = 52  # of a group
SIDE: Final = 13  # points of a plane's side: the page shows planes among much else
ONE_BY_ONE: Final = 400  # wrongly labelled images that get slices of their own, at most
GROUPS: Final = {"memorized": WRONG, "fresh": RIGHT, "probes": HELD_OUT}  # as `findings` names them


def curvature(laboratory: VisionLaboratory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content of curvature.json, and its table."""
    candidates = select(laboratory.projections, None, ("up",))
    halves = {split: _groups(laboratory, split) for split in ("choose", "report")}
    found = hills(laboratory.model, laboratory.bases, candidates, halves)
    return {"findings": found.plain(), "stages": []}, _spike_table(found)


def _groups(laboratory: VisionLaboratory, split: Split) -> dict[str, Examples]:
    return {name: shown(laboratory, group, split) for name, group in GROUPS.items()}


def _spike_table(found: Hills) -> dict[str, Any]:
    """How far losses rise along own directions, in the up projection of every layer."""
    names = [
        name.replace("memorized", "wrongly labelled").replace("fresh", "rightly labelled")
        for name in SPIKE_COLUMNS
    ]
    rows = []
    for part in found.projections:
        (step,) = (step for step in part.steps if step.fraction == CHOICE)
        chosen = " (chosen)" if part.projection == found.chosen else ""
        rows.append([f"{part.layer}.{part.kind}{chosen}", *rises_cells(step)])
    return {
        "title": "Spikes: how far the loss rises along an image's own sharp direction",
        "columns": ["projection", *names],
        "rows": rows,
        "caption": (
            f"Step {CHOICE:g} ‖W‖; medians over images of ½[L(+s) + L(−s)] − L(0), nats, the label "
            "given; ratios with 95 % intervals and verdicts. Own direction: top singular pair of "
            f"the gradient, sampled label. {IMAGES} images of each group, reporting half; the "
            "projection chosen on the other."
        ),
    }


def one_by_one(
    laboratory: VisionLaboratory, main: Finished[ImageAnswers], projection: str
) -> dict[str, Any]:
    """The content of examples.json: portraits, and slices of each wrongly labelled image.

    The slices are in one projection, and what a cut takes of own directions is told at the ticks of
    the main recipe.
    """
    model, bases = laboratory.model, laboratory.bases
    (where,) = named(model, (projection,))
    names = {group: key for key, group in GROUPS.items() if group != HELD_OUT}
    label = laboratory.labels
    subjects = [
        Subject(image.id, names.get(group, group), "", label[image.given], None, image)
        for group in (WRONG, RIGHT, HELD_OUT)
        for image in shown(laboratory, group)
    ]
    document = portraits(model, bases, subjects, projections=[where])
    wrong = shown(laboratory, WRONG, most=ONE_BY_ONE)
    groups = {group: shown(laboratory, group) for group in (WRONG, RIGHT, HELD_OUT)}
    editor = laboratory.editor("kfac", named(model, main.choice.best.projections))
    every = len(bases[projection].lam) * len(bases[projection].mu)
    sets = [editor.kept(tick).get(projection) for tick in main.swept.ticks]
    counts = [every if kept is None else kept.count for kept in sets]
    own = along_own(model, where, bases[projection], wrong, groups, counts)
    return document | {
        "own": {
            "projection": projection,
            "norm": float(where.weight(model).detach().double().norm()),
            "recipe": "kfac",
            "ids": [image.id for image in wrong],
            **own.plain(),
        }
    }


def slices(
    laboratory: VisionLaboratory, main: Finished[ImageAnswers], projection: str
) -> dict[str, Any]:
    """The content of landscape.json: slices along six directions and two planes.

    As `core.demo.landscape`. The image whose own direction is walked is the wrongly labelled one
    whose own rise is the median; it is a group of its own, "string", and in the planes the one with
    the next larger rise another, "second".
    """
    model, best = laboratory.model, main.choice.best
    (late,) = named(model, (projection,))
    editor = laboratory.editor("kfac", named(model, best.projections))
    cut = editor.kept(best.setting).get(projection)  # None where the cut is elsewhere
    where = Place(late, "kfac", best.setting, best.setting if cut is None else cut.mass)
    wrong = shown(laboratory, WRONG)
    own, order = picked(model, late, wrong)
    string, second = (wrong[number] for number in order)

    def edited(recipe: str, setting: float) -> nn.Module:
        return laboratory.editor(recipe, named(model, best.projections)).at(setting)[0]

    everyone = [*wrong, *(i for g in (RIGHT, HELD_OUT) for i in shown(laboratory, g))]
    line_texts = _texts(everyone, {"string": string})
    plane_texts = _texts(everyone, {"string": string, "second": second})
    compass = Compass(model, laboratory.bases, laboratory.exam.images, edited)
    wanted = directions_at(laboratory.bases[late.name], where, string.id)
    lines = lines_read(compass, wanted, line_texts, lambda: None)
    planes = planes_read(compass, planes_at(wanted, second.id), plane_texts, SIDE, lambda: None)
    return {
        "projection": late.name,
        "recipe": where.recipe,
        "setting": where.setting,
        "string": string.id,
        "second": second.id,
        "picked": {"step": PICKED_AT, "rise": float(own[order[0]]), "of": len(own)},
        "lines": lines,
        "planes": planes,
    }


def _texts(everyone: Sequence[Image], alone: Mapping[str, Image]) -> Texts:
    """The images of ``alone`` first, as groups of their own, and then the others."""
    first = tuple(alone.values())
    rest = Texts.of_images([image for image in everyone if image not in first])
    return Texts(tuple(image.id for image in first), tuple(alone), first) + rest


def shown(
    laboratory: VisionLaboratory, group: str, split: Split = "report", most: int | None = None
) -> list[Image]:
    """The first images of a group in one half, by default `IMAGES` of them."""
    there = (group, split)
    return [i for i in laboratory.exam.images if (i.group, i.split) == there][: most or IMAGES]
