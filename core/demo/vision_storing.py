"""The shipped classifier and its study as folders: manifest, tables, pictures, heavy part."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from transformers import PreTrainedModel

from core.demo.folder import replaced
from core.demo.reported import Finished
from core.demo.storing import store, stored_recipe, versions
from core.demo.vision_laboratory import SEED, VisionLaboratory
from core.image_exam import ImageAnswers
from core.projection import weight_digest
from core.study import Manifest, ModelCard, StudyWriter
from core.swept_images import image_outputs, image_points, image_scores

CONVENTION: Final = (
    "Factors: sums over all positions, the class token and every patch, of a aᵀ and g gᵀ, g the "
    "gradient of the image's loss, labels sampled from the model; images are distorted copies that "
    "training never showed. Cost: accuracy lost on rightly labelled training images."
)


def write_classifier(model: PreTrainedModel, preprocessor: Mapping[str, Any], target: Path) -> None:
    """A normal transformers folder with preprocessor_config.json beside the weights."""
    with replaced(target) as part:
        model.save_pretrained(part)
        text = json.dumps(preprocessor, indent=1) + "\n"
        (part / "preprocessor_config.json").write_text(text, encoding="utf-8")


def write_vision_study(
    laboratory: VisionLaboratory,
    finished: Mapping[str, Finished[ImageAnswers]],
    documents: Mapping[str, Mapping[str, Any]],
    target: Path,
) -> None:
    """The study of the shipped classifier at ``target/study``; what lay there stays until then."""
    labels = laboratory.labels
    frames = {
        "points": [image_points(recipe, done.swept) for recipe, done in finished.items()],
        "scores": [image_scores(recipe, done.swept) for recipe, done in finished.items()],
        "outputs": [image_outputs(recipe, done.swept, labels) for recipe, done in finished.items()],
    }
    with StudyWriter(target / "study") as writer:
        writer.images(laboratory.exam.images, labels, laboratory.data.asked)
        store(writer, frames, laboratory.bases, documents)
        writer.finish(_manifest(laboratory, finished))


def _manifest(
    laboratory: VisionLaboratory, finished: Mapping[str, Finished[ImageAnswers]]
) -> Manifest:
    data, images = laboratory.data, laboratory.exam.images
    digest = hashlib.sha256()
    for pictures in (data.trained, data.fresh):
        for array in (pictures.pixels, pictures.given):
            digest.update(array.tobytes())
    return Manifest(
        model=ModelCard(
            id="hillshade-vision",
            weight_digest=weight_digest(laboratory.model),
            architecture=type(laboratory.model).__name__,
            parameters=laboratory.model.num_parameters(),
        ),
        data_digest=digest.hexdigest(),
        counts={
            "factor positions": laboratory.factors.count,
            "factor images": len(data.fresh),
            "training images": len(data.trained),
            "wrong labels among them": sum(image.wrong for image in images),
            "images held out": len(data.held_out),
            "training steps": laboratory.trained.records[-1].step,
        },
        labels="sampled",
        convention=CONVENTION,
        seed=SEED,
        versions=versions(),
        command="hillshade demo --vision",
        created=datetime.now(UTC).date().isoformat(),
        planted_share=None,
        noise_rate=laboratory.config.wrong,
        recipes=tuple(stored_recipe(name, done) for name, done in finished.items()),
    )
