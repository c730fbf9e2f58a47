"""The editable weight matrices of a model, found by structure.

A *projection* is one weight matrix W of shape p x q (out x in) with y = W a, whatever the module
that stores it: ``nn.Linear`` keeps W, GPT-2's ``Conv1D`` keeps its transpose. This is the only file
that knows how models are built. It reads a stack of blocks and, in each block, the one module that
holds the MLP: one or two maps hidden -> inner and one map inner -> hidden. No table of model names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from core.errors import HillshadeError, UnsupportedModelError

Kind = Literal["gate", "up", "down"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Projection:
    """One editable weight W (p x q) and where it lives.

    ``name`` is the module path, ``block`` the path of the block around it, ``layer`` that block's
    number. Projections with the same ``input_key`` read the same tensor (gate and up), so one
    input covariance serves them all. ``transposed`` says that the module stores W transposed.
    """

    name: str
    layer: int
    kind: Kind
    out_features: int
    in_features: int
    input_key: str
    transposed: bool
    block: str

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (p, q), out × in."""
        return self.out_features, self.in_features

    def weight(self, model: nn.Module) -> Tensor:
        """W as a p x q view of the model's own tensor, no copy: writing to it edits the model.

        Raises UnsupportedModelError if `model` has no such module, or one of another shape.
        """
        parameter = self.parameter(model)
        return parameter.T if self.transposed else parameter

    def parameter(self, model: nn.Module) -> nn.Parameter:
        """The stored parameter: W itself, or its transpose where ``transposed``."""
        try:
            module = model.get_submodule(self.name)
        except AttributeError:
            module = None
        if _shape(module) != self.shape or isinstance(module, Conv1D) != self.transposed:
            raise UnsupportedModelError(
                f"The model has no {self.out_features}x{self.in_features} projection at "
                f"{self.name}; list its own with find_projections(model)."
            )
        assert module is not None
        weight = module.weight
        assert isinstance(weight, nn.Parameter)
        return weight


def find_projections(model: nn.Module) -> tuple[Projection, ...]:
    """Every MLP projection of `model`, by layer, in the order gate, up, down.

    Raises UnsupportedModelError, naming the module, for anything that cannot be read with
    certainty: several stacks of blocks, mixtures of experts, fused gate and up, shared weights.
    """
    stack_path, blocks = _stack(model)
    hidden = _hidden_size(model)
    found: list[Projection] = []
    for number, block in blocks.named_children():
        found += _block_projections(f"{stack_path}.{number}", int(number), block, hidden)
    _refuse_shared(model, found)
    return tuple(found)


def select(
    projections: Sequence[Projection],
    layers: Sequence[int] | None = None,
    kinds: Sequence[str] | None = None,
) -> tuple[Projection, ...]:
    """The projections of these layers and kinds; None means all of them.

    Raises HillshadeError for a layer or kind that is not there, or when nothing is left.
    """
    there = {projection.layer for projection in projections}
    for layer in layers or ():
        if layer not in there:
            raise HillshadeError(
                f"There is no layer {layer}; choose among layers {min(there, default=0)} to "
                f"{max(there, default=0)}."
            )
    for kind in kinds or ():
        if kind not in {projection.kind for projection in projections}:
            raise HillshadeError(
                f"This model has no projection of kind {kind!r}; choose among "
                f"{', '.join(sorted({projection.kind for projection in projections}))}."
            )
    chosen = tuple(
        projection
        for projection in projections
        if (layers is None or projection.layer in layers)
        and (kinds is None or projection.kind in kinds)
    )
    if not chosen:
        raise HillshadeError("No projection is selected; choose at least one layer and one kind.")
    return chosen


def weight_digest(model: nn.Module) -> str:
    """The model's identity: sha256 over names, dtypes, shapes and bytes of all parameters."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}\n".encode())
        digest.update(tensor_bytes(parameter))
    return digest.hexdigest()


def matrix_digest(weight: Tensor) -> str:
    """One projection's identity: sha256 over shape and float32 values of W (p x q, row-major).

    Values, not storage: the same bfloat16 weights loaded as float32 keep their digest.
    """
    digest = hashlib.sha256(f"{tuple(weight.shape)}\n".encode())
    digest.update(tensor_bytes(weight.detach().to(torch.float32)))
    return digest.hexdigest()


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The tensor's bytes, row-major, for hashing; no copy where it lies so on the CPU."""
    flat = tensor.detach().to("cpu").contiguous().flatten()
    return flat.view(torch.uint8).numpy().data


