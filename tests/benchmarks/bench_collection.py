"""Collecting factors: Hillshade, three libraries and a plain loop, on one machine, in turn.

Each collects the same factors of the same model and texts in float32 (`workload`), in a process of
its own (`collecting`), turn after turn, so that a busy machine slows all. Ratios are medians of the
turns' ratios. Shares are of the speed of plain products of the same turn: by the least arithmetic
that the factors need, and by what the tool itself multiplies; what is missing to 1 in the latter is
memory traffic and all that is no product. Traces of all factors must agree.
"""

from __future__ import annotations

from statistics import median
from typing import Any

import numpy as np

from tests.benchmarks.apart import measured
from tests.benchmarks.collecting import TOOLS
from tests.benchmarks.workload import WORKLOADS

OURS = "hillshade"
LIBRARIES = ("curvlinops", "kronfluence", "bergson")
TURNS = 3
AGREE = 1e-3  # of the traces, relative: float32, summed in other orders


def run(size: str = "full", turns: int = TURNS) -> dict[str, float | int | str]:
    """Tokens a second, megabytes, ratios and shares."""
    workload = WORKLOADS[size]
    taken: list[dict[str, dict[str, Any]]] = []
    for turn in range(turns):
        taken.append({})
        for tool in ("products", OURS, "passes", *(t for t in TOOLS if t != OURS)):
            print(f"  turn {turn + 1} of {turns}: {tool}", flush=True)
            taken[-1][tool] = measured("tests.benchmarks.collecting", tool, size)
        require_agreement(taken[-1])

    def middle(tool: str, key: str) -> float:
        return median(turn[tool][key] for turn in taken)

    def slower(tool: str) -> float:
        return median(turn[tool]["seconds"] / turn[OURS]["seconds"] for turn in taken)

    results: dict[str, float | int | str] = {
        "model": f"{workload.layers} layers, {workload.hidden} x {workload.intermediate}",
        "weights": workload.layers * workload.block + 2 * workload.vocabulary * workload.hidden,
        "tokens": workload.tokens,
        "product_GFLOP_per_s": middle("products", "flops") / 1e9,
    }
    for tool in TOOLS:
        speeds = [workload.tokens / turn[tool]["seconds"] for turn in taken]
        peaks = [turn["products"]["flops"] for turn in taken]
        share = median(s / p for s, p in zip(speeds, peaks, strict=True))
        results[f"{tool}_tokens_per_s"] = median(speeds)
        results[f"{tool}_peak_MB"] = middle(tool, "peak_bytes") / 1e6
        results[f"{tool}_share_of_products"] = workload.least * share
        results[f"{tool}_own_share_of_products"] = workload.arithmetic(tool) * share
        if tool != OURS:
            results[f"ours_over_{tool}"] = slower(tool)
    results["ours_over_fastest_library"] = min(slower(tool) for tool in LIBRARIES)
    results["share_of_time_in_passes"] = median(
        turn["passes"]["seconds"] / turn[OURS]["seconds"] for turn in taken
    )
    return results


def require_agreement(turn: dict[str, dict[str, Any]]) -> None:
    """AssertionError unless all tools have the traces of ours."""
    for tool in TOOLS:
        if not np.allclose(turn[tool]["traces"], turn[OURS]["traces"], rtol=AGREE, atol=0.0):
            raise AssertionError(f"{tool} and {OURS} have collected different factors")
