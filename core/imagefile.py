"""Labelled images of one's own, from a folder.

One sub-folder a class; or image files anywhere inside, and a table ``labels.csv`` beside them:

    file        path inside the folder
    label       class given in training
    true        class that it shows; optional, empty where nobody knows
    trained     0 for an image kept from training; optional, 1 by default
    split       choose or report; optional

What the table says of an image comes before its sub-folder. Where neither says otherwise an image
was trained on and its label is its true one.

Classes are named as the model's config names them (id2label), or numbered from 0. Where the config
names none (LABEL_0, …), the names found are taken in sorted order, as everyone does who trains on
such folders; then there must be as many as the model knows classes.

Halves that no table sets are drawn for each group alone, by rank of sha256(seed, pixels), so that
neither the order nor the names of files decide; images kept from training are only reported.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from os.path import normpath
from pathlib import Path
from typing import cast

from PIL import Image as Picture
from transformers import PreTrainedModel

from core.batches import classes_of
from core.errors import HillshadeError
from core.images import HELD_OUT, RIGHT, WRONG, Image, require_alike
from core.items import Split
from core.preparation import Preparation

TABLE = "labels.csv"
_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}
_COLUMNS = ("file", "label", "true", "trained", "split")
_TOLD = 16  # images between two words of progress
Row = Mapping[str, str]


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """The images of a folder, by path, and the name of every class."""

    images: tuple[Image, ...]
    names: Mapping[int, str]


def list_images(
    folder: str | Path, table: Path | None = None, most: int | None = None, seed: int = 0
) -> list[Row]:
    """What is said of each image of a folder, by path; no picture is opened.

    table  elsewhere than at ``labels.csv`` in the folder
    most   so many at most: first those of a wrong label, then by sha256(seed, path)
    Raises HillshadeError for a folder that is missing or empty, a table without its columns, and a
    file of it that is missing, outside the folder, or named twice.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise HillshadeError(f"There is no folder {folder}; name one with images.")
    if table is None and (folder / TABLE).is_file():
        table = folder / TABLE
    rows = {row["file"]: row for row in _of_folders(folder)}
    if table is not None:
        rows |= {row["file"]: row for row in _of_table(table, folder)}
    if not rows:
        raise HillshadeError(
            f"{folder} holds no image; give one sub-folder a class, or a {TABLE} beside the files."
        )
    if most is not None:
        first = sorted(rows.values(), key=lambda row: (group_of(row) != WRONG, _keyed(seed, row)))
        rows = {row["file"]: row for row in first[:most]}
    return [rows[file] for file in sorted(rows)]