def _shape(module: nn.Module | None) -> tuple[int, int] | None:
    """(p, q) of a module that is a plain matrix, else None (quantized weights included)."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, nn.Parameter) or weight.dim() != 2 or not weight.is_floating_point():
        return None
    if isinstance(module, nn.Linear):
        return weight.shape[0], weight.shape[1]
    if isinstance(module, Conv1D):
        return weight.shape[1], weight.shape[0]
    return None


def _hidden_size(model: nn.Module) -> int:
    size = getattr(getattr(model, "config", None), "hidden_size", None)
    if not isinstance(size, int):
        raise UnsupportedModelError(
            f"{type(model).__name__} states no hidden_size in its config; "
            "load it as a transformers language model."
        )
    return size


def _stack(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The one outermost ModuleList of blocks (lists inside blocks, such as experts, are theirs)."""
    stacks: list[tuple[str, nn.ModuleList]] = []
    for path, module in model.named_modules():
        inside = any(path.startswith(outer + ".") for outer, _ in stacks)
        if isinstance(module, nn.ModuleList) and len(module) and not inside:
            stacks.append((path, module))
    if len(stacks) != 1:
        names = ", ".join(path for path, _ in stacks) or "none"
        raise UnsupportedModelError(
            f"{type(model).__name__} must have exactly one stack of blocks, found: {names}; "
            "use a decoder-only language model."
        )
    return stacks[0]


def _matrices_by_parent(block: nn.Module) -> Iterator[tuple[str, dict[str, nn.Module]]]:
    for path, parent in block.named_modules():
        matrices = {name: child for name, child in parent.named_children() if _shape(child)}
        if matrices:
            yield path, matrices


def _block_projections(path: str, layer: int, block: nn.Module, hidden: int) -> list[Projection]:
    """The projections of one block, from the only child that looks like an MLP."""
    mlps: list[tuple[str, dict[Kind, str], dict[str, nn.Module]]] = []
    fused: list[str] = []
    for parent, matrices in _matrices_by_parent(block):
        full = ".".join(part for part in (path, parent) if part)
        shapes = {name: _shape(child) or (0, 0) for name, child in matrices.items()}
        downs = [name for name, (p, q) in shapes.items() if p == hidden and q != hidden]
        if len(downs) != 1:
            continue
        inner = shapes[downs[0]][1]
        ups = [name for name, shape in shapes.items() if shape == (inner, hidden)]
        if len(ups) in (1, 2) and len(shapes) == len(ups) + 1:
            mlps.append((full, _roles(full, ups, downs[0]), matrices))
        elif len(shapes) == 2 and (2 * inner, hidden) in shapes.values():
            fused.append(full)
    if len(mlps) != 1:
        why = "holds several MLPs (experts?)" if mlps else "has no MLP that can be read"
        if fused and not mlps:
            why = f"keeps gate and up fused in one matrix ({fused[-1]})"
        raise UnsupportedModelError(
            f"{path} {why}, which is not supported yet; "
            "use a model whose MLP is built of separate linear maps."
        )
    parent, roles, matrices = mlps[0]
    return [
        Projection(
            name=f"{parent}.{name}",
            layer=layer,
            kind=kind,
            out_features=(_shape(matrices[name]) or (0, 0))[0],
            in_features=(_shape(matrices[name]) or (0, 0))[1],
            input_key=f"{parent}.{name}" if kind == "down" else f"{parent}.{roles['up']}",
            transposed=isinstance(matrices[name], Conv1D),
            block=path,
        )
        for kind, name in roles.items()
    ]


def _roles(parent: str, ups: list[str], down: str) -> dict[Kind, str]:
    """Which map is the gate: the same shape as up, so only the name tells."""
    if len(ups) == 1:
        return {"up": ups[0], "down": down}
    gates = [name for name in ups if "gate" in name]
    if len(gates) != 1:
        raise UnsupportedModelError(
            f"{parent} has two maps of the same shape, {ups[0]} and {ups[1]}, and neither or both "
            "are called a gate; use a model that names its gate."
        )
    up = next(name for name in ups if name != gates[0])
    return {"gate": gates[0], "up": up, "down": down}


def _refuse_shared(model: nn.Module, found: Sequence[Projection]) -> None:
    """A weight that serves two places has no single input covariance, and editing it edits both."""
    places: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        places.setdefault(id(parameter), []).append(name)
    for projection in found:
        names = places[id(projection.parameter(model))]
        if len(names) > 1:
            raise UnsupportedModelError(
                f"{projection.name} shares its weight with another place "
                f"({' and '.join(names)}); a shared weight cannot be edited."
            )
