"""Training rolling downhill: a dozen points of the run on a plane, with the loss around them.

The plane goes through the final weights and is spanned by the two leading principal directions of
the snapshots' displacements from them. Its share of the displacements' squared length is stored,
for a plane shows little of a space of a million dimensions.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import Olmo2ForCausalLM

from core.demo.train import Snapshot
from core.items import Item
from core.measures import read
from core.recall import evaluate

GRID = 17  # points of the loss grid on each side
MARGIN = 0.25  # how far the grid reaches beyond the run, in parts of its extent

Rows = Sequence[Sequence[int]]


def training_picture(
    model: Olmo2ForCausalLM,
    snapshots: Sequence[Snapshot],
    items: Sequence[Item],
    rows: Rows,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The content of ``training.json``: points, plane and grid.

    Coordinates are in units of ‖W_final‖ over all weights; losses are means per token, in nats,
    over ``rows``. Recall is strict and by repeat class, accuracy by ability, on all of ``items``.
    """
    names = list(snapshots[-1].weights)
    final = _flat(snapshots[-1], names)
    unit = final.norm()
    moves = torch.stack([_flat(s, names) - final for s in snapshots]) / unit
    _, sizes, directions = torch.linalg.svd(moves, full_matrices=False)
    plane = directions[:2]
    held = float(sizes[:2].square().sum() / sizes.square().sum())
    places = (moves @ plane.T).numpy()
    walker = copy.deepcopy(model)  # its own weights: nothing shared is written to
    total = len(snapshots) + GRID * GRID
    points = []
    for done, (snapshot, (x, y)) in enumerate(zip(snapshots, places, strict=True), start=1):
        _put(walker, names, _flat(snapshot, names))
        points.append(
            {"step": snapshot.step, "x": float(x), "y": float(y), "loss": _loss(walker, rows)}
            | _abilities(walker, items)
        )
        if progress:
            progress(done, total)
    axes = [_axis(places[:, 0]), _axis(places[:, 1])]
    loss = np.empty((GRID, GRID))
    for i, y in enumerate(axes[1]):
        for j, x in enumerate(axes[0]):
            _put(walker, names, final + unit * (x * plane[0] + y * plane[1]))
            loss[i, j] = _loss(walker, rows)
            if progress:
                progress(len(snapshots) + i * GRID + j + 1, total)
    return {
        "points": points,
        "plane": {"held": held, "unit": "norm of all final weights"},
        "grid": {"x": axes[0].tolist(), "y": axes[1].tolist(), "loss": loss.tolist()},
        "tokens": sum(len(row) - 1 for row in rows),
    }


def _abilities(model: Olmo2ForCausalLM, items: Sequence[Item]) -> dict[str, Any]:
    right = evaluate(model, items).strict
    recall: dict[str, list[bool]] = {}
    probes: dict[str, list[bool]] = {}
    for item, strict in zip(items, right, strict=True):
        if item.group == "passage":
            recall.setdefault(str(item.repeats), []).append(bool(strict))
        elif item.kind == "probe":
            probes.setdefault(item.group, []).append(bool(strict))
    return {
        "recall": {key: float(np.mean(value)) for key, value in recall.items()},
        "probes": {key: float(np.mean(value)) for key, value in probes.items()},
    }


def _axis(places: np.ndarray) -> np.ndarray:
    """Grid values that cover the run with a margin and hold 0, the final weights."""
    extent = max(float(np.ptp(places)), 1e-6)
    low, high = places.min() - MARGIN * extent, places.max() + MARGIN * extent
    axis = np.linspace(low, high, GRID)
    return axis - axis[np.abs(axis).argmin()]


def _flat(snapshot: Snapshot, names: Sequence[str]) -> torch.Tensor:
    return torch.cat([snapshot.weights[name].flatten() for name in names])


def _put(model: Olmo2ForCausalLM, names: Sequence[str], flat: torch.Tensor) -> None:
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        at = 0
        for name in names:
            size = parameters[name].numel()
            parameters[name].copy_(flat[at : at + size].view_as(parameters[name]))
            at += size


def _loss(model: Olmo2ForCausalLM, rows: Rows) -> float:
    reading = read(model, rows)
    return float(reading.loss.sum() / reading.tokens.sum())
