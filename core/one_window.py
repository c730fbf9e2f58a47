"""What one window or image costs, forward and backward, by one run of a model without weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from core.batches import reads_images
from core.projection import ATTENTION_KINDS, Projection
from core.structure import hidden_size

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def one_window(
    model: PreTrainedModel,
    projections: Sequence[Projection],
    context: int,
    image: tuple[int, ...] | None = None,
) -> tuple[int, int, int]:
    """Operations forward, forward and backward to the lowest chosen map, and bytes kept for it.

    Run over all layers from the embeddings up and divided evenly among them; the backward pass of
    the output head costs what its forward pass does. Attention is counted dense, as it is run; its
    probabilities, which no fused kernel keeps, are left out of the bytes.
    """
    inputs = _inputs(model, context, image)
    seen: dict[int, Tensor] = {}
    weights = {p.untyped_storage()._cdata for p in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        key = tensor.untyped_storage()._cdata
        if key not in weights and tuple(tensor.shape[-2:]) != (context, context):
            seen[key] = tensor
        return tensor

    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            logits = model(**inputs).logits
        forward = counter.get_total_flops()
        logits.sum().backward()
        both = counter.get_total_flops()
    layers = int(model.config.num_hidden_layers)
    lowest = min(p.layer for p in projections)
    head = 2 * logits.numel() * width_of(model)
    block = (both - forward - head) / layers
    # In the lowest block it ends at gate and up, above which only the map down lies; or runs
    # through nearly all of it, where attention is chosen.
    last = [p for p in projections if p.layer == lowest and p.kind != "down"]
    end = 2 * context * last[0].out_features * last[0].in_features if last else 0.0
    end = block if any(p.kind in ATTENTION_KINDS for p in last) else end
    through = round(forward + head + (layers - lowest - 1) * block + end)
    kept = sum(tensor.untyped_storage().nbytes() for tensor in seen.values())
    return forward, through, kept * (layers - lowest) // layers


def _inputs(model: PreTrainedModel, context: int, image: tuple[int, ...] | None) -> dict[str, Any]:
    """One window or image without data, from which the backward pass comes back."""
    if image is not None:
        return {"pixel_values": _blank(model, *image)}
    # A mask of four dimensions is taken as it is; any other is looked at, and here lies no data.
    mask = torch.ones(1, 1, context, context, dtype=torch.bool, device="meta")
    embedded = _blank(model, context, width_of(model))
    return {"inputs_embeds": embedded, "attention_mask": mask, "use_cache": False}


def _blank(model: PreTrainedModel, *shape: int) -> Tensor:
    return torch.zeros(1, *shape, dtype=model.dtype, device="meta", requires_grad=True)


def width_of(model: PreTrainedModel) -> int:
    """Of what the blocks read, and the head."""
    if reads_images(model):
        return hidden_size(model)
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    return weight.shape[1]
