"""Factor collection the plain way of published code for this edit: correct, and nothing saved.

A mean loss; the weights of the target projections trainable, so that their gradients are formed and
thrown away; the graph from the embeddings up, whatever the layers; a few layers a pass; A of every
projection, also where several read one input; plain products of both triangles.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from core.projection import Projection

Sums = dict[str, tuple[Tensor, Tensor]]


def plain_sums(
    model: PreTrainedModel,
    batches: Sequence[Tensor],
    projections: Sequence[Projection],
    layers_a_pass: int,
) -> Sums:
    """(Σ a aᵀ, Σ g gᵀ) by projection in float32, gold labels, over batches int64 (B, T + 1).

    The last token of each row is only predicted. g is of the mean loss of a batch. Changes which
    weights of `model` are trainable.
    """
    sums: Sums = {}
    layers = sorted({p.layer for p in projections})
    for start in range(0, len(layers), layers_a_pass):
        together = layers[start : start + layers_a_pass]
        sums |= one_pass(model, batches, [p for p in projections if p.layer in together])
    return sums


def one_pass(
    model: PreTrainedModel, batches: Sequence[Tensor], projections: Sequence[Projection]
) -> Sums:
    """The same for projections that fit into one pass."""
    sums: Sums = {}
    model.eval().requires_grad_(False)
    handles = [model.get_input_embeddings().register_forward_hook(_start_graph)]
    for projection in projections:
        projection.parameter(model).requires_grad_(True)
        p, q = projection.shape
        both = torch.zeros(q, q, device=model.device), torch.zeros(p, p, device=model.device)
        sums[projection.name] = both
        module = model.get_submodule(projection.name)
        handles.append(module.register_forward_hook(partial(_observe, both)))
    try:
        for ids in batches:
            logits = model(input_ids=ids[:, :-1], use_cache=False).logits
            cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten()).backward()
            model.zero_grad()
    finally:
        for handle in handles:
            handle.remove()
    return sums


def _start_graph(embeddings: nn.Module, args: tuple[Tensor], hidden: Tensor) -> None:
    hidden.requires_grad_(True)


def _observe(
    both: tuple[Tensor, Tensor], module: nn.Module, args: tuple[Tensor], output: Tensor
) -> None:
    a, g = both
    _add(a, args[0].detach())
    output.register_hook(partial(_add, g))


def _add(total: Tensor, rows: Tensor) -> None:
    flat = rows.flatten(0, -2).float()
    total.addmm_(flat.T, flat)
