"""A second module tree over the same weights.

``twin(model)`` copies the modules and shares every tensor: hooks, train/eval mode, frozen flags
and replaced weights of the twin never show on the model. A model that several browser sessions
share can so be edited or observed by each of them, and undoing is dropping the twin.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from core.errors import UnsupportedModelError

Model = TypeVar("Model", bound=nn.Module)


def twin(model: Model, replaced: Mapping[nn.Parameter, Tensor] | None = None) -> Model:
    """A new model object that shares every parameter's storage and every buffer with `model`.

    `replaced` maps parameters of `model` to the tensors that the twin owns in their place (same
    shape and dtype). Parameters are new objects over the old storage, so that ``twin.to(...)`` or
    ``requires_grad_`` on the twin leave the model alone; only in-place writes to a weight are
    seen by both. Costs the copying of the module tree, no tensor is copied. Raises
    UnsupportedModelError for a sharded model, which cannot be copied.
    """
    if is_sharded(model):
        raise UnsupportedModelError(
            "A sharded model cannot be copied; load it whole, or before sharding it in the number "
            "format that is wanted."
        )
    replaced = replaced or {}
    memo: dict[int, object] = {id(buffer): buffer for buffer in model.buffers()}
    for parameter in model.parameters():
        tensor = replaced.get(parameter, parameter)
        memo[id(parameter)] = nn.Parameter(tensor.detach(), requires_grad=parameter.requires_grad)
    return copy.deepcopy(model, memo)


def rounded(model: Model, dtype: torch.dtype) -> Model:
    """A twin with weights of its own in `dtype`; buffers (rotary angles) stay as they are."""
    return twin(model, {p: p.detach().to(dtype) for p in model.parameters()})


@contextmanager
def seen_once(model: Model) -> Iterator[Model]:
    """What is run to see how the model behaves: a frozen twin, or a sharded model itself.

    A sharded model that was not run backwards keeps what lies outside of its blocks whole; that is
    parted again, or digests would be of the whole.
    """
    if not is_sharded(model):
        yield twin(model).eval().requires_grad_(False)
        return
    try:
        yield model
    finally:
        for module in model.modules():
            getattr(module, "reshard", lambda: None)()


def is_sharded(model: nn.Module) -> bool:
    """Whether weights lie in parts on several processes (fully_shard and others make DTensors)."""
    return any(hasattr(parameter, "full_tensor") for parameter in model.parameters())
