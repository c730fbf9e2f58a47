"""Whether a language model is causal: its logits at a position depend on no later token.

Everything here rests on it: texts are padded on the right without a mask, a text's next token
labels each position, and one teacher-forced pass stands for generation. Encoders loaded as language
models (BERT without `is_decoder`) have the same modules and the same loss, and look to the right.
"""

from __future__ import annotations

import torch
from torch import nn

from core.batches import reads_images
from core.errors import UnsupportedModelError
from core.samples import placed
from core.twin import seen_once

_LENGTH = 16  # tokens that are read; the second half of them is changed
# Of the largest logit. Passes of one shape do the same operations, so a causal model's earlier
# logits are equal but for the order of sums; those of an untrained tiny BERT move by 5e-5 to 1e-3.
_TOLERANCE = 2.0**-16


def require_causal(model: nn.Module) -> None:
    """Read two short texts that differ in their second half only: their first halves must agree.

    Two forward passes of 16 tokens, on a twin; image classifiers and models without weights (meta
    device) are passed over. Raises UnsupportedModelError for a model that looks to the right.
    """
    if reads_images(model):
        return
    parameter = next(model.parameters())
    if parameter.is_meta:
        return
    config = getattr(model, "config", None)
    length = min(_LENGTH, getattr(config, "max_position_embeddings", None) or _LENGTH)
    half = length // 2
    place = torch.arange(length)[None]
    ids = 2 + place % 2
    others = torch.where(place < half, ids, 5 - ids)
    with seen_once(model) as seer, torch.no_grad():  # sharded weights take no inference mode
        first, second = (
            seer(**placed({"input_ids": one}, seer)).logits[:, :half].float()
            for one in (ids, others)
        )
    moved = (first - second).abs().max() / first.abs().max()
    if moved > _TOLERANCE:
        raise UnsupportedModelError(
            f"{type(model).__name__} is not causal: its logits move by {float(moved):.1g} of the "
            "largest when only later tokens change; use a decoder-only language model (BERT and "
            "its kind need is_decoder in their config, and training as such)."
        )
