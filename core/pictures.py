"""Labelled pictures as a study stores them: the pixels once, as they look, beside their labels.

A `core.images.Image` holds what a model reads; here lie the bytes from before its preprocessor
rescaled and normalised them, so that a page can draw them. Pictures of the shipped study are whole,
and any model can be asked about them; those of one's own images are shrunk to `SIDE` pixels, and
the images stay where they lie. One safetensors file; its pictures are in the order of the study's
items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from torch import Tensor

from core import tensorfile
from core.errors import HillshadeError
from core.imagefile import opened
from core.images import Image
from core.preparation import Preparation

_KIND = "pictures"
UNKNOWN = -1
SIDE = 32  # of a picture of one's own, at most: 3 kB each


@dataclass(frozen=True, eq=False)
class Pictures:
    """N pictures with the label given in training and the one they show.

    pixels  uint8 (N, C, H, W), one channel (0 black) or three (red, green, blue)
    given   int64 (N,)
    true    int64 (N,); UNKNOWN where nobody knows
    """

    pixels: NDArray[np.uint8]
    given: NDArray[np.int64]
    true: NDArray[np.int64]

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) != 4 or shape[1] not in (1, 3):
            raise HillshadeError(
                f"Pictures came as {self.pixels.dtype} of shape {shape}; give uint8 as pictures × "
                "channels (1 or 3) × height × width."
            )
        if self.given.shape != shape[:1] or self.true.shape != shape[:1]:
            raise HillshadeError(
                f"{shape[0]} pictures have {len(self.given)} given and {len(self.true)} true "
                "labels; give one of each for every picture."
            )

    @classmethod
    def of_files(cls, folder: Path, images: Sequence[Image], preparation: Preparation) -> Pictures:
        """How images of a folder (`core.imagefile`) look to the model, shrunk to `SIDE`."""
        looks = [_shrunk(opened(folder / image.id, preparation)) for image in images]
        labels = [
            [UNKNOWN if label is None else label for label in (image.given, image.true)]
            for image in images
        ]
        given, true = np.array(labels, dtype=np.int64).T.copy()
        return cls(np.stack(looks), given, true)

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, numbers: Sequence[int] | NDArray[np.int64]) -> Pictures:
        """These pictures, in this order."""
        some = np.asarray(numbers, dtype=np.int64)
        return Pictures(self.pixels[some], self.given[some], self.true[some])

    def __add__(self, other: Pictures) -> Pictures:
        """These, then the others; all of one size."""
        return Pictures(
            np.concatenate([self.pixels, other.pixels]),
            np.concatenate([self.given, other.given]),
            np.concatenate([self.true, other.true]),
        )

    def prepared(self, preparation: Preparation) -> Tensor:
        """What a model of this preparation reads, float32 (N, C, H, W)."""
        return torch.stack([preparation.pixels(_picture(pixels)) for pixels in self.pixels])

    def save(self, path: str | Path) -> None:
        """Write one safetensors file."""
        tensors = {
            "pixels": torch.from_numpy(np.ascontiguousarray(self.pixels)),
            "given": torch.from_numpy(self.given),
            "true": torch.from_numpy(self.true),
        }
        tensorfile.save(path, tensors, {"kind": _KIND, "version": 1})

    @classmethod
    def load(cls, path: str | Path) -> Pictures:
        """Read what `save` wrote; its arrays are read-only. HillshadeError for a damaged file."""
        tensors, _ = tensorfile.load(path, _KIND)
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        for array in arrays.values():
            array.setflags(write=False)
        try:
            return cls(**arrays)
        except TypeError as error:
            raise HillshadeError(
                f"{path} lacks pixels or labels ({error}); make it again."
            ) from error


def _shrunk(picture: Picture.Image) -> NDArray[np.uint8]:
    """uint8 (C, H, W), the longer side `SIDE` or less."""
    scale = min(1.0, SIDE / max(picture.size))
    if scale < 1.0:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Picture.Resampling.BOX)
    pixels = np.asarray(picture, dtype=np.uint8).reshape(picture.height, picture.width, -1)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _picture(pixels_chw: NDArray[np.uint8]) -> Picture.Image:
    if len(pixels_chw) == 1:
        return Picture.fromarray(pixels_chw[0])
    return Picture.fromarray(np.ascontiguousarray(pixels_chw.transpose(1, 2, 0)))
