"""The part of a model that changes when some projections do, run for many steps at once.

One pass over each batch of texts records what cannot change: the hidden states entering the lowest
touched block, what that block computes before the first touched projection is called (its
attention), that projection's input and output, and every other map that reads the same input. From
then on the modules that made these tensors return them, for every step of the batch, and the blocks
below do nothing. A touched projection whose input is recorded takes the step W + Σ α D as

    W a_t + Σ α (D a_t),

where W a_t is recorded and D a_t serves all steps along D; no weight is copied.

No architecture is known here: modules of a twin (`core.twin`) are given another forward, and which
ones is read off the order of their calls and the identity of their inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from core.direction import Direction, LowRank, Part
from core.errors import UnsupportedModelError
from core.projection import Projection
from core.samples import Inputs, placed
from core.twin import twin

Step = Sequence[tuple[Direction, float]]


@dataclass
class _Calls:
    """The calls of one forward pass: what each module read, and what it returned."""

    order: list[str] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)


class Upper:
    """The upper part of a twin of `model`, with batches of what it reads (`core.samples.Inputs`).

    Raises UnsupportedModelError for a projection that is not called exactly once in a pass, and
    where the upper part alone does not give the logits of the whole model.
    """

    def __init__(
        self, model: nn.Module, projections: Sequence[Projection], batches: Sequence[Inputs]
    ) -> None:
        self._model = twin(model).eval().requires_grad_(False)
        self._touched = {projection.name for projection in projections}
        self._layer = min(projection.layer for projection in projections)
        self._block = next(p.block for p in projections if p.layer == self._layer)
        self._batches = [placed(inputs, model) for inputs in batches]
        self._number = 0
        self._steps: Sequence[Step] = ((),)
        self._recorded: list[dict[str, Any]] = []
        self._expanded: dict[str, Any] = {}  # of one batch and number of steps
        with torch.inference_mode():
            self._survey()
            for inputs in self._batches:
                self._recorded.append(self._record(inputs))
            expected = self._model(**_each_of(self._batches[0], _first)).logits.flatten(0, -2)
            self._replace()
            self._require_same(expected)
            self._detach_head()

    def states(self, number: int, steps: Sequence[Step]) -> Tensor:
        """What enters the output head for batch `number` at k steps, (k, B · T, ·) of texts.

        Where the head cannot be taken off (a model that caps or scales its logits), the logits; of
        images always, (k, B, classes).
        """
        if (number, len(steps)) != (self._number, len(self._steps)):
            self._expanded = {}
        self._number, self._steps = number, steps
        out = self._model(**_each_of(self._batches[number], self._repeated)).logits
        return out.reshape(len(steps), -1, out.shape[-1])

    def logits(self, states: Tensor) -> Tensor:
        """Logits (…, V) of states (…, ·), in float32 or wider."""
        if self._head is not None:
            states = linear(states, self._head.weight, self._head.bias)
        return states.to(torch.promote_types(states.dtype, torch.float32))

    # -- what lies below ---------------------------------------------------------------------------

    def _survey(self) -> None:
        """Find, on one example, which modules cannot change and which are the touched ones' own."""
        with self._watched(self._model.get_submodule(self._block)) as calls:
            self._model(**_each_of(self._batches[0], _first))
        inside = [name for name in calls.order if name in self._touched]
        if len(inside) != len(set(inside)) or not inside:
            name = inside[0] if inside else sorted(self._touched)[0]
            raise UnsupportedModelError(
                f"{name} is not called exactly once in a pass; such a model is not supported."
            )
        first = inside[0]
        read = calls.inputs[first]
        self._still = [name for name in inside if calls.inputs[name] is read]
        before = calls.order[: calls.order.index(first)]
        silent = [name for name in before if not first.startswith(f"{name}.")]
        silent += [
            name
            for name, tensor in calls.inputs.items()
            if tensor is read and name not in self._touched and self._is_leaf(name)
        ]
        made = {id(calls.outputs[name]) for name in silent}
        silent += [  # an activation behind a map that cannot change
            name
            for name, tensor in calls.inputs.items()
            if id(tensor) in made and name not in self._touched and self._is_leaf(name)
        ]
        once = [name for name in silent if calls.order.count(name) == 1]  # dropout may serve twice
        self._silent = [n for n in once if not any(n.startswith(f"{m}.") for m in once)]
        # A module that only hands on what its one touched projection returns is that projection.
        self._owner = {name: name for name in self._still}
        parent = first.rpartition(".")[0]
        alone = not any(n != first and n.startswith(f"{parent}.") for n in self._touched)
        if alone and parent != self._block and calls.outputs[parent] is calls.outputs[first]:
            self._owner[first] = parent

    def _is_leaf(self, name: str) -> bool:
        return next(self._model.get_submodule(name).children(), None) is None

    def _record(self, inputs: Inputs) -> dict[str, Any]:
        """The tensors that cannot change, of one batch."""
        kept = {*self._silent, *self._still}
        with self._watched(self._model.get_submodule(self._block), kept) as calls:
            self._model(**inputs)
        recorded = {name: calls.outputs[name] for name in kept}
        recorded["block"] = calls.inputs[self._block]
        recorded["input"] = calls.inputs[self._still[0]]
        return recorded

    @contextmanager
    def _watched(self, block: nn.Module, kept: Collection[str] = ()) -> Iterator[_Calls]:
        """Note the calls inside `block`; of the modules `kept`, copies of what they return.

        A block may add to a tensor in place after a module has returned it.
        """
        calls, handles = _Calls(), []

        def enter(name: str, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            calls.order.append(name)
            calls.inputs[name] = args[0] if args else kwargs.get("hidden_states")

        def leave(name: str, module: nn.Module, args: Any, output: Any) -> None:
            calls.outputs[name] = _each(output, torch.clone) if name in kept else output

        for path, module in block.named_modules():
            name = ".".join(part for part in (self._block, path) if part)
            handles.append(module.register_forward_pre_hook(partial(enter, name), with_kwargs=True))
            handles.append(module.register_forward_hook(partial(leave, name)))
        try:
            yield calls
        finally:
            for handle in handles:
                handle.remove()

    # -- other forwards ----------------------------------------------------------------------------

    def _replace(self) -> None:
        stack = self._model.get_submodule(self._block.rpartition(".")[0])
        for number, block in stack.named_children():
            if int(number) < self._layer:
                self._forward(block, _handed_on)
        block = self._model.get_submodule(self._block)
        block.register_forward_pre_hook(self._enter, with_kwargs=True)
        for name in self._silent:
            self._forward(self._model.get_submodule(name), partial(self._as_recorded, name))
        for name, owner in self._owner.items():
            self._forward(self._model.get_submodule(owner), partial(self._still_step, name))
        for name in self._touched - self._owner.keys():
            module = self._model.get_submodule(name)
            self._forward(module, partial(self._moving_step, name, module.forward))

    @staticmethod
    def _forward(module: nn.Module, forward: Callable[..., Any]) -> None:
        """Another forward for this one module object, which belongs to the twin alone."""
        object.__setattr__(module, "forward", forward)

    def _require_same(self, expected: Tensor) -> None:
        """Refuse a model whose blocks do more than what was recorded of them."""
        found = self.states(0, ((),))[0, : len(expected)]
        wide = torch.promote_types(expected.dtype, torch.float32)
        error = (found.to(wide) - expected.to(wide)).abs().amax()
        scale = expected.to(wide).abs().amax()
        eps = max(torch.finfo(dtype).eps for dtype in (expected.dtype, torch.float32))
        if error > eps**0.5 * scale:
            raise UnsupportedModelError(
                f"{self._block} cannot be run again from recorded tensors (its logits come out "
                "otherwise); slices of such a model are not supported."
            )

    def _detach_head(self) -> None:
        """Take the output head off, where the model's logits are the head's output and no more."""
        head = getattr(self._model, "get_output_embeddings", lambda: None)()
        self._head: nn.Linear | None = None
        if not isinstance(head, nn.Linear):
            return
        full = self.states(0, ((),))
        self._forward(head, lambda hidden: hidden)
        states = self.states(0, ((),))
        shaped = states.view(*self._batches[0]["input_ids"].shape, -1)
        # Bit for bit: a soft cap is nearly invisible where logits are small.
        if states.shape[-1] == head.in_features and torch.equal(
            linear(shaped, head.weight, head.bias).view_as(full), full
        ):
            self._head = head
            return
        object.__delattr__(head, "forward")

    def _enter(self, block: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        hidden = self._as_recorded("block")
        if args:
            return (hidden, *args[1:]), kwargs
        return args, kwargs | {"hidden_states": hidden}

    def _as_recorded(self, name: str, *_: Any, **__: Any) -> Any:
        """What a module returned, for every step; made once for as many steps as ride together."""
        if name not in self._expanded:
            recorded = self._recorded[self._number][name]
            self._expanded[name] = _each(recorded, self._for_all)
        return self._expanded[name]

    def _repeated(self, tensor: Tensor) -> Tensor:
        """(B, …) -> the same for each of k steps, copied, (k · B, …)."""
        return tensor.repeat(len(self._steps), *[1] * (tensor.dim() - 1))

    def _for_all(self, tensor: Tensor) -> Tensor:
        """(B, …) or (B · T, …) -> the same for each of k steps, (k · B, …)."""
        count = len(self._steps)
        return tensor.expand(count, *tensor.shape).reshape(count * len(tensor), *tensor.shape[1:])

    def _still_step(self, name: str, *_: Any, **__: Any) -> Tensor:
        recorded = self._recorded[self._number]
        output, read = recorded[name], recorded["input"]
        stepped = output.new_empty(len(self._steps), *output.shape)
        known: dict[int, Tensor] = {}
        for out, step in zip(stepped, self._steps, strict=True):
            out.copy_(output)
            for direction, size in step:
                if name in direction.parts:
                    if id(direction) not in known:
                        known[id(direction)] = _applied(direction.parts[name], read)
                    out.add_(known[id(direction)], alpha=size)
        return stepped.flatten(0, 1)

    def _moving_step(self, name: str, forward: Callable[[Tensor], Tensor], read: Tensor) -> Tensor:
        output = forward(read)
        reads, outs = (x.unflatten(0, (len(self._steps), -1)) for x in (read, output))
        for x, out, step in zip(reads, outs, self._steps, strict=True):
            for direction, size in step:
                if name in direction.parts:
                    out.add_(_applied(direction.parts[name], x), alpha=size)
        return output


def _each(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """What a module returned, with every tensor of it changed."""
    if isinstance(output, tuple):
        return tuple(_each(x, change) for x in output)
    return change(output) if isinstance(output, Tensor) else output


def _each_of(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """What a model reads, with every tensor of it changed."""
    return {name: _each(value, change) for name, value in inputs.items()}


def _first(tensor: Tensor) -> Tensor:
    return tensor[:1]


def _handed_on(hidden: Tensor | None = None, *_: Any, **kwargs: Any) -> Tensor:
    """A block below: nothing happens, what enters the lowest touched block is recorded."""
    return kwargs["hidden_states"] if hidden is None else hidden


def _applied(part: Part, inputs: Tensor) -> Tensor:
    """D a for every input a, (…, q) -> (…, p)."""
    if isinstance(part, LowRank):
        return inputs @ part.v_qr.to(inputs) @ part.u_pr.to(inputs).T
    return inputs @ part.to(inputs).T