def read_images(
    folder: str | Path,
    model: PreTrainedModel,
    preparation: Preparation,
    *,
    table: Path | None = None,
    most: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ImageFolder:
    """The images of a folder; `progress(done, total)` counts them and may raise.

    Raises HillshadeError, naming the file, as `list_images`, and for a picture that cannot be read,
    an unknown class, and pictures of unequal size.
    """
    folder = Path(folder)
    rows = list_images(folder, table, most, seed)
    classes = _classes(model, {word for row in rows for word in (row["label"], row["true"])})
    found: list[Image] = []
    for number, row in enumerate(rows, start=1):
        path = folder / row["file"]
        image = Image(
            id=row["file"],
            split=cast(Split, row["split"] or "report"),  # Image refuses others
            pixels=preparation.normalised(opened(path, preparation)).contiguous(),
            given=_class(row["label"], classes, path),
            true=_class(row["true"], classes, path) if row["true"] else None,
            trained=row["trained"] != "0",
        )
        found.append(image)
        if progress is not None and (number % _TOLD == 0 or number == len(rows)):
            progress(number, len(rows))
    require_alike(found, classes_of(model))
    halves = _halves([i for i, row in zip(found, rows, strict=True) if not row["split"]], seed)
    images = tuple(replace(image, split=halves.get(image.id, image.split)) for image in found)
    names = {number: str(number) for number in range(classes_of(model))}
    return ImageFolder(images, names | {number: name for name, number in classes.items()})


def opened(path: Path, preparation: Preparation) -> Picture.Image:
    """The picture as the model sees it; HillshadeError where it cannot be read."""
    try:
        with Picture.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                raise HillshadeError(
                    f"{path} has more than 8 bits a channel, which would be clipped at white; "
                    "save it with 8 bits."
                )
            return preparation.seen(picture)
    except (OSError, SyntaxError, Picture.DecompressionBombError) as error:
        raise HillshadeError(f"{path} is no picture that can be read; leave it out.") from error


def ranked(images: Collection[Image], seed: int) -> list[Image]:
    """By sha256(seed, pixels): an order that nothing else decides."""
    return sorted(
        images, key=lambda i: (hashlib.sha256(f"{seed} ".encode() + i.digest).digest(), i.id)
    )


def _halves(images: Collection[Image], seed: int) -> dict[str, Split]:
    halves: dict[str, Split] = {}
    for group in (WRONG, RIGHT):
        for number, image in enumerate(ranked([i for i in images if i.group == group], seed)):
            halves[image.id] = "report" if number % 2 else "choose"
    return halves | {image.id: "report" for image in images if image.group == HELD_OUT}


def _of_folders(folder: Path) -> Iterator[Row]:
    for inside in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in sorted(inside.rglob("*")):
            if path.suffix.lower() in _ENDINGS:
                name = path.relative_to(folder).as_posix()
                label = {"label": inside.name, "true": inside.name}
                yield {"file": name, "trained": "", "split": ""} | label


def _of_table(table: Path, folder: Path) -> Iterator[Row]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"file", "label"} - set(reader.fieldnames or ())
            rows = [{key: (row.get(key) or "").strip() for key in _COLUMNS} for row in reader]
            known = reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HillshadeError(
            f"The labels in {table} cannot be read ({error}); give a .csv with file and label."
        ) from error
    if missing:
        raise HillshadeError(f"{table} has no column {min(missing)}; give file and label at least.")
    taken: dict[str, int] = {}
    for line, row in enumerate(rows, start=2):
        path = Path(normpath(folder / row["file"]))  # links inside the folder are the user's own
        if not path.is_relative_to(normpath(folder)) or not path.is_file():
            raise HillshadeError(
                f'{table} names "{row["file"]}", which is not in {folder}; take the row out, or '
                "give paths inside that folder."
            )
        row["file"] = path.relative_to(normpath(folder)).as_posix()
        if (first := taken.setdefault(row["file"], line)) != line:
            raise HillshadeError(
                f"Rows {first} and {line} of {table} name the same file {row['file']}; keep one."
            )
        if "true" not in known:
            row["true"] = row["label"]
        yield row


def _classes(model: PreTrainedModel, said: Collection[str]) -> dict[str, int]:
    """Class name -> number, see above."""
    config = {str(name): int(n) for n, name in (model.config.id2label or {}).items()}
    words = sorted(word for word in said if word)
    if all(word in config or word.isdecimal() for word in words):
        return config
    if not all(name == f"LABEL_{number}" for name, number in config.items()):
        return config
    if len(words) != len(config):
        raise HillshadeError(
            f"The model's config names none of its {len(config)} classes (id2label) and the images "
            f"have {len(words)} names; put id2label into its config.json, or number the classes."
        )
    return {word: number for number, word in enumerate(words)}


def _class(name: str, classes: Mapping[str, int], path: Path) -> int:
    if name in classes:
        return classes[name]
    if name.isdecimal():
        return int(name)
    raise HillshadeError(
        f'{path} has the class "{name}", which the model does not know; name classes as its config '
        "does (id2label), or number them from 0."
    )


def group_of(row: Row) -> str:
    """As `core.images.Image.group`, before the picture is opened."""
    if row["trained"] == "0":
        return HELD_OUT
    return RIGHT if row["true"] in ("", row["label"]) else WRONG


def _keyed(seed: int, row: Row) -> bytes:
    return hashlib.sha256(f"{seed} {row['file']}".encode()).digest()
