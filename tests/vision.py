"""Tiny random image classifiers, images for them, and steps by weight copies."""

from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForImageClassification, PreTrainedModel

from core.images import Image

CLASSES = 10
SIZE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "mlp_ratio": 2,
    "image_size": 8,
    "patch_size": 2,
    "num_channels": 1,
    "id2label": {number: f"class {number}" for number in range(CLASSES)},
}
POSITIONS = 17  # a class token and 16 patches


def classifier(
    family: str = "vit", dtype: torch.dtype = torch.float64, **options: Any
) -> PreTrainedModel:
    """A model of this family with weights large enough to matter, in evaluation mode."""
    known = {"architectures": ["DeiTForImageClassification"]} if family == "deit" else {}
    config = AutoConfig.for_model(family, **SIZE | known | options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: Any = AutoModelForImageClassification.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    made: PreTrainedModel = model.to(dtype).eval()
    return made


def images(count: int = 7, *, wrong: int = 3, seed: int = 0) -> list[Image]:
    """Noise with labels; the first `wrong` were given a wrong one, every other is to choose."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        pixels = torch.from_numpy(rng.normal(size=(1, 8, 8)).astype(np.float32))
        true = int(rng.integers(CLASSES))
        given = (true + 1 + number % 9) % CLASSES if number < wrong else true
        made.append(Image(f"i{number}", ("choose", "report")[number % 2], pixels, given, true))
    return made
