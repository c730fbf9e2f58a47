"""Labelled images read from a folder, as the model beside its preprocessor_config.json wants them.

Either one sub-folder a class, or image files and a table ``labels.csv`` beside them:

    file        path inside the folder
    label       class given, as a number or by the name that the model's config has for it
    true        class that it shows; optional, empty where nobody knows
    trained     0 for an image kept from training; optional, 1 by default
    split       choose or report; optional

Without a table an image's label is taken for its true one. Halves that no table sets are drawn by
sha256(seed, pixels), so that the order of files changes nothing.

Resizing, rescaling and normalising are done here with Pillow and NumPy as preprocessor_config.json
says: the processors of transformers need torchvision. A key that changes pixels otherwise is
refused.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image as Picture
from PIL import UnidentifiedImageError
from torch import Tensor
from transformers import PreTrainedModel

from core.batches import classes_of
from core.errors import HillshadeError
from core.images import Image, require_alike
from core.items import Split

TABLE = "labels.csv"
_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}
_BILINEAR = 2


@dataclass(frozen=True)
class Preparation:
    """From a picture to pixels: resize, cut out the middle, ·factor, −mean, ÷std, channel-wise."""

    channels: int
    size: tuple[int, int] | int | None  # height and width, or the shorter edge; None leaves it
    crop: tuple[int, int] | None
    resample: int
    factor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, said: Mapping[str, Any], channels: int) -> Preparation:
        """What a preprocessor_config.json says; HillshadeError for what is not done here."""
        for key in ("do_pad", "do_reduce_labels", "do_flip_channel_order"):
            if said.get(key):
                raise HillshadeError(
                    f"The model's preprocessor_config.json asks for {key}, which is not done here; "
                    "prepare the images yourself and give them as core.images.Image."
                )
        mean, std = said.get("image_mean", [0.0]), said.get("image_std", [1.0])
        if not said.get("do_normalize", "image_mean" in said):
            mean, std = [0.0], [1.0]
        if {len(mean), len(std)} - {1, channels}:
            raise HillshadeError(
                f"preprocessor_config.json gives {len(mean)} means for {channels} channels; "
                "give one for each."
            )
        return cls(
            channels=channels,
            size=_size(said["size"]) if said.get("do_resize", True) and "size" in said else None,
            crop=_crop(said["crop_size"]) if said.get("do_center_crop") else None,
            resample=int(said.get("resample", _BILINEAR)),
            factor=float(said.get("rescale_factor", 1 / 255))
            if said.get("do_rescale", True)
            else 1,
            mean=tuple(mean),
            std=tuple(std),
        )

    def pixels(self, picture: Picture.Image) -> Tensor:
        """float32 (C, H, W)."""
        shown = picture.convert("L" if self.channels == 1 else "RGB")
        if self.size is not None:
            shown = shown.resize(self._resized(shown), Picture.Resampling(self.resample))
        if self.crop is not None:
            height, width = self.crop
            left, top = (shown.width - width) // 2, (shown.height - height) // 2
            shown = shown.crop((left, top, left + width, top + height))
        values = np.asarray(shown, dtype=np.float32).reshape(shown.height, shown.width, -1)
        mean, std = (np.asarray(some, dtype=np.float32) for some in (self.mean, self.std))
        return torch.from_numpy((values * np.float32(self.factor) - mean) / std).permute(2, 0, 1)

    def _resized(self, picture: Picture.Image) -> tuple[int, int]:
        """Width and height, as Pillow orders them."""
        if isinstance(self.size, tuple):
            return self.size[1], self.size[0]
        assert self.size is not None
        shorter = min(picture.size)
        width, height = (int(side * self.size / shorter) for side in picture.size)
        return width, height


def read_images(
    folder: str | Path,
    model: PreTrainedModel,
    preparation: Preparation,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Image]:
    """The images of a folder, by path; `progress(done, total)` counts them and may raise.

    Raises HillshadeError, naming the file, for a folder that is missing or empty, a picture that
    cannot be read, an unknown class, a table without its columns, and pictures of unequal size.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise HillshadeError(f"There is no folder {folder}; name one with images.")
    names = model.config.id2label or {}
    classes = {name: int(number) for number, name in names.items()}
    rows = list(_of_table(folder) if (folder / TABLE).is_file() else _of_folders(folder))
    if not rows:
        raise HillshadeError(
            f"{folder} holds no image; give one sub-folder a class, or a {TABLE} beside the files."
        )
    found = []
    for number, row in enumerate(rows, start=1):
        path = folder / row["file"]
        given = _class(row["label"], classes, path)
        true = _class(row["true"], classes, path) if row["true"] else None
        image = Image(
            id=row["file"],
            split=cast(Split, row["split"] or "choose"),  # Image refuses others
            pixels=_pixels(path, preparation),
            given=given,
            true=true,
            trained=row["trained"] != "0",
        )
        found.append(image if row["split"] else _halved(image, seed))
        if progress is not None:
            progress(number, len(rows))
    require_alike(found, classes_of(model))
    return found


