"""From a curvature mass to the kept set, one thread, at the size of a 7B model's up projection.

The staircase is compared with the two plain ways, at the mass that keeps most pairs: a stable sort
of the whole grid of products, and a heap of (product, i, j) from which pairs are popped one by one.
Both must give the same set.
"""

import heapq
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
from numpy.typing import NDArray

from core.staircase import Staircase, staircase_mask

ROWS, COLUMNS = 4096, 11008
MASSES = (0.6, 0.9, 0.99)
COMPARED = MASSES[-1]
COUNT = 3_000_000
RUNS = 9

Floats = NDArray[np.float64]


def run() -> dict[str, float | int | str]:
    """Median wall milliseconds of `RUNS` runs each; the slow ways once."""
    rng = np.random.default_rng(0)
    lam, mu = (np.sort(np.exp(rng.normal(0.0, 3.0, n)))[::-1] for n in (ROWS, COLUMNS))
    stairs = Staircase(lam, mu)
    results: dict[str, float | int | str] = {"grid": f"{ROWS} x {COLUMNS}"}
    for mass in MASSES:
        results[f"mass_{mass}_pairs"] = stairs.kept(mass).count
        results[f"mass_{mass}_ms"] = _median_ms(partial(stairs.kept, mass))
    turned = Staircase(mu, lam)
    results["turned_mass_0.9_ms"] = _median_ms(lambda: turned.kept(0.9))
    results[f"count_{COUNT}_ms"] = _median_ms(lambda: stairs.at_count(COUNT))
    results["prepare_ms"] = _median_ms(lambda: Staircase(lam, mu))

    kept, ours_ms = stairs.kept(COMPARED), float(results[f"mass_{COMPARED}_ms"])
    print(f"  a full sort and a heap of {kept.count:,} pairs", flush=True)
    start = time.perf_counter()
    by_sort = _full_sort(lam, mu, COMPARED)
    sort_ms = 1e3 * (time.perf_counter() - start)
    if not np.array_equal(by_sort, staircase_mask(kept.k, COLUMNS)):
        raise AssertionError("the staircase and the full sort disagree")

    start = time.perf_counter()
    by_heap = _heap(lam, mu, kept.count)
    heap_ms = 1e3 * (time.perf_counter() - start)
    if not np.array_equal(by_heap, kept.k):
        raise AssertionError("the staircase and the heap disagree")
    key = f"mass_{COMPARED}"
    results |= {
        f"full_sort_{key}_ms": sort_ms,
        f"heap_{key}_ms": heap_ms,
        "full_sort_over_ours": sort_ms / ours_ms,
        "heap_over_ours": heap_ms / ours_ms,
    }
    return results


def _median_ms(work: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return median(times)


def _full_sort(lam: Floats, mu: Floats, mass: float) -> NDArray[np.bool_]:
    """Sort every product, take them until the mass is reached."""
    grid = np.outer(lam, mu).ravel()
    order = np.argsort(-grid, kind="stable")
    reached = np.cumsum(grid[order])
    count = int(np.searchsorted(reached, mass * lam.sum() * mu.sum())) + 1
    mask = np.zeros(grid.size, dtype=np.bool_)
    mask[order[:count]] = True
    return mask.reshape(len(lam), len(mu))


def _heap(lam: Floats, mu: Floats, count: int) -> NDArray[np.int64]:
    """Pop the largest product, push its right and lower neighbours; columns kept per row."""
    k = np.zeros(len(lam), dtype=np.int64)
    heap = [(-float(lam[0] * mu[0]), 0, 0)]
    seen = {(0, 0)}
    for _ in range(count):
        _, i, j = heapq.heappop(heap)
        k[i] += 1
        for pair in ((i, j + 1), (i + 1, j)):
            if pair[0] < len(lam) and pair[1] < len(mu) and pair not in seen:
                seen.add(pair)
                heapq.heappush(heap, (-float(lam[pair[0]] * mu[pair[1]]), *pair))
    return k
