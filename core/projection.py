"""The editable weight matrices of a model.

A *projection* is one weight matrix W of shape p x q (out x in) with y = W a, whatever the module
that stores it: ``nn.Linear`` keeps W, GPT-2's ``Conv1D`` keeps its transpose. Where a model stores
several maps of one input as one matrix (gate and up of Phi-3, query, key and value of GPT-NeoX),
that matrix is one projection: its G then also knows how the gradients of its parts go together, and
nobody has to guess which rows are which part. How models are built is read in `core.structure`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core import structure
from core.errors import HillshadeError, UnsupportedModelError
from core.structure import ATTENTION_KINDS, Kind, Matrix, matrix_shape, transposes

__all__ = [
    "ATTENTION_KINDS",
    "Kind",
    "Projection",
    "find_projections",
    "matrix_digest",
    "named",
    "select",
    "tensor_bytes",
    "weight_digest",
]


@dataclass(frozen=True)
class Projection:
    """One editable weight W (p x q) and where it lives.

    ``name`` is the module path, ``block`` the path of the block around it, ``layer`` that block's
    number. Projections with the same ``input_key`` read the same tensor (gate and up; q, k and v),
    so one input covariance serves them all. ``transposed`` says that the module stores W
    transposed.
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
        if matrix_shape(module) != self.shape or transposes(module) != self.transposed:
            raise UnsupportedModelError(
                f"The model has no {self.out_features}x{self.in_features} projection at "
                f"{self.name}; list its own with find_projections(model)."
            )
        assert module is not None
        weight = module.weight
        assert isinstance(weight, nn.Parameter)
        return weight


def find_projections(model: nn.Module, *, attention: bool = False) -> tuple[Projection, ...]:
    """Every MLP projection of `model`, by layer, in the order gate, up (or gate_up), down.

    With `attention`, behind those of each layer also its q, k, v (or qkv) and o.
    Raises UnsupportedModelError, naming the module, for anything that cannot be read with
    certainty: several stacks of blocks, mixtures of experts, shared weights.
    """
    path, blocks = structure.stack(model)
    hidden = structure.hidden_size(model)
    found: list[Projection] = []
    for number, block in blocks.named_children():
        here = f"{path}.{number}"
        matrices = structure.mlp(here, block, hidden)
        if attention:
            matrices += structure.attention(here, block, hidden)
        found += [_projection(model, matrix, int(number), here) for matrix in matrices]
    _refuse_shared(model, found)
    return tuple(found)


def named(model: nn.Module, names: Collection[str]) -> tuple[Projection, ...]:
    """The projections of `model` that have these names, in its own order; others are left out.

    Attention is only looked at where a name is no MLP's, so that a model whose attention cannot be
    read keeps its MLPs. Raises UnsupportedModelError as `find_projections`.
    """
    found = find_projections(model)
    if not set(names) <= {projection.name for projection in found}:
        found = find_projections(model, attention=True)
    return tuple(projection for projection in found if projection.name in names)


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
    """One projection's identity: sha256 over shape and values of W (p x q, row-major).

    Values in float32, in float64 for a float64 weight, not storage: the same bfloat16 weights
    loaded as float32 keep their digest.
    """
    digest = hashlib.sha256(f"{tuple(weight.shape)}\n".encode())
    digest.update(
        tensor_bytes(weight.detach().to(torch.promote_types(weight.dtype, torch.float32)))
    )
    return digest.hexdigest()


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The tensor's bytes, row-major, for hashing; no copy where it lies so on the CPU.

    Of a sharded one all parts, which every process must ask for together.
    """
    whole = getattr(tensor, "full_tensor", lambda: tensor)()
    flat = whole.detach().to("cpu").contiguous().flatten()
    return flat.view(torch.uint8).numpy().data


def _projection(model: nn.Module, matrix: Matrix, layer: int, block: str) -> Projection:
    return Projection(
        name=matrix.name,
        layer=layer,
        kind=matrix.kind,
        out_features=matrix.shape[0],
        in_features=matrix.shape[1],
        input_key=matrix.reads,
        transposed=transposes(model.get_submodule(matrix.name)),
        block=block,
    )


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
