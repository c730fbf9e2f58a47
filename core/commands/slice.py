"""`hillshade slice`: the loss along a direction of weight space, or on the plane of two."""

from __future__ import annotations

import csv
import io
import json
import signal
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.commands.collect import ImageLabels, Json, stop
from core.commands.exams import require_none
from core.commands.opened import Opened, editor_of, open_study, strings_of
from core.commands.progress import say, stages
from core.errors import HillshadeError
from core.places import require_new_file, write_text

if TYPE_CHECKING:
    from core.images import Image
    from core.items import Item
    from core.landscape.directions import Ray
    from core.landscape.lanczos import Matrix
    from core.landscape.spec import Compass, RaySpec
    from core.landscape.texts import Texts

FORMS = (
    "eigendirection:PROJECTION:I:J, band:PROJECTION:START:STOP, spike:PROJECTION:ITEM, "
    "random:PROJECTION[:SEED], edit:RECIPE:SETTING, hessian:PROJECTION or ggn:PROJECTION"
)


def slice_(
    study: Annotated[Path, typer.Argument(help="Study folder, with its eigenvectors.")],
    along: Annotated[
        list[str],
        typer.Option(help=f"Direction: {FORMS}; PROJECTION as 3.up. Twice for a plane."),
    ],
    out: Annotated[Path, typer.Option(help="New file: .json for all, .csv for the losses.")],
    strings: Annotated[
        Path | None, typer.Option(help="Strings to read (.jsonl); else the study's, to report.")
    ] = None,
    fresh: Annotated[
        Path | None, typer.Option(help="Fresh text to read; else what the study kept back.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Of an image classifier: a folder to read; else the study's, to report."),
    ] = None,
    labels: ImageLabels = None,
    reach: Annotated[
        float, typer.Option(help="To either side: of the norm of W, or of the whole edit.")
    ] = 0.3,
    points: Annotated[int, typer.Option(min=3, help="Grid points of an axis.")] = 21,
    most: Annotated[int, typer.Option(min=1, help="Texts of a group at most.")] = 24,
    json_: Json = False,
) -> None:
    """Read the loss and the recall of texts or images along a direction, or on the plane of two.

    Beside the true loss stand its slope, K-FAC's curvature and the exact one (GGN). hessian and ggn
    are the sharpest directions of the fresh text, or of images of the other half. ITEM is a string
    or an image.
    """
    require_new_file(out, ".json", ".csv")
    if len(along) not in (1, 2):
        raise HillshadeError(f"{len(along)} directions span no slice; give --along once or twice.")
    from core.landscape.slices import Line, centred
    from core.landscape.spec import Compass
    from core.landscape.summary import summarise
    from core.projection import named

    signal.signal(signal.SIGTERM, stop)
    parts = stages(json_)
    with parts.part("loading the model"):
        opened = open_study(study)
        bases = {name: opened.study.basis(name) for name in opened.study.spectra()}
        names = {f"{p.layer}.{p.kind}": p.name for p in named(opened.model, bases)}
        wanted = [_spec(text, names) for text in along]
    shown = opened.study.pictures is not None
    with parts.part(f"reading the {'images' if shown else 'texts'}"):
        items: Sequence[Item | Image]
        if shown:
            require_none("texts", strings=strings, fresh=fresh)
            items, texts, plain = _images(opened, images, labels, most)
        else:
            require_none("images", images=images, labels=labels)
            items, texts, plain = _texts(opened, strings, fresh, most, json_)
    compass = Compass(
        opened.model,
        bases,
        items,
        lambda recipe, setting: editor_of(opened, recipe).at(setting)[0],
    )
    with parts.part("directions") as show:
        rays = [_ray(opened, compass, one, plain, show) for one in wanted]
    values = centred(-reach, reach, points)
    lines = [
        Line(ray, values, "direction" if ray.origin["kind"] == "edit" else "weights")
        for ray in rays
    ]
    with parts.part("slice") as show:
        specs = [None if isinstance(one, tuple) else one for one in wanted]
        told = summarise(opened.model, lines, specs, texts, bases, progress=show)
    write_text(out, _csv(told) if out.suffix == ".csv" else json.dumps(told, indent=1) + "\n")
    if json_:
        say(saved=str(out.resolve()), **told)
    else:
        typer.echo("\n".join(table(told)))
        typer.echo(f"The slice is in {out}.")


def table(told: dict[str, Any]) -> list[str]:
    """Rises in nats a token by group, with recall; of a plane, those at its corners."""
    groups = list(told["groups"])
    counts = {name: told["groups"][name]["texts"] for name in groups}
    lines = ["".join(f"{cell:<24}" for cell in ("step", *groups)).rstrip()]
    for place, cells in _rows(told, corners=len(told["axes"]) == 2):
        shown = [
            f"{cells[name]['rise']} ({cells[name]['right']}/{counts[name]} right)"
            for name in groups
        ]
        step = ", ".join(f"{value:.4g}" for value in place)
        lines.append("".join(f"{cell:<24}" for cell in (step, *shown)).rstrip())
    return lines


