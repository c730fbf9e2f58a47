"""Labelled images: what an image classifier is shown, and the labels it was given and should say.

An image stands beside `core.items.Item`: it, too, is asked, answered and shown. Its one prediction
is that of its class, so one label and one loss belong to it, however many hidden positions (a class
token and patches) the model makes of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from core.errors import HillshadeError
from core.items import Split

Positions = Literal["cls", "all"]

WRONG, RIGHT, HELD_OUT = "wrong labels", "right labels", "held out"


@dataclass(frozen=True, eq=False)
class Image:
    """An image as the model reads it, with the label it was given and the true one.

    id      unique among the images asked together
    split   "choose": settings may be chosen on it; "report": only ever reported
    pixels  float32 (C, H, W), resized and normalised as the model wants them
    given   class it was given in training, and the gold label of every curvature
    true    class that it shows; None where nobody knows
    trained whether training showed it; False for validation images
    """

    id: str
    split: Split
    pixels: Tensor
    given: int
    true: int | None = None
    trained: bool = True

    def __post_init__(self) -> None:
        if self.split not in get_args(Split):
            raise HillshadeError(
                f'Image "{self.id}" has split "{self.split}"; use choose or report.'
            )
        if self.pixels.dim() != 3 or self.pixels.dtype != torch.float32:
            raise HillshadeError(
                f'Image "{self.id}" is {self.pixels.dtype} of shape {tuple(self.pixels.shape)}; '
                "give float32 pixels as channels × height × width."
            )
        if not bool(self.pixels.isfinite().all()):
            raise HillshadeError(
                f'Image "{self.id}" holds NaN or infinite pixels; take an intact copy.'
            )

    @property
    def wrong(self) -> bool:
        """Whether training gave it a label known to be wrong."""
        return self.trained and self.true is not None and self.true != self.given

    @property
    def group(self) -> str:
        """WRONG, RIGHT or HELD_OUT."""
        if not self.trained:
            return HELD_OUT
        return WRONG if self.wrong else RIGHT

    @cached_property
    def digest(self) -> bytes:
        """sha256 over shape and pixels: what keys the labels drawn for it."""
        digest = hashlib.sha256(f"{tuple(self.pixels.shape)}\n".encode())
        digest.update(self.pixels.contiguous().numpy().tobytes())
        return digest.digest()

    # Between processes pixels go as an array of their own: of a tensor the whole batch goes along
    # that it is a view of, or one open file an image.

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "pixels": self.pixels.contiguous().numpy().copy()
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"pixels": torch.from_numpy(state["pixels"])})

    # An image is an example of one counted prediction (`core.curvature.examples`).

    @property
    def content(self) -> Image:
        """What the model reads."""
        return self

    @property
    def counted(self) -> range:
        """Its one prediction."""
        return range(1)

    @property
    def tokens(self) -> int:
        """T_x = 1."""
        return 1


@dataclass(frozen=True, eq=False)
class Images:
    """Images to collect on, and which hidden positions of each count in A and G.

    "cls": the class token alone, position 0; "all": it and every patch. g_t is the gradient of the
    image's loss at the position, whether the head reads the position or not.
    """

    images: Sequence[Image]
    positions: Positions = "cls"

    def __post_init__(self) -> None:
        if self.positions not in get_args(Positions):
            raise HillshadeError(
                f"Positions {self.positions!r} are unknown; choose 'cls' or 'all'."
            )


def stacked(images: Sequence[Image]) -> Tensor:
    """The pixels of some images, float32 (B, C, H, W)."""
    return torch.stack([image.pixels for image in images])


def require_alike(images: Sequence[Image], classes: int) -> None:
    """HillshadeError unless there is an image, all have one shape, and labels lie in 0..classes."""
    if not images:
        raise HillshadeError("There is no image to read; give at least one.")
    for image in images:
        if image.pixels.shape != images[0].pixels.shape:
            raise HillshadeError(
                f'Image "{image.id}" is {tuple(image.pixels.shape)} and "{images[0].id}" '
                f"{tuple(images[0].pixels.shape)}; bring all images to one size."
            )
        for label in (image.given, image.true):
            if label is not None and not 0 <= label < classes:
                raise HillshadeError(
                    f'Image "{image.id}" has label {label}, the model knows {classes} classes; '
                    "number them from 0 as the model does."
                )
