"""What single images show: spikes of wrongly and rightly labelled ones, and slices along them.

Everything on the reporting half; images in stored order, which is random: none is chosen by what
it shows. The projection looked at is the up projection of the last layer.
"""

from typing import Any, Final

from torch import nn

from core.curvature.examples import Examples
from core.curvature.findings import CHOICE
from core.curvature.hills import StepFinding, step_finding
from core.curvature.spikes import gradients, own_directions, rises
from core.demo.landscape import PICKED_AT, Place, directions_at, line_along, picked
from core.demo.observed import SPIKE_COLUMNS, rises_cells
from core.demo.reported import Finished
from core.demo.vision_laboratory import VisionLaboratory
from core.image_exam import ImageAnswers
from core.images import HELD_OUT, RIGHT, WRONG, Image
from core.landscape.spec import Compass
from core.landscape.summary import summarise
from core.landscape.texts import Texts
from core.projection import Projection, named, select

IMAGES: Final = 52  # of a group


def spike_table(laboratory: VisionLaboratory) -> dict[str, Any]:
    """How far losses rise along own directions, in the up projection of every layer."""
    wrong, right = (_shown(laboratory, group) for group in (WRONG, RIGHT))
    rows = []
    for projection in select(laboratory.projections, None, ("up",)):
        step = _step(laboratory, projection, [*wrong, *right], len(wrong))
        rows.append([f"{projection.layer}.{projection.kind}", *rises_cells(step)])
    names = [
        name.replace("memorized", "wrongly labelled").replace("fresh", "rightly labelled")
        for name in SPIKE_COLUMNS
    ]
    return {
        "title": "Spikes: how far the loss rises along an image's own sharp direction",
        "columns": ["projection", *names],
        "rows": rows,
        "caption": (
            f"Step {CHOICE:g} ‖W‖; medians over images of ½[L(+s) + L(−s)] − L(0), nats, the label "
            "given; ratios with 95 % intervals and verdicts. Own direction: top singular pair of "
            f"the gradient, sampled label. {IMAGES} images of each group, reporting half."
        ),
    }


def _step(
    laboratory: VisionLaboratory, projection: Projection, examples: Examples, wrong: int
) -> StepFinding:
    rows = gradients(laboratory.model, [projection], examples)[projection.name]
    spikes = own_directions(projection.name, rows)
    along = [spikes.direction(number) for number in range(len(spikes))]
    table = rises(laboratory.model, projection, along, examples, [CHOICE])[CHOICE]
    return step_finding(CHOICE, table.even, table.larger, wrong)


def slices(laboratory: VisionLaboratory, main: Finished[ImageAnswers]) -> dict[str, Any]:
    """The content of landscape.json: slices along six directions, as `core.demo.landscape`.

    The image whose own direction is walked is the wrongly labelled one whose own rise is the
    median; it is a group of its own, "string".
    """
    model, best = laboratory.model, main.choice.best
    late = select(laboratory.projections, None, ("up",))[-1]
    editor = laboratory.editor("kfac", named(model, best.projections))
    where = Place(late, "kfac", best.setting, editor.kept(best.setting)[late.name].mass)
    wrong = _shown(laboratory, WRONG)
    own, (middle, _) = picked(model, late, wrong)
    image = wrong[middle]

    def edited(recipe: str, setting: float) -> nn.Module:
        return laboratory.editor(recipe, named(model, best.projections)).at(setting)[0]

    others = [*wrong, *(i for g in (RIGHT, HELD_OUT) for i in _shown(laboratory, g))]
    rest = Texts.of_images([other for other in others if other.id != image.id])
    texts = Texts((image.id,), ("string",), (image,)) + rest
    compass = Compass(model, laboratory.bases, laboratory.exam.images, edited)
    lines = {}
    for key, one in directions_at(laboratory.bases[late.name], where, image.id).items():
        line = line_along(compass.ray(one), edit=one.kind == "edit")
        lines[key] = summarise(model, [line], [one], texts, laboratory.bases)
    return {
        "projection": late.name,
        "recipe": where.recipe,
        "setting": where.setting,
        "string": image.id,
        "picked": {"step": PICKED_AT, "rise": float(own[middle]), "of": len(own)},
        "lines": lines,
    }


def _shown(laboratory: VisionLaboratory, group: str) -> list[Image]:
    there = (group, "report")
    return [i for i in laboratory.exam.images if (i.group, i.split) == there][:IMAGES]
