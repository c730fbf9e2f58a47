"""A model in parts on all ranks, for one that no device holds whole: FSDP2, block by block.

Source: Zhao et al. 2023 (arXiv 2304.11277); `torch.distributed.fsdp.fully_shard`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.distributed.fsdp import fully_shard

from core.structure import stack
from core.twin import is_sharded, rounded

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor
    from transformers import PreTrainedModel


def sharded(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """A copy of `model` in `dtype`, of which each rank keeps 1/n of every weight.

    While it is read, each rank has one block whole, and fetches the next. `model` itself, which
    every rank has loaded, stays whole and as it is. All ranks call this together.
    """
    copied = rounded(model, dtype)
    for module in copied.modules():  # they move to the device, and must not take the model's along
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.clone())
    for block in stack(copied)[1]:
        fully_shard(block)
    fully_shard(copied)
    return copied.eval().requires_grad_(False)


def bytes_here(model: PreTrainedModel) -> int:
    """Bytes of weights on this rank at one time: all, or its parts and what it has whole meanwhile.

    Whole are what lies outside of the blocks, the block that is read, and the next one.
    """

    def size(tensors: Iterable[Tensor]) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    whole = size(model.parameters())
    if not is_sharded(model):
        return whole
    parts = size(
        parameter.to_local() for parameter in cast("Iterable[DTensor]", model.parameters())
    )
    blocks = [size(block.parameters()) for block in stack(model)[1]]
    return parts + whole - sum(blocks) + 2 * max(blocks)
