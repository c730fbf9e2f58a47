"""From a picture to the pixels that a classifier reads, as preprocessor_config.json says.

Resizing, rescaling and normalising are done here with Pillow and NumPy: the processors of
transformers need torchvision. A key that changes pixels otherwise is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor
from transformers import PreTrainedModel

from core.errors import HillshadeError

FILE = "preprocessor_config.json"
_BILINEAR = 2


@dataclass(frozen=True)
class Preparation:
    """From a picture to pixels: resize, cut out the middle, ·factor, −mean, ÷std, channel-wise.

    said  the content of the file, which goes along with an edited model
    """

    channels: int
    size: tuple[int, int] | int | None  # height and width, or the shorter edge; None leaves it
    crop: tuple[int, int] | None
    resample: int
    factor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    said: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

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
            said=said,
        )

    def seen(self, picture: Picture.Image) -> Picture.Image:
        """The picture, grey or coloured, of the size that the model reads."""
        shown = picture.convert("L" if self.channels == 1 else "RGB")
        if self.size is not None:
            shown = shown.resize(self._resized(shown), Picture.Resampling(self.resample))
        if self.crop is not None:
            height, width = self.crop
            left, top = (shown.width - width) // 2, (shown.height - height) // 2
            shown = shown.crop((left, top, left + width, top + height))
        return shown

    def pixels(self, picture: Picture.Image) -> Tensor:
        """float32 (C, H, W)."""
        return self.normalised(self.seen(picture))

    def normalised(self, shown: Picture.Image) -> Tensor:
        """float32 (C, H, W) of a picture as `seen` gives it."""
        values = np.asarray(shown, dtype=np.float32).reshape(shown.height, shown.width, -1)
        mean, std = (np.asarray(some, dtype=np.float32) for some in (self.mean, self.std))
        return torch.from_numpy((values * np.float32(self.factor) - mean) / std).permute(2, 0, 1)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the file beside a model, as tokenizers and processors of transformers do."""
        text = json.dumps(self.said, indent=1) + "\n"
        (Path(folder) / FILE).write_text(text, encoding="utf-8")

    def _resized(self, picture: Picture.Image) -> tuple[int, int]:
        """Width and height, as Pillow orders them."""
        if isinstance(self.size, tuple):
            return self.size[1], self.size[0]
        assert self.size is not None
        shorter = min(picture.size)
        width, height = (int(side * self.size / shorter) for side in picture.size)
        return width, height


def load_preparation(
    source: str | Path, model: PreTrainedModel, *, download: bool = False
) -> Preparation:
    """From the preprocessor_config.json beside the model, in a folder or of the hub."""
    from transformers.utils.hub import cached_file

    try:
        path = cached_file(str(source), FILE, local_files_only=not download)
        said = dict(json.loads(Path(str(path)).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise HillshadeError(
            f"There is no readable {FILE} in {source}; put it beside the weights: it says how "
            "images are resized and normalised."
        ) from error
    return Preparation.of(said, int(getattr(model.config, "num_channels", 3)))


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
