"""The package `loss-landscapes` on the plane of `bench_slices`, in a process of its own.

    python -m tests.benchmarks.landscapes POINTS

It walks `planar_interpolation` from the model towards two others, which differ from it along the
same directions; at every point it moves every weight of the model and asks for the loss of the
texts. Printed as one line of JSON: seconds a grid point.
"""

from __future__ import annotations

import copy
import json
import sys
import time

import loss_landscapes  # type: ignore[import-not-found]
from loss_landscapes.metrics.metric import Metric  # type: ignore[import-not-found]

from core.measures import read
from core.projection import find_projections
from tests.benchmarks.bench_slices import plane, subject


class _Loss(Metric):
    """The mean loss of the texts."""

    def __init__(self, rows: list[list[int]]) -> None:
        super().__init__()
        self._rows = rows

    def __call__(self, wrapper: loss_landscapes.ModelWrapper) -> float:
        return float(read(wrapper.get_modules()[0], self._rows).loss.mean())


def seconds_a_point(points: int) -> float:
    """Along the last projection; every other takes as long, because every weight is moved."""
    model, rows = subject()
    projection = find_projections(model)[-1]
    ends = []
    for ray in plane(model, projection):
        end = copy.deepcopy(model)
        projection.weight(end).add_(0.1 * ray.direction.dense(projection.name))
        ends.append(end)
    start = time.perf_counter()
    loss_landscapes.planar_interpolation(model, *ends, _Loss(rows), steps=points)
    return (time.perf_counter() - start) / points**2


if __name__ == "__main__":
    print(json.dumps({"seconds": seconds_a_point(int(sys.argv[1]))}))
