"""A slice with its predictions as plain values: what a study stores and every page draws.

Texts are summed up by group; a group's rise at a grid point is the mean over its counted tokens of
the loss there minus the loss of the unedited model, paired text by text, value ± half the width of
its 95 % interval. Recall is kept as a count. Numbers have four significant digits; a number that is
not finite is null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn
from transformers import PreTrainedModel

from core.basis import Basis
from core.curvature.exact import ggn_along, measurable
from core.curvature.examples import readable_examples
from core.direction import Direction, orthogonalised
from core.landscape.directions import Ray
from core.landscape.result import Slice
from core.landscape.slices import Line, cut
from core.landscape.spec import RaySpec
from core.landscape.texts import Texts
from core.projection import Projection, find_projections, named
from core.replay import Step
from core.samples import lengths

Progress = Callable[[int, int], None]
DIGITS = 4


def summarise(
    model: PreTrainedModel,
    lines: Sequence[Line],
    wanted: Sequence[RaySpec | None],
    texts: Texts,
    bases: Mapping[str, Basis],
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Cut the slice (`core.landscape.slices.cut`) and put it in plain values.

    ``wanted`` says how each direction is made again (None: it cannot be). One direction also gets
    each group's exact curvature κ (GGN) along it, two get none, nor does a model below float32.
    K-FAC's curvature and the share of the mass need a basis of every touched projection; without,
    both are null.
    """
    touched = _touched(model, [line.ray for line in lines])
    known = bases if all(projection.name in bases for projection in touched) else None
    kept = cut(model, lines, texts, bases=known, progress=progress)
    norm = sum(float(p.weight(model).detach().double().square().sum()) for p in touched) ** 0.5
    kappa = None
    if len(lines) == 1 and measurable(model):
        along = lines[0].ray.direction
        kappa = ggn_along(model, touched, texts.examples, [along])[0]
    return {
        "axes": [
            {
                "wanted": None if one is None else one.plain(),
                "origin": dict(axis.origin),
                "digest": axis.digest,
                "values": [round(float(value), 10) for value in axis.values],
                "unit": float(axis.unit),
                "unit_of": axis.unit_of,
            }
            for axis, one in zip(kept.axes, wanted, strict=True)
        ],
        "projections": [projection.name for projection in touched],
        "norm": norm,
        "mass_share": kept.mass_share,
        "kfac": None if kept.kfac is None else kept.kfac.tolist(),
        "texts_digest": kept.texts_digest,
        "weights": dict(kept.weights),
        "groups": {name: _group(kept, name, kappa) for name in dict.fromkeys(kept.groups)},
    }


def step_at(rays: Sequence[Ray], told: Mapping[str, Any], cell: Sequence[int]) -> Step:
    """The step W + Σ α D of one grid point of a told slice, from its directions made again."""
    units: list[Direction] = [rays[0].direction.unit()]
    units += [orthogonalised(units[0], ray.direction) for ray in rays[1:]]
    sizes = [
        axis["values"][number] * axis["unit"]
        for axis, number in zip(told["axes"], cell, strict=True)
    ]
    return [(unit, size) for unit, size in zip(units, sizes, strict=True) if size]


def operations(
    model: PreTrainedModel, touched: Sequence[Projection], texts: Texts, points: int
) -> int:
    """Multiplications and additions of a slice: what lies above the lowest touched projection.

    2 · parameters of these blocks · tokens, and the output head at the counted tokens, for each of
    `points` grid points and once more for slopes and curvature. Attention's own products are small.
    """
    lowest = min(projection.layer for projection in touched)
    blocks = {p.block for p in find_projections(model) if p.layer >= lowest}
    weights = sum(
        parameter.numel() for name in blocks for parameter in model.get_submodule(name).parameters()
    )
    head = model.get_output_embeddings()  # a classifier's own, of a few classes, costs nothing
    columns = head.weight.numel() if isinstance(head, nn.Linear) else 0
    tokens = sum(lengths(readable_examples(model, texts.examples)))
    counted = int(texts.tokens.sum())
    return 2 * (weights * tokens + columns * counted) * (points + 6)


def _touched(model: PreTrainedModel, rays: Sequence[Ray]) -> tuple[Projection, ...]:
    names = {name for ray in rays for name in ray.direction.parts}
    return named(model, names)


def _group(kept: Slice, name: str, kappa: NDArray[np.float64] | None) -> dict[str, Any]:
    mine = np.array([group == name for group in kept.groups])
    tokens = kept.tokens[mine]
    weights = tokens / tokens.sum()
    base, rise = kept.mean_loss(name), kept.rise(name)
    found: dict[str, Any] = {
        "texts": int(mine.sum()),
        "tokens": int(tokens.sum()),
        "base": _short(base.value[kept.centre]),
        "base_half": _short(base.high[kept.centre] - base.value[kept.centre]),
        "rise": _short(rise.value),
        "half": _short(rise.high - rise.value),
        "right": kept.strict[..., mine].sum(-1).tolist(),
    }
    if kept.slopes is not None:
        found["slope"] = _short(kept.slopes[:, mine] @ weights)
    if kappa is not None:
        found["ggn"] = _short(float(kappa[mine] @ weights))
    return found


def _short(values: ArrayLike) -> Any:
    """Four significant digits, null where not finite, in lists as deep as the array."""
    array = np.asarray(values, dtype=np.float64)
    flat = [float(f"{x:.{DIGITS}g}") if np.isfinite(x) else None for x in array.ravel().tolist()]
    if not array.ndim:
        return flat[0]
    shaped = np.empty(array.shape, dtype=object)
    for place, value in zip(product(*map(range, array.shape)), flat, strict=True):
        shaped[place] = value
    return shaped.tolist()