def _csv(told: dict[str, Any]) -> str:
    """A row a grid point and group; a number that is not finite is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    axes = ("alpha", "beta")[: len(told["axes"])]
    writer.writerow([*axes, "group", "texts", "tokens", "base", "rise", "half", "right"])
    for place, cells in _rows(told):
        for name, cell in cells.items():
            group = told["groups"][name]
            constant = group["texts"], group["tokens"], group["base"]
            writer.writerow([*place, name, *constant, cell["rise"], cell["half"], cell["right"]])
    return text.getvalue()


def _rows(
    told: dict[str, Any], corners: bool = False
) -> list[tuple[tuple[float, ...], dict[str, dict[str, Any]]]]:
    """Each grid point's values of α (and β), and what each group shows there."""
    axes = [axis["values"] for axis in told["axes"]]
    found = []
    for index in product(*(range(len(values)) for values in axes)):
        if corners and any(i not in (0, len(v) - 1) for i, v in zip(index, axes, strict=True)):
            continue
        cells = {
            name: {key: _at(group[key], index) for key in ("rise", "half", "right")}
            for name, group in told["groups"].items()
        }
        found.append((tuple(v[i] for i, v in zip(index, axes, strict=True)), cells))
    return found


def _at(values: Any, index: Sequence[int]) -> Any:
    for number in index:
        values = values[number]
    return values


def _spec(text: str, names: dict[str, str]) -> RaySpec | tuple[Matrix, str]:
    """A direction as it is typed; the sharpest ones, which no spec names, as (matrix, name)."""
    from core.landscape.spec import RaySpec

    kind, *rest = text.split(":")
    if kind != "edit" and rest:
        rest[0] = names.get(rest[0], rest[0])
    try:
        if kind == "hessian":
            (name,) = rest
            return "hessian", name
        if kind == "ggn":
            (name,) = rest
            return "ggn", name
        if kind == "eigendirection":
            name, i, j = rest
            return RaySpec("eigendirection", name, i=int(i), j=int(j))
        if kind == "band":
            name, start, end = rest
            return RaySpec("band", name, start=int(start), stop=int(end))
        if kind == "spike":
            name, item = rest
            return RaySpec("spike", name, item=item)
        if kind == "random":
            name, *seed = rest
            return RaySpec("random", name, seed=int(*seed))
        if kind == "edit":
            recipe, setting = rest
            return RaySpec("edit", recipe=recipe, setting=float(setting))
    except (ValueError, TypeError) as error:
        raise HillshadeError(f"--along {text} is no direction; write one of {FORMS}.") from error
    raise HillshadeError(f"--along {text} is no direction; write one of {FORMS}.")


def _texts(
    opened: Opened, strings: Path | None, fresh: Path | None, most: int, json_: bool
) -> tuple[Sequence[Item], Texts, Texts]:
    """Items to name, all texts that are read, and others, fresh ones, for sharpest directions."""
    from core.fresh import fresh_of
    from core.landscape.texts import Texts

    items = strings_of(opened, strings, json_)[:most]
    choose, report = fresh_of(
        fresh, opened.study, opened.model, opened.tokenizer, opened.study.manifest.seed
    )
    texts = Texts.of_sequences(report[:most])
    if items:
        texts = Texts.of_items(items) + texts
    known = opened.study.item_list() if strings is None else items
    return known, texts, Texts.of_sequences(choose[:most], "other fresh")


def _images(
    opened: Opened, folder: Path | None, labels: Path | None, most: int
) -> tuple[Sequence[Image], Texts, Texts]:
    """The same of a classifier: images of the reporting half by group, and some of the other."""
    from core.imagedata import asked_of
    from core.images import HELD_OUT, RIGHT, WRONG
    from core.landscape.texts import Texts

    found = asked_of(
        folder, labels, opened.study, opened.model, opened.preparation, opened.study.manifest.seed
    )
    halves = [
        [i for g in (WRONG, RIGHT, HELD_OUT) for i in _some(found, g, split, most)]
        for split in ("report", "choose")
    ]
    report, choose = map(Texts.of_images, halves)
    return found, report, choose


def _some(images: Sequence[Image], group: str, split: str, most: int) -> list[Image]:
    return [image for image in images if (image.group, image.split) == (group, split)][:most]


def _ray(
    opened: Opened,
    compass: Compass,
    wanted: RaySpec | tuple[Matrix, str],
    fresh: Texts,
    show: Callable[..., None],
) -> Ray:
    from core.landscape.lanczos import sharpest
    from core.projection import named

    if not isinstance(wanted, tuple):
        return compass.ray(wanted)
    matrix, name = wanted
    there = named(opened.model, [name])
    if not there:
        raise HillshadeError(f"This model has no projection {name}; choose one of its own.")
    return sharpest(opened.model, there, fresh, matrix, k=1, progress=show).rays[0]
