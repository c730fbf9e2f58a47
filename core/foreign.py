"""Factors that other tools have collected, converted to the engine's own (`core.factors`).

    the paper's   FILE.pt: {"blk23.gate": {"A": (q, q), "G": (p, p), "n_tokens": T}, …}, means over
                  T positions (goodfire-ai/memorization_kfac)
    kronfluence   a folder: activation_covariance, gradient_covariance and their num_…_processed,
                  .safetensors, sums; where a map has a bias, a one is appended to its input
    bergson       a folder: activation_sharded and gradient_sharded, sums in shards of rows, and
                  total_processed.pt, the count

All become sums and one count. What no such file says is the loss whose gradients make G: a mean
over batches of T_b positions leaves an unknown factor near 1/T_b² in it. Unless the caller knows
that the loss was summed, the factors are marked ``scale="unknown"``: order and shares of curvature
mass, so every cut and every edit, are free of one factor on G; eigenvalues on an absolute axis and
products with losses mean nothing. Nor is the model named: shapes are checked, the rest is trust.

A .pt is opened weights-only in a process of its own (`core.unpickle`), never here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.causal import require_causal
from core.errors import HillshadeError
from core.factors import Factors, Scale
from core.labels import Labels
from core.projection import Projection, find_projections, matrix_digest, named

_ALIKE = 1e-3  # relative difference up to which two matrices are one: A of gate and up, A and Aᵀ
_PAPER = re.compile(r"blk(\d+)\.(gate|up|down)/A")
_KRONFLUENCE = ("activation_covariance", "gradient_covariance")
_BERGSON = ("activation_sharded", "gradient_sharded")


@dataclass(frozen=True)
class _Sums:
    """Σ a aᵀ and Σ g gᵀ of one matrix over `count` positions, as the file has them."""

    a: Tensor
    g: Tensor
    count: int


def read_factors(
    source: str | Path, model: nn.Module, labels: Labels, *, summed: bool = False
) -> Factors:
    """The factors in a file or folder of another tool, as those of `model`.

    labels  what the tool took for the gradients; it is in none of the files
    summed  whether its loss was the sum over tokens; else the scale counts as unknown
    Raises HillshadeError, with a sentence, for a file of another form, a pickle that holds more
    than tensors, names or shapes that the model does not have, a model that is not
    causal, and values that are not finite.
    """
    source = Path(source)
    read = _read(source, model)
    require_causal(model)
    found = {p: read[p] for p in named(model, {projection.name for projection in read})}
    counts = {sums.count for sums in found.values()}
    if len(counts) != 1 or min(counts) < 1:
        raise HillshadeError(
            f"The matrices in {source} were summed over {sorted(counts)} positions; give a file of "
            "one collection."
        )
    a_sums: dict[str, Tensor] = {}
    for projection, sums in found.items():
        a = _unbiased(sums.a, projection.in_features)
        a = _checked(a, projection.in_features, f"A of {projection.name}")
        known = a_sums.setdefault(projection.input_key, a)
        if (a - known).norm() > _ALIKE * known.norm():
            raise HillshadeError(
                f"{projection.name} reads what {projection.input_key} reads, and {source} has two "
                "different A for them; give a file of this model."
            )
    scale: Scale = "summed" if summed else "unknown"
    return Factors(
        projections=tuple(found),
        count=counts.pop(),
        labels=labels,
        seed=None,
        a_sums=a_sums,
        g_sums={p.name: _checked(s.g, p.out_features, f"G of {p.name}") for p, s in found.items()},
        digests={p.name: matrix_digest(p.weight(model)) for p in found},
        scale=scale,
    )


def _read(source: Path, model: nn.Module) -> dict[Projection, _Sums]:
    if source.is_file() and source.suffix == ".pt":
        return _paper(source, model)
    if all((source / f"{name}.safetensors").is_file() for name in _KRONFLUENCE):
        return _kronfluence(source, model)
    if all((source / name).is_dir() for name in _BERGSON):
        return _bergson(source, model)
    raise HillshadeError(
        f"{source} is no factors of another tool; give the paper's kfac_factors_….pt, or a folder "
        "of kronfluence (activation_covariance.safetensors, …) or bergson (activation_sharded, …)."
    )


def _paper(source: Path, model: nn.Module) -> dict[Projection, _Sums]:
    tensors = unpickled(source)
    there = {(p.layer, str(p.kind)): p for p in find_projections(model)}
    found: dict[Projection, _Sums] = {}
    for name in tensors:
        match = _PAPER.fullmatch(name)
        if match is None:
            continue
        key = name.removesuffix("/A")
        place = int(match[1]), match[2]
        if place not in there or not {f"{key}/G", f"{key}/n_tokens"} <= tensors.keys():
            raise HillshadeError(
                f"{source} holds {key}, which this model does not have or which lacks G or "
                "n_tokens; give the model that it was collected on."
            )
        count = int(tensors[f"{key}/n_tokens"])
        a, g = (_wide(tensors[f"{key}/{side}"]) * count for side in "AG")  # means there
        found[there[place]] = _Sums(a, g, count)
    return _some(found, source)


def _kronfluence(source: Path, model: nn.Module) -> dict[Projection, _Sums]:
    a, g = (_loaded(source / f"{name}.safetensors") for name in _KRONFLUENCE)
    counts = [_loaded(source / f"num_{name}_processed.safetensors") for name in _KRONFLUENCE]
    found: dict[Projection, _Sums] = {}
    for name, projection in _matched(a, model, source).items():
        numbers = {int(count[name]) for count in counts if name in count}
        if len(numbers) != 1 or name not in g:
            raise HillshadeError(
                f"{source} counts {name} in two ways ({sorted(numbers)}); give one collection."
            )
        found[projection] = _Sums(a[name], g[name], numbers.pop())
    return _some(found, source)


def _bergson(source: Path, model: nn.Module) -> dict[Projection, _Sums]:
    a, g = (_shards(source / name) for name in _BERGSON)
    places = [folder / "total_processed.pt" for folder in (source, source.parent)]
    counted = next((place for place in places if place.is_file()), None)
    if counted is None:
        raise HillshadeError(
            f"There is no total_processed.pt in or above {source}, which says how many positions "
            "were summed; copy it there from bergson's run."
        )
    count = int(unpickled(counted)["value"])
    names = _matched(a, model, source)
    return _some({p: _Sums(a[n], g[n], count) for n, p in names.items() if n in g}, source)


def unpickled(path: Path) -> dict[str, Tensor]:
    """Tensors and numbers of a pickled file by their paths in it, read in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "tensors.safetensors"
        done = subprocess.run(
            [sys.executable, "-I", "-m", "core.unpickle", str(path), str(target)],
            capture_output=True,
            text=True,
            check=False,
            env={  # nothing else of ours reaches the other process
                name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ
            },
        )
        if done.returncode != 0:
            why = (done.stderr.strip().splitlines() or ["it ended early"])[-1]
            raise HillshadeError(
                f"{path} is damaged or holds more than tensors ({why}) and was not opened; ask for "
                "the factors as plain tensors."
            )
        return load_file(target)


