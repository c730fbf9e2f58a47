"""What a study of an image classifier reads and asks: the labelled images of a folder.

Asked are the images whose label is known to be wrong, as many of the rightly labelled ones, at most
half, as tell accuracies apart, and those kept from training. The other rightly labelled ones, and
those whose true label nobody knows, are what factors are collected on: no image is both. Files that
hold the same pixels are not asked, or one picture would stand on both sides.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final

from core.errors import HillshadeError
from core.forecast import Work
from core.image_exam import AIM, RISES, ImageAnswers, ImageExam
from core.imagefile import ImageFolder, group_of, list_images, opened, ranked, read_images
from core.images import HELD_OUT, RIGHT, WRONG, Image, Images, Positions
from core.pictures import UNKNOWN, Pictures
from core.preparation import load_preparation
from core.request import Request, models_asked
from core.samples import positions_of
from core.swept_images import image_outputs, image_points, image_scores

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from core.preparation import Preparation
    from core.study import Study, StudyWriter
    from core.sweep import Swept

ASKED: Final = 2000  # images of a group that are asked at most,
ASKED_SHARE: Final = 0.5  # and at most this share of the rightly labelled ones
FEWEST: Final = 8  # rightly labelled images at all
_POSITIONS: Final[dict[Positions, str]] = {
    "all": "all positions of an image, the class token and every patch,",
    "cls": "the class token of every image",
}


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images of a folder, those of them that factors are collected on, and what is asked."""

    folder: ImageFolder
    sample: Images
    exam: ImageExam
    width: int
    pictures: Pictures

    rises: ClassVar[tuple[float, ...]] = RISES
    tolerance: ClassVar[float] = RISES[-1]
    aim: ClassVar[float] = AIM
    cost: ClassVar[str] = "Cost: accuracy lost on rightly labelled images"
    inputs: ClassVar[Mapping[str, str]] = MappingProxyType({})  # `digest` covers the labels

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image."""
        return tuple(self.folder.images[0].pixels.shape)

    @property
    def chooses(self) -> bool:
        """Whether wrong labels are known."""
        return self.exam.has_wrong

    @property
    def counted(self) -> str:
        """What factors are sums of."""
        return (
            f"sums over {_POSITIONS[self.sample.positions]} of a aᵀ and g gᵀ, g the gradient of "
            "the image's loss, labels sampled from the model"
        )

    @cached_property
    def digest(self) -> str:
        """sha256 over all images, see `digest`."""
        return digest(self.folder.images)

    @property
    def counts(self) -> Mapping[str, int]:
        """Images by what they are for."""
        groups = Counter(image.group for image in self.exam.images)
        return {
            "images": len(self.folder.images),
            "images collected on": len(self.sample.images),
            "wrong labels asked": groups[WRONG],
            "right labels asked": groups[RIGHT],
            "images kept from training": groups[HELD_OUT],
        }

    def write(self, writer: StudyWriter, recipe: str, swept: Swept[ImageAnswers]) -> None:
        """Images and how they look, points, scores and outputs."""
        writer.images(self.exam.images, self.folder.names, self.pictures)
        writer.table("points", image_points(recipe, swept))
        writer.table("scores", image_scores(recipe, swept))
        writer.table("outputs", image_outputs(recipe, swept, self.folder.names))


def read_image_data(
    request: Request,
    model: PreTrainedModel,
    preparation: Preparation,
    progress: Callable[[int, int], None] | None = None,
) -> ImageData:
    """The images of a request; HillshadeError for what is missing, too little or unreadable."""
    assert request.images is not None
    folder = read_images(
        request.images,
        model,
        preparation,
        table=request.labels,
        most=request.most,
        seed=request.seed,
        progress=progress,
    )
    sample, asked = parted(folder.images, request.images, request.seed)
    return ImageData(
        folder,
        Images(sample, request.positions or "all"),
        ImageExam(tuple(asked)),
        positions_of(model, folder.images[0]),
        Pictures.of_files(request.images, asked, preparation),
    )


def asked_of(
    folder: Path | None,
    table: Path | None,
    study: Study | None,
    model: PreTrainedModel,
    preparation: Preparation,
    seed: int,
) -> list[Image]:
    """Images to ask: those of a folder whose true label is known, or those that the study asked.

    The study's own are read again where they lie; of the shipped one they are stored whole. Raises
    HillshadeError where there is neither, or where they have changed since.
    """
    if folder is not None:
        found = read_images(folder, model, preparation, table=table, seed=seed).images
        return [image for image in ranked(found, seed) if image.true is not None]
    if study is None or study.pictures is None:
        raise HillshadeError("Images are needed, and none are known here; give --images FOLDER.")
    if study.manifest.request is None:
        return _stored(study, study.pictures, preparation)
    request = Request.from_plain(study.manifest.request, Path())
    data = read_image_data(request, model, preparation)
    request.require_same(data.digest, study.manifest.data_digest)
    return list(data.exam.images)


def _stored(study: Study, pictures: Pictures, preparation: Preparation) -> list[Image]:
    rows = study.items.to_dict("records")
    labels = zip(pictures.given.tolist(), pictures.true.tolist(), strict=True)
    return [
        Image(
            str(row["id"]),
            row["split"],
            pixels,
            given,
            None if true == UNKNOWN else true,
            row["group"] != HELD_OUT,
        )
        for row, pixels, (given, true) in zip(
            rows, pictures.prepared(preparation), labels, strict=True
        )
    ]


def parted(images: Sequence[Image], folder: Path, seed: int) -> tuple[list[Image], list[Image]]:
    """What factors are collected on, and what is asked, the latter in an order that pixels decide.

    Raises HillshadeError for one class alone, or too few rightly labelled images.
    """
    if len({image.given for image in images}) < 2:
        raise HillshadeError(
            f"All images in {folder} are of one class; give images of two at least, a sub-folder "
            "each."
        )
    times = Counter(image.digest for image in images)
    single = [image for image in ranked(images, seed) if times[image.digest] == 1]
    known = [image for image in single if image.true is not None]
    right = [image for image in known if image.group == RIGHT]
    if len(right) < FEWEST:
        raise HillshadeError(
            f"{folder} holds {len(right)} different rightly labelled images of the training and "
            f"at least {FEWEST} are needed; give more."
        )
    asked = [image for image in known if image.group == WRONG][:ASKED]
    asked += right[: min(ASKED, int(ASKED_SHARE * len(right)))]
    asked += [image for image in known if image.group == HELD_OUT][:ASKED]
    mine = {image.id for image in asked}
    sample = [image for image in images if image.group == RIGHT and image.id not in mine]
    return sample, asked


def digest(images: Sequence[Image]) -> str:
    """sha256 over all images with what is said of them: the identity of a folder."""
    found = hashlib.sha256()
    for image in images:
        said = f"{image.id}\n{image.given} {image.true} {image.trained} {image.split}\n"
        found.update(said.encode() + image.digest)
    return found.hexdigest()


def image_work(request: Request, model: PreTrainedModel, sets: int) -> Work:
    """What the images of a request will take: how many they are, and the first of them, opened."""
    assert request.images is not None
    preparation = load_preparation(request.model, model, download=request.download)
    rows = list_images(request.images, request.labels, request.most, request.seed)
    first = opened(request.images / rows[0]["file"], preparation)
    image = Image("first", "report", preparation.normalised(first), 0)
    width = positions_of(model, image)
    groups = Counter(group_of(row) for row in rows if row["true"])
    groups[RIGHT] = int(ASKED_SHARE * groups[RIGHT])
    asked = sum(min(ASKED, count) for count in groups.values())
    collected = sum(group_of(row) == RIGHT for row in rows) - min(ASKED, groups[RIGHT])
    return Work(
        tokens=collected * width,
        context=width,
        models=models_asked(groups[WRONG] > 0, sets),
        asked=asked * width,
        image=tuple(image.pixels.shape),
        images=len(rows),
        rows=1 if request.positions == "cls" else None,
    )
