"""How models are built: a stack of blocks, and in each the matrices of its MLP and its attention.

Read by structure, without a table of model names: by shapes where these decide, by the names of
children only where two maps have the same shape (gate and up; query, key and value). Whatever
cannot be read with certainty is refused by a sentence that names the module.

    MLP         one or two maps hidden -> inner (gate, up), or one map hidden -> 2 · inner that is
                both (gate_up), and one map inner -> hidden (down)
    attention   maps hidden -> heads (q, k, v), or one that is all three (qkv), and one map
                heads -> hidden (o)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn
from torch.nn.modules.conv import _ConvNd

from core.errors import UnsupportedModelError

MlpKind = Literal["gate", "up", "gate_up", "down"]
AttentionKind = Literal["q", "k", "v", "qkv", "o"]
Kind = MlpKind | AttentionKind
ATTENTION_KINDS: tuple[AttentionKind, ...] = get_args(AttentionKind)


@dataclass(frozen=True)
class Matrix:
    """One matrix of a block: its module's path, its shape (p, q), out × in, and its part.

    ``reads`` is the path of the module whose input it shares: its own, or that of ``up`` or ``q``.
    """

    name: str
    kind: Kind
    shape: tuple[int, int]
    reads: str


def matrix_shape(module: nn.Module | None) -> tuple[int, int] | None:
    """(p, q) of a module that is a plain matrix, else None (quantized weights included)."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, nn.Parameter) or weight.dim() != 2 or not weight.is_floating_point():
        return None
    if isinstance(module, nn.Linear):
        return weight.shape[0], weight.shape[1]
    if transposes(module):
        return weight.shape[1], weight.shape[0]
    return None


def transposes(module: nn.Module | None) -> bool:
    """Whether the module stores Wᵀ, as GPT-2's Conv1D does.

    Told by its name: importing transformers takes a second, which the first page need not wait for.
    """
    kind = type(module)
    return kind.__name__ == "Conv1D" and kind.__module__ == "transformers.pytorch_utils"


def hidden_size(model: nn.Module) -> int:
    """Width of the hidden states, from the config."""
    size = getattr(getattr(model, "config", None), "hidden_size", None)
    if not isinstance(size, int):
        raise UnsupportedModelError(
            f"{type(model).__name__} states no hidden_size in its config; "
            "load it as a transformers language model or image classifier."
        )
    return size


def stack(model: nn.Module) -> tuple[str, nn.ModuleList]:
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
            "use a decoder-only language model, or an image classifier built like ViT."
        )
    return stacks[0]


def mlp(path: str, block: nn.Module, hidden: int) -> tuple[Matrix, ...]:
    """The MLP's matrices of the block at `path`: gate and up, up alone, or gate_up; then down."""
    _refuse_experts(path, block, hidden)
    plain: list[tuple[Matrix, ...]] = []
    fused: list[tuple[Matrix, ...]] = []
    for parent, shapes in _parents(path, block):
        downs = [name for name, (p, q) in shapes.items() if p == hidden and q != hidden]
        if len(downs) != 1:
            continue
        down, inner = downs[0], shapes[downs[0]][1]
        ups = [name for name, shape in shapes.items() if shape == (inner, hidden)]
        if len(ups) in (1, 2) and len(shapes) == len(ups) + 1:
            plain.append(_matrices(parent, shapes, _roles(parent, ups) | {"down": down}))
        elif len(shapes) == 2 and (2 * inner, hidden) in shapes.values():
            both = next(name for name in shapes if name != down)
            fused.append(_matrices(parent, shapes, {"gate_up": both, "down": down}))
    # One map for all of attention can have the shape of gate and up: then the name must tell.
    gated = fused if len(fused) == 1 else [m for m in fused if "gate" in m[0].name]
    found = plain or gated or _apart(path, block, hidden)
    if len(found) != 1:
        why = "holds several MLPs" if found else "has no MLP that can be read"
        raise UnsupportedModelError(
            f"{path} {why}; use a model whose blocks have one MLP each, built of linear maps."
        )
    return found[0]


def _apart(path: str, block: nn.Module, hidden: int) -> list[tuple[Matrix, ...]]:
    """Up and down in two modules, as in BERT and older ViT: the only widening map, and back."""
    maps = {f"{parent}.{name}": shape for parent, shapes in _parents(path, block)
            for name, shape in shapes.items()}  # fmt: skip
    ups = [name for name, (p, q) in maps.items() if q == hidden != p]
    downs = [name for name, (p, q) in maps.items() if p == hidden != q]
    if len(ups) != 1 or len(downs) != 1 or maps[ups[0]] != maps[downs[0]][::-1]:
        return []
    return [
        (
            Matrix(ups[0], "up", maps[ups[0]], ups[0]),
            Matrix(downs[0], "down", maps[downs[0]], downs[0]),
        )
    ]


