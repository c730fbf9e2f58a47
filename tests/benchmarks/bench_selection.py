"""From a curvature mass to the kept set, one thread, at the size of a 7B model's up projection.

The staircase is compared with the two plain ways: a stable sort of the whole grid of products, and
a heap of (product, i, j) from which pairs are popped one by one, at a count that it can bear. Both
must give the same set.
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
HEAP_PAIRS = 100_000
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
    results["count_3000000_ms"] = _median_ms(lambda: stairs.at_count(3_000_000))
    results["prepare_ms"] = _median_ms(lambda: Staircase(lam, mu))

    start = time.perf_counter()
    by_sort = _full_sort(lam, mu, MASSES[1])
    results["full_sort_mass_0.9_ms"] = 1e3 * (time.perf_counter() - start)
    if not np.array_equal(by_sort, staircase_mask(stairs.kept(MASSES[1]).k, COLUMNS)):
        raise AssertionError("the staircase and the full sort disagree")

    start = time.perf_counter()
    by_heap = _heap(lam, mu, HEAP_PAIRS)
    results["heap_us_per_pair"] = 1e6 * (time.perf_counter() - start) / HEAP_PAIRS
    if not np.array_equal(by_heap, stairs.at_count(HEAP_PAIRS).k):
        raise AssertionError("the staircase and the heap disagree")
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