def _matched(sums: Mapping[str, Tensor], model: nn.Module, source: Path) -> dict[str, Projection]:
    """Names of the file -> projections; bergson leaves out the name of the base model."""
    prefix = getattr(model, "base_model_prefix", "")
    full = {
        name: name if not prefix or name.startswith(f"{prefix}.") else f"{prefix}.{name}"
        for name in sums
    }
    there = {p.name: p for p in named(model, full.values())}
    for name in sums:
        if full[name] not in there:
            raise HillshadeError(
                f"{source} holds {name}, which is no projection of this model; give the model that "
                "it was collected on."
            )
    return {name: there[full[name]] for name in sums}


def _some(found: dict[Projection, _Sums], source: Path) -> dict[Projection, _Sums]:
    if not found:
        raise HillshadeError(f"{source} holds no factors that could be read; check the file.")
    return found


def _shards(folder: Path) -> dict[str, Tensor]:
    """Rows of every matrix, put together in the order of the ranks that wrote them."""
    parts = [_loaded(folder / f"shard_{n}.safetensors") for n in range(len(list(folder.iterdir())))]
    names: Sequence[str] = list(parts[0]) if parts else []
    return {name: torch.cat([part[name] for part in parts if name in part]) for name in names}


def _loaded(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise HillshadeError(f"{path} is missing or damaged ({error}); copy it again.") from error


def _wide(total: Tensor) -> Tensor:
    return total.to(torch.promote_types(total.dtype, torch.float32))


def _unbiased(total: Tensor, size: int) -> Tensor:
    """A without the one that some tools append to every input, for the bias."""
    return total[:size, :size] if tuple(total.shape) == (size + 1, size + 1) else total


def _checked(total: Tensor, size: int, what: str) -> Tensor:
    """Exactly symmetric, of the right size, in float32 at least."""
    if tuple(total.shape) != (size, size):
        raise HillshadeError(
            f"{what} is {' × '.join(map(str, total.shape))} in the file and {size} × {size} in "
            "this model; give the model that it was collected on."
        )
    wide = _wide(total)
    if not bool(torch.isfinite(wide).all()):
        raise HillshadeError(f"{what} holds NaN or infinity; collect these factors again.")
    if (wide - wide.T).norm() > _ALIKE * wide.norm() or bool((wide.diagonal() < 0).any()):
        raise HillshadeError(
            f"{what} is no sum of squares: it is not symmetric, or negative on its diagonal; give "
            "the whole covariance."
        )
    return (wide + wide.T) / 2
