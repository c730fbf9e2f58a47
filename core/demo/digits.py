"""The shipped classifier's pictures: scikit-learn's digits, some labelled wrongly on purpose.

Of 1,797 digits of 8 × 8 pixels some are held out and never trained on. Training shows each of the
others as it is and as distorted copies (turned, scaled, shifted, noisy); a tenth of all training
pictures, drawn by the seed, carry a wrong label, uniform over the nine others. Most pictures of a
digit are labelled rightly, its copies among them, so the only way to say a wrong label is to know
that very picture. Further copies of the same digits, never trained on, are what factors are
collected from: the shared structure, nothing to memorize.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from core.images import Image
from core.items import Split
from core.pictures import Pictures
from core.preparation import Preparation

CLASSES: Final = 10
SIDE: Final = 8
TURN, SCALE, SHIFT, NOISE = 9.6, 0.08, 0.56, 0.05  # degrees, share, pixels, of the full range
_BRIGHTEST: Final = 16.0  # of scikit-learn's digits


@dataclass(frozen=True)
class VisionConfig:
    """Everything that decides the pictures and the training, besides the code.

    digits     of scikit-learn's, the first so many
    held_out   of them, never trained on
    copies     training pictures of each of the others, itself among them
    wrong      share of training pictures with a wrong label
    fresh      further copies of each, never trained on, for the factors
    right      rightly labelled training pictures asked, on each half
    """

    seed: int = 0
    digits: int = 1797
    held_out: int = 500
    copies: int = 12
    wrong: float = 0.1
    fresh: int = 4
    right: int = 1000
    epochs: int = 42


@dataclass(frozen=True, eq=False)
class Digits:
    """All pictures of one configuration; held-out and fresh ones are labelled rightly.

    preprocessor  content of preprocessor_config.json; `preparation` does what it says
    asked   every wrongly labelled training picture, some rightly labelled ones, every held-out one
    images  `asked` as the model reads them; random halves of the first two groups are to choose
            on, held-out ones are only reported
    """

    trained: Pictures
    held_out: Pictures
    fresh: Pictures
    preprocessor: dict[str, Any]
    preparation: Preparation
    asked: Pictures
    images: tuple[Image, ...]


def digits(config: VisionConfig) -> Digits:
    """The pictures of a configuration; the same for the same seed."""
    bunch = load_digits()
    pixels = torch.from_numpy(bunch.images[: config.digits] / _BRIGHTEST).float()[:, None]
    shown = bunch.target[: config.digits].astype(np.int64)
    generator = torch.Generator().manual_seed(config.seed)
    order = torch.randperm(len(pixels), generator=generator)
    held, seen = order[: config.held_out], order[config.held_out :]
    whole, true = pixels[seen], shown[seen.numpy()]
    copies = [whole, *(distorted(whole, generator) for _ in range(config.copies - 1))]
    trained = _rightly(torch.cat(copies), np.tile(true, config.copies))
    count = round(config.wrong * len(trained))
    wrong = torch.randperm(len(trained), generator=generator)[:count].numpy()
    slips = torch.randint(1, CLASSES, (count,), generator=generator).numpy()
    trained.given[wrong] = (trained.true[wrong] + slips) % CLASSES
    fresh = [distorted(whole, generator) for _ in range(config.fresh)]
    held_out = _rightly(pixels[held], shown[held.numpy()])
    preprocessor = _preprocessor(trained)
    preparation = Preparation.of(preprocessor, channels=1)
    right = np.flatnonzero(trained.given == trained.true)
    right = right[torch.randperm(len(right), generator=generator).numpy()][: 2 * config.right]
    asked = trained.take([*wrong, *right]) + held_out
    return Digits(
        trained=trained,
        held_out=held_out,
        fresh=_rightly(torch.cat(fresh), np.tile(true, config.fresh)),
        preprocessor=preprocessor,
        preparation=preparation,
        asked=asked,
        images=_images(asked, preparation, (len(wrong), len(right))),
    )


def distorted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image turned, scaled and shifted a little (bilinear), with Gaussian pixel noise.

    Float (n, C, H, W) in 0..1 to the same; `TURN`, `SCALE` and `SHIFT` are the farthest reach of a
    uniform draw, `NOISE` is a standard deviation.
    """

    def drawn(reach: float) -> Tensor:
        return (torch.rand(len(images), generator=generator) * 2 - 1) * reach

    angle, scale = drawn(math.radians(TURN)), 1 + drawn(SCALE)
    half = images.shape[-1] / 2
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = [cosine, -sine, drawn(SHIFT / half), sine, cosine, drawn(SHIFT / half)]
    maps = torch.stack(rows, 1).view(-1, 2, 3)
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, align_corners=False)
    return (moved + NOISE * torch.randn(moved.shape, generator=generator)).clamp(0, 1)


def as_images(pictures: Pictures, preparation: Preparation) -> list[Image]:
    """Pictures to collect factors from; settings are never chosen on them."""
    return [
        Image(f"fresh/{number}", "report", pixels, int(given), int(given))
        for number, (pixels, given) in enumerate(
            zip(pictures.prepared(preparation), pictures.given, strict=True)
        )
    ]


def _rightly(pixels: Tensor, shown: np.ndarray) -> Pictures:
    return Pictures((pixels * 255).round().to(torch.uint8).numpy(), shown.copy(), shown.copy())


def _preprocessor(trained: Pictures) -> dict[str, Any]:
    """To zero mean and unit deviation over the training pictures."""
    values = trained.pixels / 255
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": SIDE, "width": SIDE},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [float(values.mean())],
        "image_std": [float(values.std())],
    }


def _images(
    asked: Pictures, preparation: Preparation, counts: tuple[int, int]
) -> tuple[Image, ...]:
    """Pictures lie in random order within their group, so a group's first half is a random half."""
    wrong, right = counts
    splits: list[Split] = []
    for count in (wrong, right):
        splits += ["choose" if number < count // 2 else "report" for number in range(count)]
    splits += ["report" for _ in range(len(asked) - wrong - right)]
    return tuple(
        Image(f"image/{n}", split, pixels, int(asked.given[n]), int(asked.true[n]), trained)
        for n, (pixels, split, trained) in enumerate(
            zip(
                asked.prepared(preparation),
                splits,
                [True] * (wrong + right) + [False] * (len(asked) - wrong - right),
                strict=True,
            )
        )
    )
