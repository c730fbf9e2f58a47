"""The rows behind every curvature: a_t and g_t at each counted position, from one pass per batch.

For a projection y = W a and a counted position t, a_t (length q) is the input and g_t (length p)
the gradient of the **summed** losses with respect to y_t: one loss a token, or one an image. One
forward and one backward pass serve all projections. The only hooks of the engine live here, on a
twin of the model, so the model itself is never touched; sums and maps are made elsewhere, from the
rows. Which positions count is said by `core.samples`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils.hooks import RemovableHandle

from core.errors import HillshadeError, UnsupportedModelError
from core.head import Head
from core.labels import Labels, draw_labels, keyed_uniforms
from core.projection import Projection
from core.samples import Batch, Sample, as_sequences, batches, placed, readable
from core.twin import is_sharded, twin

__all__ = ["Batch", "RowSink", "Tap", "as_sequences", "batches", "readable"]

RowSink = Callable[[str, Tensor], None]


class Tap:
    """Reads the rows of chosen projections from a twin of `model`.

    The twin is in eval mode with every parameter frozen; the graph starts at the input of the first
    wanted block, so nothing below it is differentiated and no weight gradient is ever formed. A
    sharded model has no twin: it is read itself, with hooks on it while a pass runs, by all its
    processes at once.
    """

    def __init__(self, model: nn.Module, projections: Sequence[Projection]) -> None:
        if not projections:
            raise HillshadeError("No projection is selected; choose at least one.")
        for projection in projections:
            projection.weight(model)  # refuses a projection of another model
        self._device = next(model.parameters()).device
        if is_sharded(model) and model.training:
            raise HillshadeError("The sharded model is in training mode; call model.eval() first.")
        self._model = model if is_sharded(model) else twin(model).eval().requires_grad_(False)
        self._head = Head(self._model)
        self._projections = tuple(projections)
        self._first_layer = min(projection.layer for projection in projections)
        self._names = {projection.name for projection in projections}
        self._pass: _Pass | None = None

    def run(
        self,
        batch: Batch,
        sample: Sample,
        on_input: RowSink,
        on_gradient: RowSink,
        *,
        labels: Labels = "sampled",
        seed: int = 0,
        draw: int = 0,
        golds: Sequence[Tensor] = (),
    ) -> None:
        """One forward and one backward pass over `batch` of `sample`.

        With `golds`, the labels are these, one int64[m] (−100: no loss) for each of as many
        backward passes, and the one forward pass serves them all.
        Calls ``on_input(input_key, a_nq)`` once per input tensor during the forward pass and
        ``on_gradient(name, g_np)`` once per projection during each backward pass; n runs over
        ``batch.rows`` in order. Rows come in the model's own dtype.
        Raises HillshadeError when the loss is not finite, UnsupportedModelError when a wanted
        projection is not called exactly once.
        """
        now = _Pass(batch, batch.rows.to(self._device), on_input, on_gradient, {}, {}, set())
        self._pass = now
        hooks = self._hooks()
        try:
            with torch.inference_mode(False), torch.enable_grad():
                with self._head.aside():
                    out = self._model(**placed(batch.inputs, self._model))
                self._require(now.outputs.keys())
                labelled = batch.labelled.to(self._device)
                hidden = out.logits.flatten(0, -2).index_select(0, labelled)
                if not golds and labels == "sampled":
                    uniforms = [keyed_uniforms(seed, sample[n], draw) for n in batch.sequences]
                    u = torch.from_numpy(np.concatenate(uniforms)).to(self._device)

                def labels_of(logits: Tensor, part: slice) -> list[Tensor]:
                    if golds or labels == "gold":
                        return [target[part] for target in golds or [batch.gold]]
                    return [draw_labels(logits, u[part])]

                gradients = self._head.gradients(hidden, labels_of)
                lowest = [e for p, e in now.outputs.items() if p.layer == self._first_layer]
                for number, gradient in enumerate(gradients, start=1):
                    more = number < len(gradients)
                    torch.autograd.grad(hidden, lowest, gradient, retain_graph=more)
            self._require(now.arrived)
        finally:
            for hook in hooks:
                hook.remove()
            # Each output's hook holds this pass, which holds the outputs' nodes: a circle through
            # the autograd graph that no garbage collector sees. Left closed, it stays.
            now.outputs.clear()
            self._pass = None

    def _hooks(self) -> list[RemovableHandle]:
        first = next(p for p in self._projections if p.layer == self._first_layer)
        block = self._model.get_submodule(first.block)
        hooks = [block.register_forward_pre_hook(_start_graph, with_kwargs=True)]
        for projection in self._projections:
            module = self._model.get_submodule(projection.name)
            hooks.append(module.register_forward_pre_hook(partial(self._on_input, projection)))
            hooks.append(module.register_forward_hook(partial(self._on_output, projection)))
        return hooks

    def _on_input(self, projection: Projection, module: nn.Module, args: tuple[Tensor]) -> None:
        now = self._now()
        seen = now.inputs.get(projection.input_key)
        if seen is None:
            now.inputs[projection.input_key] = weakref.ref(args[0])
            now.on_input(projection.input_key, now.counted(args[0].detach(), projection))
        elif seen() is not args[0]:
            raise UnsupportedModelError(
                f"{projection.name} does not read the tensor that {projection.input_key} reads, or "
                "is called twice in one pass; such a model is not supported."
            )

    def _on_output(
        self, projection: Projection, module: nn.Module, args: tuple[Tensor], output: Tensor
    ) -> None:
        now = self._now()
        if projection in now.outputs:
            raise UnsupportedModelError(
                f"{projection.name} is called twice in one pass; such a model is not supported."
            )
        now.outputs[projection] = get_gradient_edge(output)  # of y itself: y += x may follow

        def receive(gradient: Tensor) -> None:
            now.arrived.add(projection)
            now.on_gradient(projection.name, now.counted(gradient, projection))

        output.register_hook(receive)

    def _now(self) -> _Pass:
        assert self._pass is not None, "hooks only run inside Tap.run"
        return self._pass

    def _require(self, reached: Collection[Projection]) -> None:
        missing = sorted(self._names - {projection.name for projection in reached})
        if missing:
            raise UnsupportedModelError(
                f"{missing[0]} was not reached by the model's forward pass; leave it out."
            )


@dataclass
class _Pass:
    """What one forward and backward pass has met so far."""

    batch: Batch
    rows: Tensor
    on_input: RowSink
    on_gradient: RowSink
    inputs: dict[str, weakref.ref[Tensor]]
    outputs: dict[Projection, GradientEdge]
    arrived: set[Projection]

    def counted(self, tensor: Tensor, projection: Projection) -> Tensor:
        """The counted rows of a (B, T, ·) or (B·T, ·) tensor."""
        flat = tensor.reshape(-1, tensor.shape[-1])
        if flat.shape[0] != self.batch.positions:
            raise UnsupportedModelError(
                f"{projection.name} does not see one row per position "
                f"({tuple(tensor.shape)}); such a model is not supported."
            )
        return flat.index_select(0, self.rows)


def _start_graph(
    block: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Make the hidden states entering the block the leaf of the graph."""
    hidden = args[0] if args else kwargs.get("hidden_states")
    if not isinstance(hidden, Tensor):
        raise UnsupportedModelError(
            f"A block ({type(block).__name__}) does not take hidden states as its first argument; "
            "such a model is not supported."
        )
    leaf = hidden.detach().requires_grad_(True)
    if args:
        return (leaf, *args[1:]), kwargs
    return args, {**kwargs, "hidden_states": leaf}
