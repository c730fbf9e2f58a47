"""What every edited classifier is asked: all its images, and what an edit costs in clean accuracy.

The halves are those of the images. Where a language model's edit is judged by recall of its strings
and the perplexity of fresh text, a classifier's is by the wrong labels it reproduces and by its
accuracy on rightly labelled training images:

    cost = 1 + accuracy of the original − accuracy of the edited model,    on the choosing half,

so that a rise of 0.01 is one point of accuracy, and `core.sweep` and `core.choose` serve both.
Where no wrong label is known only the cost is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from transformers import PreTrainedModel

from core.classify import Predictions, classify
from core.errors import HillshadeError
from core.exam import Judgement
from core.images import HELD_OUT, RIGHT, WRONG, Image
from core.intervals import Estimate, share
from core.items import Split

RISES: Final = (0.01, 0.03)  # accuracy lost on rightly labelled images, where methods are compared
AIM: Final = 0.05  # share of wrong labels that counts as gone


@dataclass(frozen=True, eq=False)
class ImageAnswers:
    """What one classifier said of one exam's images."""

    said: Predictions

    @property
    def recall(self) -> Estimate:
        """Share of wrong labels reproduced, both halves; NaN without any."""
        if not any(image.wrong for image in self.said.images):
            return Estimate(math.nan, math.nan, math.nan, 0)
        return self.said.reproduced

    def cost(self, original: ImageAnswers) -> float:
        """1 + clean accuracy lost, on the choosing half."""
        return 1.0 + original.clean("choose").value - self.clean("choose").value

    def reproduced(self, split: Split) -> Estimate:
        """Share of this half's wrong labels that are said."""
        return self.said.of(WRONG, split).reproduced

    def recovered(self, split: Split) -> Estimate:
        """Share of this half's wrongly labelled images whose true label is said."""
        return self.said.of(WRONG, split).recovered

    def clean(self, split: Split) -> Estimate:
        """Accuracy on this half's rightly labelled training images."""
        return self.said.of(RIGHT, split).accuracy

    def held_out(self, split: Split | None = None) -> Estimate:
        """Accuracy on images kept from training."""
        return self.said.of(HELD_OUT, split).accuracy


@dataclass(frozen=True, eq=False)
class ImageExam:
    """Images for one classifier: rightly labelled ones in each half, wrongly ones in each or none.

    True labels are known of all of them.
    """

    images: tuple[Image, ...]

    def __post_init__(self) -> None:
        there = {(image.group, image.split) for image in self.images}
        groups = (WRONG, RIGHT) if self.has_wrong else (RIGHT,)
        for split in ("choose", "report"):
            for group in groups:
                if (group, split) not in there:
                    raise HillshadeError(
                        f'No image with {group} is in the half "{split}"; give some in each half.'
                    )

    @property
    def has_wrong(self) -> bool:
        """Whether a wrong label is known, by which a setting can be chosen."""
        return any(image.wrong for image in self.images)

    def require_wrong(self) -> None:
        """HillshadeError where no wrong label is known."""
        if not self.has_wrong:
            raise HillshadeError(
                "No wrong label is known of these images, so nothing shows what is forgotten; say "
                "which are wrong in a labels.csv, or by --labels."
            )

    def ask(self, model: PreTrainedModel) -> ImageAnswers:
        """Ask a model about every image; errors as `core.classify.classify`."""
        return ImageAnswers(classify(model, self.images))

    def cost(
        self, model: PreTrainedModel, original: ImageAnswers, split: Split = "choose"
    ) -> Estimate:
        """1 + clean accuracy lost on this half; the interval is the edited accuracy's."""
        clean = classify(model, self._half(RIGHT, split)).accuracy
        before = 1.0 + original.clean(split).value
        return Estimate(before - clean.value, before - clean.high, before - clean.low, clean.n)

    def judge(
        self, model: PreTrainedModel, original: ImageAnswers, split: Split = "choose"
    ) -> Judgement:
        """Wrong labels said, and true labels not said, of this half; no abilities."""
        self.require_wrong()
        said = classify(model, self._half(WRONG, split))
        true = [image.true for image in said.images]
        missed = [a != b for a, b in zip(said.predicted.tolist(), true, strict=True)]
        return Judgement(said.reproduced, share(missed), ())

    def narrowed(self) -> ImageExam:
        """The same: images are quickly asked."""
        return replace(self)

    def _half(self, group: str, split: Split) -> list[Image]:
        return [i for i in self.images if (i.group, i.split) == (group, split)]
