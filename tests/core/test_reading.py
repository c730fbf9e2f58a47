"""Passes that run out of memory halfway, and rows in bfloat16."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from core import sums
from core.checkpoint import Checkpoint
from core.errors import HillshadeError
from core.factors import add_outer, collect
from core.projection import find_projections
from core.rows import Batch, Tap
from tests.tiny import TEXTS, tiny

FULL = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    MemoryError(),
)


@pytest.mark.parametrize("broken", [(1,), (4, 9), (40,), (30, 60, 70)])
@pytest.mark.parametrize("error", FULL, ids=["cuda", "processor", "python"])
def test_no_row_is_summed_twice_where_memory_runs_out(
    broken: tuple[int, ...], error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory runs out at these products, wherever the pass is then: among the rows of one sum."""
    model = tiny("olmo2")
    projections = find_projections(model)
    whole = collect(model, TEXTS * 2, projections)
    calls = 0
    sizes: list[int] = []

    def breaking(total: Tensor | None, rows: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls in broken:
            raise error
        return add_outer(total, rows)

    run = Tap.run

    def watched(tap: Tap, batch: Batch, *args: object, **options: object) -> None:
        sizes.append(len(batch.sequences))
        run(tap, batch, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sums, "_CHUNK_ROWS", 5)
    monkeypatch.setattr(sums, "add_outer", breaking)
    monkeypatch.setattr(Tap, "run", watched)
    checkpoint = Checkpoint(tmp_path, every=0)
    halved = collect(model, TEXTS * 2, projections, batch_size=10, checkpoint=checkpoint)
    assert sizes[:2] == [10, 5] and min(sizes) == 10 >> len(broken)  # it halves, and stays so
    assert halved.count == whole.count
    for p in projections:
        for ours, theirs in ((halved.a, whole.a), (halved.g, whole.g)):
            truth = theirs(p.name)
            assert float((ours(p.name) - truth).norm()) <= 1e-12 * float(truth.norm())


def test_what_never_fits_is_said_and_other_errors_are_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny("olmo2")
    for error, said in ((FULL[0], "one sequence at a time"), (RuntimeError("odd"), "odd")):

        def full(*args: object, error: Exception = error) -> Tensor:
            raise error

        monkeypatch.setattr(sums, "add_outer", full)
        kind = HillshadeError if error is FULL[0] else RuntimeError
        with pytest.raises(kind, match=said):
            collect(model, TEXTS, find_projections(model))


def test_rows_in_bfloat16_of_a_model_that_stays_as_it_is() -> None:
    model = tiny("gpt2", torch.float32)
    projections = find_projections(model)
    narrow = collect(model, TEXTS, projections, dtype=torch.bfloat16)
    truth = collect(tiny("gpt2", torch.bfloat16), TEXTS, projections)
    wide = collect(model, TEXTS, projections)
    assert narrow.digests == wide.digests and model.dtype == torch.float32
    for key, total in narrow.a_sums.items():
        assert total.dtype == torch.float32
        assert torch.equal(total, truth.a_sums[key]) and not torch.equal(total, wide.a_sums[key])
