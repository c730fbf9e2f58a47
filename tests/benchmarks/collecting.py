"""One measurement of `bench_collection`, in a process of its own, printed as one line of JSON.

    python -m tests.benchmarks.collecting TOOL WORKLOAD

TOOL is hillshade, curvlinops, kronfluence, bergson or plain_loop: each collects the same factors of
the same model once, as its own examples do; `passes`, Hillshade's without the sums; or `products`,
the speed of plain products. Peak memory is that of the process when the tool has its sums. Traces
of A and G of every projection show afterwards that all have collected the same.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.factors import collect
from core.rows import Tap, batches
from tests.benchmarks.plain_loop import plain_sums
from tests.benchmarks.workload import WORKLOADS, Workload
from tests.oracle.subjects import Subject

SQUARE, PRODUCTS = 4096, 4  # of the measured product, and how often
Covariances = dict[str, tuple[Tensor, Tensor]]
Tool = Callable[[Subject, Workload], tuple[Callable[[], Any], Callable[[Any], Covariances]]]


def hillshade(subject: Subject, workload: Workload) -> Any:
    def collected() -> Any:
        return collect(
            subject.model,
            subject.equal,
            subject.projections,
            labels="gold",
            batch_size=workload.texts_a_batch,
        )

    return collected, lambda factors: {n: (factors.a(n), factors.g(n)) for n in subject.names}


def curvlinops(subject: Subject, workload: Workload) -> Any:
    from tests.oracle import curvlinops

    return (
        lambda: curvlinops.collected(subject, workload.texts_a_batch),
        curvlinops.covariances,
    )


def kronfluence(subject: Subject, workload: Workload) -> Any:
    from tests.oracle.kronfluence import Kronfluence

    prepared = Kronfluence(subject, workload.texts_a_batch)
    return prepared.collected, prepared.covariances


def bergson(subject: Subject, workload: Workload) -> Any:
    from tests.oracle import bergson

    return lambda: bergson.collected(subject, workload.texts_a_batch), bergson.covariances


def plain_loop(subject: Subject, workload: Workload) -> Any:
    parts = torch.tensor(subject.equal).split(workload.texts_a_batch)
    # Of a mean loss G carries 1/T² of each batch of T tokens: taken off here, not by the loop.
    a_batch = workload.texts_a_batch * workload.length

    def covariances(sums: Covariances) -> Covariances:
        count = workload.tokens
        return {n: (a / count, g * a_batch**2 / count) for n, (a, g) in sums.items()}

    return (
        lambda: plain_sums(subject.model, parts, subject.projections, workload.layers_a_pass),
        covariances,
    )


TOOLS: dict[str, Tool] = {
    tool.__name__: tool for tool in (hillshade, curvlinops, kronfluence, bergson, plain_loop)
}


def measure(tool: str, workload: Workload) -> dict[str, Any]:
    """Wall seconds, peak bytes, and the traces of what was collected."""
    if tool == "products":
        return {"flops": products()}
    subject = workload.subject()
    if tool == "passes":
        return {"seconds": passes(subject, workload)}
    collected, covariances = TOOLS[tool](subject, workload)
    start = time.perf_counter()
    result = collected()
    seconds = time.perf_counter() - start
    peak = peak_bytes()
    found = covariances(result)
    traces = [float(x.diagonal().double().sum()) for n in subject.names for x in found[n]]
    return {"seconds": seconds, "peak_bytes": peak, "traces": traces}


def passes(subject: Subject, workload: Workload) -> float:
    """Seconds of Hillshade's forward and backward passes with nobody adding up their rows."""
    tap = Tap(subject.model, subject.projections)

    def ignore(key: str, rows: Tensor) -> None: ...

    start = time.perf_counter()
    for batch in batches(subject.equal, workload.texts_a_batch):
        tap.run(batch, subject.equal, ignore, ignore, labels="gold")
    return time.perf_counter() - start


def products() -> float:
    """Operations a second of torch.mm on two squares in float32, the best of a few."""
    a, b = torch.randn(2, SQUARE, SQUARE)
    seconds = []
    for _ in range(PRODUCTS):
        start = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - start)
    return 2 * SQUARE**3 / min(seconds)


def peak_bytes() -> int:
    """Most memory this process has held (Linux: of this program alone, not of its parent's)."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], WORKLOADS[sys.argv[2]])))
