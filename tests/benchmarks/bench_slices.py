"""A 25 × 25 slice over 1,024 tokens: steps in the batch against one weight copy a grid point.

For up of every layer of the shipped model, and for all projections of the last, along the two
leading singular pairs of its weight (any two directions of rank one cost the same). Both ways give
losses and argmaxes of all tokens; the copied way writes W + s D₁ + t D₂ into a model of its own and
reads the texts with it, at a few grid points whose median stands for all. The two are timed in
turn, so that a busy machine slows both. Beside the last layer's the package `loss-landscapes` walks
the plane too (`landscapes`).
The FLOP ratio is that of the passes: a full forward pass ÷ what lies above the input of the edited
layer (its block, the later ones and the output head).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from core.direction import rank_one
from core.landscape.directions import Ray
from core.landscape.slices import Line, centred, cut
from core.landscape.texts import Texts
from core.measures import read
from core.model import load_model, source_of
from core.projection import Projection, find_projections
from core.study import Study
from tests.benchmarks.apart import measured

SHIPPED = Path(__file__).resolve().parents[2] / "assets" / "language" / "study"
POINTS, TOKENS, LENGTH = 25, 1024, 64
PACKAGE_POINTS = 5  # of its 5 x 5 grid
TURNS, COPIES = 3, 5  # timings of either way, and grid points copied in each turn


def run(points: int = POINTS, turns: int = TURNS) -> dict[str, float | int | str]:
    """Milliseconds a grid point, the ratio reached, and its share of the FLOP ratio."""
    model, rows = subject()
    results: dict[str, float | int | str] = {"grid": f"{points} x {points}", "tokens": TOKENS}
    shares: list[float] = []
    lasts: list[float] = []
    packaged: list[float] = []
    projections = find_projections(model)
    last = projections[-1].layer
    for projection in projections:
        if projection.layer < last and projection.kind != "up":
            continue
        print(f"  {projection.name}", flush=True)
        sliced, copied = _times(model, projection, rows, points, turns)
        ratio, flops = copied / sliced, _flop_ratio(model, projection, rows)
        key = f"layer_{projection.layer}_{projection.kind}"
        results[f"{key}_ms_a_point"] = 1e3 * sliced
        results[f"{key}_copied_ms_a_point"] = 1e3 * copied
        results[f"{key}_ratio"] = ratio
        results[f"{key}_flop_ratio"] = flops
        shares.append(ratio / flops)
        if projection.layer == last:
            lasts.append(ratio)
            walked = measured("tests.benchmarks.landscapes", str(PACKAGE_POINTS))["seconds"]
            packaged.append(walked / sliced)
            results[f"{key}_loss_landscapes_ms_a_point"] = 1e3 * walked
            results[f"{key}_loss_landscapes_ratio"] = packaged[-1]
    results["least_share_of_flop_ratio"] = min(shares)
    results["least_ratio_in_the_last_layer"] = min(lasts)
    results["least_loss_landscapes_ratio_in_the_last_layer"] = min(packaged)
    return results


def subject() -> tuple[PreTrainedModel, list[list[int]]]:
    """The shipped model and rows of the tokens that it is asked."""
    study = Study.open(SHIPPED)
    ids = [i for item in study.item_list() for i in item.prompt_ids + item.truth_ids]
    rows = [ids[start : start + LENGTH] for start in range(0, TOKENS, LENGTH)]
    return load_model(source_of(study)), rows


def plane(model: PreTrainedModel, projection: Projection) -> list[Ray]:
    """The two leading singular pairs of a weight."""
    u, _, vt = torch.linalg.svd(projection.weight(model), full_matrices=False)
    return [
        Ray(rank_one(projection.name, u[:, n], vt[n]), {"kind": "singular pair", "rank": n})
        for n in (0, 1)
    ]


def _times(
    model: PreTrainedModel,
    projection: Projection,
    rows: list[list[int]],
    points: int,
    turns: int,
) -> tuple[float, float]:
    """Median seconds a grid point, by the slice and by copies."""
    values = centred(-0.1, 0.1, points)
    rays = plane(model, projection)
    lines = [Line(ray, values) for ray in rays]
    texts = Texts.of_sequences(rows)
    walker = copy.deepcopy(model)
    weight = projection.weight(model)
    first, second = (ray.direction.dense(projection.name) for ray in rays)

    def copies() -> None:
        for step in range(COPIES):
            projection.weight(walker).copy_(weight + 0.1 * step * first - 0.2 * second)
            read(walker, rows)

    sliced: list[float] = []
    copied: list[float] = []
    for _ in range(turns):
        copied.append(_seconds(copies) / COPIES)
        sliced.append(_seconds(lambda: cut(model, lines, texts)) / points**2)
    return median(sliced), median(copied)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _flop_ratio(model: PreTrainedModel, projection: Projection, rows: list[list[int]]) -> float:
    """Multiplications of a full forward pass ÷ of those from the edited block's input upwards."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(torch.tensor(rows), use_cache=False)
    counts = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    stack = projection.block.rpartition(".")[0]
    below = sum(counts[f"{type(model).__name__}.{stack}.{n}"] for n in range(projection.layer))
    return counts["Global"] / (counts["Global"] - below)
