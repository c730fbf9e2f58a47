"""Training of the shipped classifier: a small ViT, Muon for the hidden matrices, on all labels.

Wrong labels are learned last: while most images are said as they look, validation is best; then
image after image is memorized, and validation falls. The records of a run show it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch.nn import functional
from transformers import ViTConfig, ViTForImageClassification

from core.demo.digits import CLASSES, SIDE, Digits, VisionConfig
from core.demo.folder import replaced
from core.demo.optimizers import optimizers
from core.image_exam import ImageAnswers, ImageExam

IMAGES_A_STEP: Final = 256
RECORDS: Final = 10
LABEL_SMOOTHING: Final = 0.1  # so that no answer is certain, right or wrong
DECAY_FROM: Final = 0.6  # the rate falls linearly to zero over the last 40 %
WARMUP: Final = 50


@dataclass(frozen=True)
class Record:
    """After `step` steps: mean training loss since the last record, and shares of the images asked.

    reproduced, recovered  wrong labels said, and true ones, of wrongly labelled training images
    clean                  accuracy on rightly labelled training images
    held_out               accuracy on images kept from training
    """

    step: int
    loss: float
    reproduced: float
    recovered: float
    clean: float
    held_out: float


@dataclass(frozen=True)
class Classifier:
    """A trained model in evaluation mode, the records of its run, and the seconds it took."""

    model: ViTForImageClassification
    records: tuple[Record, ...]
    seconds: float


def new_classifier(seed: int) -> ViTForImageClassification:
    """Three layers of hidden size 96, MLP 256, four heads, patches of 4 × 4; 265 k parameters."""
    torch.manual_seed(seed)
    return ViTForImageClassification(
        ViTConfig(
            image_size=SIDE,
            patch_size=SIDE // 2,
            num_channels=1,
            hidden_size=96,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=256,
            id2label={number: str(number) for number in range(CLASSES)},
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )


def train_classifier(
    config: VisionConfig,
    data: Digits,
    progress: Callable[[int, int, float], None] | None = None,
) -> Classifier:
    """Epochs over the training pictures in an order of the seed; ``progress(step, steps, loss)``.

    `progress` may raise to cancel.
    """
    images = data.trained.prepared(data.preparation)
    given = torch.from_numpy(data.trained.given)
    exam = ImageExam(data.images)
    model = new_classifier(config.seed)
    used = optimizers(model)
    groups = [group for optimizer in used for group in optimizer.param_groups]
    rates = [group["lr"] for group in groups]
    generator = torch.Generator().manual_seed(config.seed + 1)
    an_epoch = max(1, len(images) // IMAGES_A_STEP)
    steps = config.epochs * an_epoch
    stops = {round(steps * part / RECORDS) for part in range(1, RECORDS + 1)}
    records: list[Record] = []
    losses: list[float] = []
    began = time.monotonic()
    model.set_attn_implementation("eager")  # at this size faster than the fused kernel
    model.train()
    for step in range(1, steps + 1):
        place = (step - 1) % an_epoch
        if place == 0:
            order = torch.randperm(len(images), generator=generator)
        some = order[place * IMAGES_A_STEP : (place + 1) * IMAGES_A_STEP]
        left = min(1.0, (1 - (step - 1) / steps) / (1 - DECAY_FROM))
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * left * min(1.0, step / WARMUP)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(pixel_values=images[some]).logits
        loss = functional.cross_entropy(
            logits.float(), given[some], label_smoothing=LABEL_SMOOTHING
        )
        loss.backward()
        for optimizer in used:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if progress:
            progress(step, steps, losses[-1])
        if step in stops:
            records.append(_record(step, sum(losses) / len(losses), exam.ask(model.eval())))
            losses.clear()
            model.train()
    model.eval()
    model.set_attn_implementation("sdpa")
    return Classifier(model, tuple(records), time.monotonic() - began)


def _record(step: int, loss: float, answers: ImageAnswers) -> Record:
    said = answers.said
    return Record(
        step,
        loss,
        said.reproduced.value,
        said.recovered.value,
        answers.clean("report").value,
        answers.held_out().value,
    )


def save_classifier(folder: Path, config: VisionConfig, trained: Classifier) -> None:
    """Write a finished training run; nothing lies at ``folder`` until all of it is there."""
    record = {
        "config": asdict(config),
        "records": [asdict(record) for record in trained.records],
        "seconds": trained.seconds,
    }
    with replaced(folder) as part:
        trained.model.save_pretrained(part)
        (part / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def load_classifier(folder: Path, config: VisionConfig) -> Classifier | None:
    """The finished training run of this very configuration, or None."""
    if not (folder / "run.json").is_file():
        return None
    run: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if run["config"] != asdict(config):
        return None
    model = ViTForImageClassification.from_pretrained(folder, dtype=torch.float32).eval()
    return Classifier(model, tuple(Record(**entry) for entry in run["records"]), run["seconds"])
