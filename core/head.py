"""The loss of a language model chunk by chunk, so that its logits never stand there all at once.

The logits of n positions over V classes are the largest tensor of many models, and the loss needs
several of their size. The head z = H h is taken out of the forward pass, and for a few thousand
rows at a time logits, labels and ∂(summed loss)/∂h are formed and the logits dropped:

    memory    n·d for the gradient to h, a few float32 copies of `CHUNK` logits; not n·V
    price     none: every product is made once, as otherwise

Where a model changes its logits behind the head (a soft cap, a scale), or its head is one part of
a sharded model, the logits come whole from the forward pass and only the loss is chunked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from core.errors import HillshadeError
from core.structure import matrix_shape
from core.twin import is_sharded

CHUNK = 1 << 24  # logits at a time: 64 MiB in float32

LabelsOf = Callable[[Tensor, slice], Sequence[Tensor]]


class Head:
    """The head of `model`, to be taken out of its forward passes."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._module = getattr(model, "get_output_embeddings", lambda: None)()
        if matrix_shape(self._module) is None or is_sharded(model) or not self._comes_last():
            self._module = None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Within, the model returns what its head would read in place of logits."""
        if self._module is None:
            yield
            return
        self._module.forward = _same
        try:
            yield
        finally:
            del self._module.forward

    def gradients(self, hidden_nd: Tensor, labels_of: LabelsOf) -> list[Tensor]:
        """∂(Σ token losses)/∂h for rows of what the model returned `aside`, one per set of labels.

        ``labels_of(logits, part)`` gives the sets of labels of the rows `part`, int64, −100 where
        there is no loss. Raises HillshadeError where a loss is not finite.
        """
        hidden_nd = hidden_nd.detach()
        shape = matrix_shape(self._module)
        rows = max(1, CHUNK // (hidden_nd.shape[1] if shape is None else shape[0]))
        found: list[Tensor] = []
        for start in range(0, len(hidden_nd), rows):
            part = slice(start, start + rows)
            leaf = hidden_nd[part].requires_grad_(True)
            # As a view: what counts operations by module refuses a leaf in autograd.grad.
            logits = leaf if self._module is None else self._module(leaf.view_as(leaf))
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            targets = labels_of(logits, part)
            found = found or [torch.empty_like(hidden_nd) for _ in targets]
            for number, target in enumerate(targets, start=1):
                loss = cross_entropy(logits, target.to(logits.device), reduction="sum")
                if not torch.isfinite(loss):
                    raise HillshadeError(
                        "The model's loss is not finite (NaN or infinite weights or "
                        "activations); check the weights before collecting."
                    )
                (gradient,) = torch.autograd.grad(loss, leaf, retain_graph=number < len(targets))
                found[number - 1][part] = gradient
        return found

    def _comes_last(self) -> bool:
        """Whether nothing happens to the logits behind the head, tried on two tokens.

        The head's part is played by drawn numbers: what a model makes of a token may be zero, which
        a cap or a scale leaves as it is.
        """
        given: list[Tensor] = []

        def drawn(hidden: Tensor) -> Tensor:
            numbers = torch.Generator().manual_seed(0)
            given.append(8 * torch.randn(hidden.shape, generator=numbers).to(hidden))
            return given[-1]

        module: Any = self._module
        module.forward = drawn
        try:
            with torch.no_grad():
                ids = torch.zeros(1, 2, dtype=torch.long, device=module.weight.device)
                logits = self._model(input_ids=ids, use_cache=False).logits
        finally:
            del module.forward
        return len(given) == 1 and torch.equal(logits.to(given[0].dtype), given[0])


def _same(hidden: Tensor) -> Tensor:
    return hidden
