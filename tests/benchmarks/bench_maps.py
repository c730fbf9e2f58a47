"""Curvature maps of single examples, one thread, on the shipped model.

100 memorized strings (32 tokens of suffix count), gate of the last layer (512 x 128) in its own
basis, band sums kept: for one draw of labels, for the default of eight, and for every projection of
the last two layers at once.
"""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

import torch

from core.curvature.bands import rank_bands
from core.curvature.examples import Example
from core.curvature.maps import DRAWS, band_curvature
from core.model import load_model
from core.projection import Projection, find_projections, select
from core.study import Study

LANGUAGE = Path(__file__).resolve().parents[2] / "assets" / "language"
STRINGS = 100
RUNS = 3


def run() -> dict[str, float | int | str]:
    """Median wall seconds of `RUNS` runs each."""
    study, model = Study.open(LANGUAGE / "study"), load_model(LANGUAGE / "model")
    passages = [item for item in study.item_list() if item.group == "passage"]
    examples = [Example.of_item(item) for item in passages[-STRINGS:]]
    bases = study.bases("kfac")
    there = find_projections(model)
    bands = {name: rank_bands(basis) for name, basis in bases.items()}

    def maps(projections: Sequence[Projection], draws: int) -> None:
        band_curvature(model, bases, projections, examples, bands, draws=draws)

    gate, late = select(there, [3], ["gate"]), [p for p in there if p.name in bases]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {
            "strings": len(examples),
            "tokens_counted": sum(example.tokens for example in examples),
            "gate_1_draw_s": _median_s(partial(maps, gate, 1)),
            f"gate_{DRAWS}_draws_s": _median_s(partial(maps, gate, DRAWS)),
            f"{len(late)}_projections_1_draw_s": _median_s(partial(maps, late, 1)),
        }
    finally:
        torch.set_num_threads(threads)


def _median_s(work: partial[None]) -> float:
    work()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)