def load_preparation(
    source: str | Path, model: PreTrainedModel, *, download: bool = False
) -> Preparation:
    """From the preprocessor_config.json beside the model, in a folder or of the hub."""
    from transformers.utils.hub import cached_file

    name = "preprocessor_config.json"
    try:
        path = cached_file(str(source), name, local_files_only=not download)
        said = json.loads(Path(str(path)).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HillshadeError(
            f"There is no readable {name} in {source}; put it beside the weights: it says how "
            "images are resized and normalised."
        ) from error
    return Preparation.of(said, int(getattr(model.config, "num_channels", 3)))


def _of_table(folder: Path) -> Iterator[dict[str, str]]:
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = {"file", "label"} - set(reader.fieldnames or ())
        if missing:
            raise HillshadeError(
                f"{folder / TABLE} has no column {min(missing)}; give file and label at least."
            )
        for row in reader:
            yield {key: (row.get(key) or "").strip() for key in _COLUMNS}


_COLUMNS = ("file", "label", "true", "trained", "split")


def _of_folders(folder: Path) -> Iterator[dict[str, str]]:
    for inside in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in sorted(inside.iterdir()):
            if path.suffix.lower() in _ENDINGS:
                name = path.relative_to(folder).as_posix()
                label = {"label": inside.name, "true": inside.name}
                yield {"file": name, "trained": "", "split": ""} | label


def _class(name: str, classes: Mapping[str, int], path: Path) -> int:
    if name in classes:
        return classes[name]
    if name.isdecimal():
        return int(name)
    raise HillshadeError(
        f'{path} has the class "{name}", which the model does not know; name classes as its config '
        "does (id2label), or number them from 0."
    )


def _pixels(path: Path, preparation: Preparation) -> Tensor:
    try:
        with Picture.open(path) as picture:
            return preparation.pixels(picture).contiguous()
    except (OSError, UnidentifiedImageError) as error:
        raise HillshadeError(f"{path} is no picture that can be read; leave it out.") from error


def _halved(image: Image, seed: int) -> Image:
    key = hashlib.sha256(f"{seed} ".encode() + image.digest).digest()
    return replace(image, split="choose" if key[0] % 2 else "report")


def _size(said: Any) -> tuple[int, int] | int:
    if isinstance(said, Mapping) and "shortest_edge" in said:
        return int(said["shortest_edge"])
    return _crop(said)


def _crop(said: Any) -> tuple[int, int]:
    if isinstance(said, int):
        return said, said
    if isinstance(said, Mapping) and {"height", "width"} <= said.keys():
        return int(said["height"]), int(said["width"])
    raise HillshadeError(
        f"preprocessor_config.json gives the size {said}; give height and width, or shortest_edge."
    )
