"""What a study reads and asks: texts of a language model, or images of a classifier.

Collecting, decomposing, choosing, sweeping and storing are the same for both (`core.survey`); what
differs is one object, made by `read_data`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch

from core.errors import HillshadeError
from core.hub import of_hub
from core.imagedata import read_image_data
from core.images import Images
from core.model import load_classifier_to_work, load_to_work
from core.request import Request
from core.sweep import Asks, Given, Swept
from core.textdata import read_text_data
from core.textfile import Window

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.model import Processor
    from core.preparation import Preparation
    from core.study import Study, StudyWriter


class Data(Protocol[Given]):
    """What is read and asked, complete in memory."""

    @property
    def sample(self) -> Sequence[Window] | Images:
        """What factors are collected on, and nothing is asked of."""
        ...

    @property
    def exam(self) -> Asks[Given]:
        """What every edited model is asked."""
        ...

    @property
    def width(self) -> int:
        """Hidden positions of a window, at most, or of an image."""
        ...

    @property
    def shape(self) -> tuple[int, ...] | None:
        """(C, H, W) of an image; None of texts."""
        ...

    @property
    def rises(self) -> tuple[float, ...]:
        """Costs at which settings are stored."""
        ...

    @property
    def tolerance(self) -> float:
        """Cost within which a setting is chosen."""
        ...

    @property
    def aim(self) -> float:
        """Recall that counts as gone."""
        ...

    @property
    def digest(self) -> str:
        """Identity of all that was read."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """How much it is, for the manifest."""
        ...

    @property
    def inputs(self) -> Mapping[str, str]:
        """Digests of what `digest` leaves out, for the manifest."""
        ...

    @property
    def counted(self) -> str:
        """What factors are sums of, for the manifest."""
        ...

    @property
    def cost(self) -> str:
        """What an edit costs, and on what, for the manifest."""
        ...

    @property
    def chooses(self) -> bool:
        """Whether anything is known to be memorized, by which a setting can be chosen."""
        ...

    def write(self, writer: StudyWriter, recipe: str, swept: Swept[Given]) -> None:
        """Store what was asked and answered: items, points, scores and outputs."""
        ...


def load(request: Request) -> tuple[PreTrainedModel, Processor]:
    """The model to work on, and its tokenizer or how images are prepared for it.

    On the processor where it is to lie in parts on several devices (`core.sharding`).
    HillshadeError for a model that is missing or of the other kind.
    """
    loading = load_to_work if request.images is None else load_classifier_to_work
    return loading(
        request.model,
        download=request.download,
        remote_code=request.remote_code,
        where=torch.device("cpu") if request.shard else None,
    )


def read_data(
    request: Request,
    model: PreTrainedModel,
    processor: Processor,
    progress: Callable[[int, int], None] | None = None,
) -> Data[Any]:
    """What the request names; HillshadeError for what is missing, too little or unreadable.

    `progress(done, total)` counts images.
    """
    if request.images is not None:
        return read_image_data(request, model, cast("Preparation", processor), progress)
    return read_text_data(request, model, cast("PreTrainedTokenizerBase", processor))


def read_again(study: Study, model: PreTrainedModel, processor: Processor) -> Data[Any]:
    """What a study was made of, but for its strings, read again where it lies on this machine.

    Raises HillshadeError where the study does not say where, or it has changed since.
    """
    if study.manifest.request is None:
        raise HillshadeError(
            "This study does not say what its factors were collected on; make one of your own by "
            "`hillshade collect`."
        )
    request = Request.from_plain(study.manifest.request, Path(), strings=None)
    if of_hub(request.texts or ""):
        raise HillshadeError(
            f"The study names its text as {request.texts}, and nothing is fetched because a study "
            "asks for it; collect a study on a file of that text."
        )
    data = read_data(request, model, processor)
    request.require_same(data.digest, study.manifest.data_digest)
    return data