def attention(path: str, block: nn.Module, hidden: int) -> tuple[Matrix, ...]:
    """The attention's matrices of the block at `path`: q, k, v or qkv; then o."""
    taken = {matrix.name for matrix in mlp(path, block, hidden)}
    found: list[tuple[Matrix, ...]] = []
    for parent, shapes in _parents(path, block):
        if any(f"{parent}.{name}" in taken for name in shapes):
            continue
        roles = _split(shapes, hidden) or _fused(shapes, hidden)
        if roles:
            found.append(_matrices(parent, shapes, roles))
    if len(found) != 1:
        why = "holds several attentions" if found else "has no attention that can be read"
        raise UnsupportedModelError(
            f"{path} {why} (maps called q, k, v, or one for all three, and one back); choose "
            "kinds of the MLP."
        )
    return found[0]


def _split(shapes: Mapping[str, tuple[int, int]], hidden: int) -> dict[Kind, str]:
    """Queries, keys and values by the first letter of their names, o is the rest; else empty."""
    letters: dict[Kind, str] = {}
    for kind in ("q", "k", "v"):
        named = [name for name in shapes if name.startswith(kind)]
        if len(named) != 1 or shapes[named[0]][1] != hidden:
            return {}
        letters[kind] = named[0]
    rest = [name for name in shapes if name not in letters.values()]
    heads = shapes[letters["q"]][0]
    return letters | {"o": rest[0]} if [shapes[n] for n in rest] == [(hidden, heads)] else {}


def _fused(shapes: Mapping[str, tuple[int, int]], hidden: int) -> dict[Kind, str]:
    """The map for all three has more rows than o has columns: keys and values come on top."""
    for qkv, (p, q) in shapes.items():
        for out, (rows, heads) in shapes.items():
            if len(shapes) == 2 and out != qkv and (q, rows) == (hidden, hidden) and p > heads:
                return {"qkv": qkv, "o": out}
    return {}


def _parents(path: str, block: nn.Module) -> Iterator[tuple[str, dict[str, tuple[int, int]]]]:
    """Every module of the block that holds matrices, by full path, with their shapes by name."""
    for inside, parent in block.named_modules():
        shapes = {name: matrix_shape(child) for name, child in parent.named_children()}
        known = {name: shape for name, shape in shapes.items() if shape is not None}
        if known:
            yield ".".join(part for part in (path, inside) if part), known


def _matrices(
    parent: str, shapes: Mapping[str, tuple[int, int]], roles: Mapping[Kind, str]
) -> tuple[Matrix, ...]:
    shared: dict[Kind, Kind] = {"gate": "up", "k": "q", "v": "q"}
    return tuple(
        Matrix(f"{parent}.{name}", kind, shapes[name], f"{parent}.{roles[shared.get(kind, kind)]}")
        for kind, name in roles.items()
    )


def _roles(parent: str, ups: Sequence[str]) -> dict[Kind, str]:
    """Which map is the gate: the same shape as up, so only the name tells."""
    if len(ups) == 1:
        return {"up": ups[0]}
    gates = [name for name in ups if "gate" in name]
    if len(gates) != 1:
        raise UnsupportedModelError(
            f"{parent} has two maps of the same shape, {ups[0]} and {ups[1]}, and neither or both "
            "are called a gate; use a model that names its gate."
        )
    return {"gate": gates[0], "up": next(name for name in ups if name != gates[0])}


def _refuse_experts(path: str, block: nn.Module, hidden: int) -> None:
    """A mixture of experts keeps their matrices in one stack of three dimensions.

    Each expert sees tokens of its own, so no one covariance serves them, and the one MLP that some
    of these models run beside them (a shared expert) is not what the block computes.
    """
    for name, parameter in block.named_parameters():
        owner = name.rpartition(".")[0]
        stacked = parameter.dim() == 3 and hidden in parameter.shape[1:]
        if stacked and not isinstance(block.get_submodule(owner), _ConvNd):
            raise UnsupportedModelError(
                f"{path}.{owner} is a mixture of experts, which is not supported: each expert "
                "reads tokens of its own; use a model with one MLP a block."
            )
