"""`make bench` compares the same things, counts arithmetic right, and its tables hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.rows import Tap
from tests import readme
from tests.benchmarks import apart, bench_collection, bench_recall, bench_selection, gpu
from tests.benchmarks.collecting import TOOLS, measure, passes, plain_loop
from tests.benchmarks.workload import WORKLOADS

SMALL = WORKLOADS["small"]


def test_the_plain_loop_collects_what_the_engine_collects() -> None:
    ours, plain = measure("hillshade", SMALL), measure("plain_loop", SMALL)
    assert len(ours["traces"]) == 2 * 3 * SMALL.layers
    assert np.allclose(ours["traces"], plain["traces"], rtol=1e-4, atol=0.0)


def products(work: Callable[[], object]) -> int:
    """Operations of all matrix products; attention's own are not among these."""
    with FlopCounterMode(display=False) as counter:
        work()
    kinds = (torch.ops.aten.mm, torch.ops.aten.addmm)
    return sum(n for kind, n in counter.get_flop_counts()["Global"].items() if kind in kinds)


def test_arithmetic_is_what_the_passes_multiply() -> None:
    """By formula and counted, but for the sums: products added in place are not counted here."""
    narrow, wide = SMALL.hidden, SMALL.intermediate
    in_passes = SMALL.least - SMALL.layers * sum(
        d * (d + 1) for d in (narrow, narrow, wide, wide, wide)
    )
    read = SMALL.texts * (SMALL.length + 1)  # the engine reads the last token too
    subject = SMALL.subject()
    tried = products(lambda: Tap(subject.model, subject.projections))  # what its head does
    spared = 4 * SMALL.vocabulary * SMALL.hidden * SMALL.texts  # but not in the head
    assert products(lambda: passes(subject, SMALL)) == in_passes * read - spared + tried
    collected, _ = plain_loop(SMALL.subject(), SMALL)
    sums = 3 * SMALL.layers * 2 * (narrow**2 + wide**2)
    assert products(collected) == (SMALL.arithmetic("plain_loop") - sums) * SMALL.tokens


def measured(module: str, tool: str, size: str) -> dict[str, Any]:
    """Ours takes 2 s, the others 3, 4, 5 and 6; plain products run at 1 TFLOP/s."""
    if tool == "products":
        return {"flops": 1e12}
    if tool == "passes":
        return {"seconds": 0.5}
    number = list(TOOLS).index(tool)
    return {"seconds": 2.0 + number, "peak_bytes": 10**9 * (number + 1), "traces": [1.0, 2.0]}


def test_ratios_and_shares_of_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_collection, "measured", measured)
    found = bench_collection.run("small", turns=2)
    assert found["ours_over_fastest_library"] == 1.5
    assert found["ours_over_plain_loop"] == 3.0
    assert found["hillshade_tokens_per_s"] == SMALL.tokens / 2
    assert found["hillshade_share_of_products"] == pytest.approx(SMALL.least * SMALL.tokens / 2e12)
    assert found["share_of_time_in_passes"] == 0.25

    def other(module: str, tool: str, size: str) -> dict[str, Any]:
        return measured(module, tool, size) | ({"traces": [1.0, 2.1]} if tool == "bergson" else {})

    monkeypatch.setattr(bench_collection, "measured", other)
    with pytest.raises(AssertionError, match="bergson"):
        bench_collection.run("small", turns=1)


def test_missing_libraries_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORACLE", str(tmp_path))
    with pytest.raises(SystemExit, match="make bench"):
        apart.measured("tests.benchmarks.collecting", "products", "small")


def test_all_ways_of_selection_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark itself refuses a disagreement; here it is run small, and made to see one."""
    monkeypatch.setattr(bench_selection, "ROWS", 40)
    monkeypatch.setattr(bench_selection, "COLUMNS", 70)
    monkeypatch.setattr(bench_selection, "COUNT", 300)
    assert bench_selection.run()["mass_0.99_pairs"]
    sort = bench_selection._full_sort
    monkeypatch.setattr(bench_selection, "_full_sort", lambda lam, mu, mass: ~sort(lam, mu, mass))
    with pytest.raises(AssertionError, match="sort"):
        bench_selection.run()


def test_generation_agrees_with_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_recall, "STRINGS", 6)
    monkeypatch.setattr(bench_recall, "SOME", 3)
    assert bench_recall.run(turns=1)["strings"] == 6
    monkeypatch.setattr(bench_recall, "_generated", lambda model, items: [False] * len(items))
    with pytest.raises(AssertionError, match="disagree"):
        bench_recall.run(turns=1)


def test_every_step_of_the_gpu_script_runs_on_a_processor() -> None:
    found = gpu.main(["--tiny"])
    assert found["projections"] == 3 * gpu.TINY.layers
    assert found["tokens"] == gpu.TINY.texts * (gpu.TINY.length - 1)
    assert float(found["worst_residual"]) < 1e-5
    assert "directions kept" in str(found["edit"])
    assert float(found["ours_over_plain_loop"]) > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_gpu_script_says_what_it_needs() -> None:
    with pytest.raises(SystemExit, match="--tiny"):
        gpu.main([])


def document(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(bench_collection, "measured", measured)
    key = "layer_3_down"
    return {
        "environment": {
            "processor": "EPYC",
            "threads": 2,
            "load_before": 0.1,
            "date": "2026-01-02",
            "packages": {"torch": "2.13.0"},
        },
        "results": {
            "collection": bench_collection.run("small", turns=1),
            "selection": {
                "grid": "4096 x 11008",
                "mass_0.99_pairs": 2256089,
                "mass_0.99_ms": 4.0,
                "heap_mass_0.99_ms": 8000.0,
                "full_sort_mass_0.99_ms": 6000.0,
            },
            "slices": {
                "grid": "25 x 25",
                "layer_0_up_ratio": 1.0,
                f"{key}_ratio": 3.0,
                f"{key}_ms_a_point": 10.0,
                f"{key}_copied_ms_a_point": 30.0,
                f"{key}_loss_landscapes_ms_a_point": 40.0,
            },
            "recall": {
                "tokens_of_suffix": 32,
                "one_pass_ms_a_string": 2.0,
                "generated_one_by_one_ms_a_string": 80.0,
                "generated_in_one_batch_ms_a_string": 3.0,
            },
        },
    }


def test_table_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every number stands in its row, and the text around the marks stays."""
    results = document(monkeypatch)
    table = readme.benchmarks(results)
    lines = table.splitlines()
    assert any(line.startswith("| bergson | 10 | 4.00 GB |") and "2.50×" in line for line in lines)
    assert "heap 8,000 ms (2,000×); full sort 6,000 ms (1,500×)" in table
    assert "weight copies 30 ms (3×); `loss-landscapes` 40 ms (4×)" in table
    assert "generated one by one 80 ms (40×); generated in one batch 3 ms (1.5×)" in table
    widths = {line.count("|") for line in lines if line.startswith("|")}
    assert widths == {4, 7}
    monkeypatch.setattr(readme, "read_json", lambda path: results)
    text = f"before\n{readme.BENCH_BEGIN}old\n{readme.BENCH_END}after\n"
    filled = readme.filled(text)
    assert filled == f"before\n{readme.BENCH_BEGIN}\n{table}\n{readme.BENCH_END}after\n"
    assert readme.filled(filled) == filled
