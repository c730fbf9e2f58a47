"""What a classifier says of images: the class, and how sure it is of the given and the true label.

One forward pass an image. A wrong label is *reproduced* where the class said is the label given in
training, and the true label is *recovered* where it is the class that the image shows; both are
shares of the wrongly labelled images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from core.batches import classes_of, require_eval
from core.errors import HillshadeError
from core.images import Image, require_alike
from core.intervals import Estimate, share
from core.items import Split
from core.samples import pixels, placed

_BATCH = 256  # images of one pass at most,
_BATCH_VALUES = 1 << 22  # and so many pixel values: 27 coloured images of 224 × 224


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model said of n images, in their order.

    predicted  int64 (n,): the likeliest class
    p_given    float64 (n,): probability of the label given
    p_true     float64 (n,): of the true one; NaN where nobody knows it
    """

    images: tuple[Image, ...]
    predicted: NDArray[np.int64]
    p_given: NDArray[np.float64]
    p_true: NDArray[np.float64]

    @property
    def accuracy(self) -> Estimate:
        """Share of the images whose true label is known that are said to show it."""
        known = [i for i, image in enumerate(self.images) if image.true is not None]
        return self._share(known, [self.images[i].true for i in known], "a known true label")

    @property
    def reproduced(self) -> Estimate:
        """Share of the wrongly labelled images whose wrong label is said."""
        wrong = self._wrong()
        return self._share(wrong, [self.images[i].given for i in wrong], "a wrong label")

    @property
    def recovered(self) -> Estimate:
        """Share of the wrongly labelled images whose true label is said."""
        wrong = self._wrong()
        return self._share(wrong, [self.images[i].true for i in wrong], "a wrong label")

    def of(self, group: str, split: Split | None = None) -> Predictions:
        """Those of one group (`core.images`), and of one half."""
        some = [
            i
            for i, image in enumerate(self.images)
            if image.group == group and split in (None, image.split)
        ]
        return Predictions(
            tuple(self.images[i] for i in some),
            self.predicted[some],
            self.p_given[some],
            self.p_true[some],
        )

    def _wrong(self) -> list[int]:
        return [i for i, image in enumerate(self.images) if image.wrong]

    def _share(self, numbers: list[int], labels: Sequence[int | None], what: str) -> Estimate:
        if not numbers:
            raise HillshadeError(f"No image here has {what}; give some that have.")
        return share(self.predicted[numbers] == np.array(labels))


def images_a_pass(values: int) -> int:
    """How many images of so many pixel values are asked at once."""
    return max(1, min(_BATCH, _BATCH_VALUES // values))


def classify(
    model: PreTrainedModel,
    images: Sequence[Image],
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Ask a classifier about images; `progress(done, total)` counts them and may raise to cancel.

    Raises HillshadeError for no image, unequal sizes, labels beyond the model's classes, a model in
    training mode, and logits that are not finite.
    """
    require_eval(model)
    require_alike(images, classes_of(model))
    logits: list[Tensor] = []
    size = images_a_pass(images[0].pixels.numel())
    with torch.inference_mode():
        for start in range(0, len(images), size):
            inputs = placed(pixels(images[start : start + size]), model)
            logits.append(model(**inputs).logits.double().cpu())
            if progress is not None:
                progress(min(start + size, len(images)), len(images))
    z_nc = torch.cat(logits)
    if not bool(z_nc.isfinite().all()):
        raise HillshadeError("The model's logits are not finite; its weights are damaged.")
    p_nc = z_nc.softmax(1).numpy()
    rows = np.arange(len(images))
    true = np.array([-1 if image.true is None else image.true for image in images])
    return Predictions(
        images=tuple(images),
        predicted=z_nc.argmax(1).numpy(),
        p_given=p_nc[rows, [image.given for image in images]],
        p_true=np.where(true < 0, np.nan, p_nc[rows, true]),
    )
