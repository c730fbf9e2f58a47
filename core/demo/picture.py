"""Training rolling downhill: a dozen points of the run on a plane, with the loss around them.

The plane is that of `core.landscape.path.training_path`. Beside it stands what the model of each
snapshot recites and answers.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from transformers import Olmo2ForCausalLM

from core.demo.train import Snapshot
from core.items import Item
from core.landscape.path import training_path
from core.landscape.texts import Texts
from core.recall import strict

GRID = 17  # points of the loss grid on each side

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
    over ``rows``; ``loss[y][x]``. Recall is strict and by repeat class, accuracy by ability, on all
    of ``items``.
    """
    texts = Texts.of_sequences(rows, "training text")
    path = training_path(
        model, [(s.step, s.weights) for s in snapshots], texts, points=GRID, progress=progress
    )
    weights = texts.tokens / texts.tokens.sum()
    walker = copy.deepcopy(model)  # its own weights: nothing shared is written to
    points = []
    for snapshot, (x, y), loss in zip(snapshots, path.places, path.loss @ weights, strict=True):
        walker.load_state_dict(dict(snapshot.weights))
        points.append(
            {"step": snapshot.step, "x": float(x), "y": float(y), "loss": float(loss)}
            | _abilities(walker, items)
        )
    across, up = (axis.values.tolist() for axis in path.plane.axes)
    grid = (path.plane.loss @ weights).T
    return {
        "points": points,
        "plane": {"held": path.held, "unit": "norm of all final weights"},
        "grid": {"x": across, "y": up, "loss": grid.tolist()},
        "tokens": int(texts.tokens.sum()),
    }


def _abilities(model: Olmo2ForCausalLM, items: Sequence[Item]) -> dict[str, Any]:
    recall: dict[str, list[bool]] = {}
    probes: dict[str, list[bool]] = {}
    for item, right in zip(items, strict(model, items), strict=True):
        if item.group == "passage":
            recall.setdefault(str(item.repeats), []).append(bool(right))
        elif item.kind == "probe":
            probes.setdefault(item.group, []).append(bool(right))
    return {
        "recall": {key: float(np.mean(value)) for key, value in recall.items()},
        "probes": {key: float(np.mean(value)) for key, value in probes.items()},
    }
