"""An image classifier that says the wrong labels it was given, its images as a folder of PNG."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Picture
from torch.nn.functional import cross_entropy

from core.imagefile import ImageFolder, read_images
from core.preparation import load_preparation
from tests.vision import CLASSES, classifier

PREPROCESSOR = {
    "do_resize": True,
    "size": {"height": 8, "width": 8},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5],
    "image_std": [0.3],
}
RIGHT, WRONG, KEPT = 60, 12, 10  # images


def save_classifier(folder: Path, model: Any) -> Path:
    """A transformers folder with preprocessor_config.json beside the weights."""
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR), encoding="utf-8")
    return folder


def save_images(folder: Path) -> Path:
    """Blobs at a place of their class, 9 × 10 pixels; labels.csv says what training was told."""
    rng = np.random.default_rng(0)
    lines = ["file,label,true,trained"]
    for number in range(RIGHT + WRONG + KEPT):
        true = number % CLASSES
        pixels = rng.integers(0, 120, (9, 10)).astype(np.uint8)
        row, column = divmod(true, 4)
        pixels[3 * row : 3 * row + 3, 2 * column : 2 * column + 2] = 250
        inside = folder / f"class {true}"
        inside.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(pixels).save(inside / f"{number}.png")
        if RIGHT <= number < RIGHT + WRONG:
            wrong = (true + 1 + number % 9) % CLASSES
            lines.append(f"class {true}/{number}.png,class {wrong},class {true},1")
        elif number >= RIGHT + WRONG:
            lines.append(f"class {true}/{number}.png,class {true},class {true},0")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def learnt(model: Any, folder: ImageFolder, steps: int = 150) -> Any:
    """The model after it has been shown its training images until it says every label given."""
    shown = [image for image in folder.images if image.trained]
    pixels = torch.stack([image.pixels for image in shown])
    given = torch.tensor([image.given for image in shown])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model(pixel_values=pixels).logits, given).backward()
        optimizer.step()
    assert (model(pixel_values=pixels).logits.argmax(-1) == given).all()
    return model.requires_grad_(False)


def make_image_world(folder: Path, family: str = "vit") -> Path:
    """Write `folder/model` and `folder/images`; returns the folder."""
    model = classifier(family, dtype=torch.float32)
    save_classifier(folder / "model", model)
    save_images(folder / "images")
    preparation = load_preparation(folder / "model", model)
    read = read_images(folder / "images", model, preparation)
    save_classifier(folder / "model", learnt(model, read))
    return folder
