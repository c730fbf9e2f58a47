"""A collection killed at any moment and begun again ends with the bits of one left alone."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch

from core.checkpoint import Checkpoint
from core.errors import HillshadeError
from core.factors import Factors, collect
from core.projection import find_projections, select
from core.ranks import Ranks
from tests.core.processes import begin
from tests.tiny import TEXTS, VOCABULARY, tiny

BATCH = 3


def texts() -> list[list[int]]:
    rng = np.random.default_rng(4)
    return [rng.integers(0, VOCABULARY, rng.integers(2, 30)).tolist() for _ in range(120)]


def collecting(parent: Connection, folder: Path | None, out: Path) -> None:
    """In two passes, as where the sums of all layers do not fit; waits for a word each batch."""
    model = tiny("olmo2", torch.float32)
    projections = find_projections(model)

    def tell(done: int, total: int) -> None:
        parent.send(done)
        parent.recv()

    factors = collect(
        model,
        texts(),
        projections,
        batch_size=BATCH,
        passes=[select(projections, [2]), select(projections, [0, 1])],
        checkpoint=None if folder is None else Checkpoint(folder, every=0),
        progress=tell,
    )
    factors.save(out)


def until(process: BaseProcess, child: Connection, batches: int) -> list[int]:
    """How far the process says it is, batch by batch, until `batches` or its end."""
    said: list[int] = []
    while len(said) < batches and child.poll(110):
        try:
            said.append(child.recv())
            child.send("on")
        except EOFError:
            process.join(60)
            assert process.exitcode == 0
            break
    return said


def test_killed_at_three_random_moments_it_ends_with_the_same_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    folder, out = tmp_path / "checkpoint", tmp_path / "resumed"
    alone = until(*begin(collecting, None, tmp_path / "alone"), 1000)
    assert alone == list(range(BATCH, 2 * len(texts()) + 1, BATCH))
    for resumed in range(3):
        process, child = begin(collecting, folder, out)
        said = until(process, child, int(rng.integers(12, 25)))
        time.sleep(rng.uniform(0, 0.02))  # somewhere in the next batch, or in a write
        process.kill()
        process.join(60)
        assert said[0] > BATCH or not resumed  # it went on, and did not begin again
        assert not out.exists()
    assert until(*begin(collecting, folder, out), 1000)[-1] == 2 * len(texts())
    assert out.read_bytes() == (tmp_path / "alone").read_bytes()


def test_a_checkpoint_of_another_run_is_refused_by_a_sentence(tmp_path: Path) -> None:
    model = tiny("olmo2")
    projections = find_projections(model)
    checkpoint = Checkpoint(tmp_path / "checkpoint", every=0)

    def again(**changes: object) -> Factors:
        options: dict[str, object] = {
            "sequences": TEXTS, "projections": projections, "checkpoint": checkpoint,
            "model": model,
        }  # fmt: skip
        return collect(**(options | changes))  # type: ignore[arg-type]

    whole = again()
    for changes, differs in (
        ({"model": tiny("olmo2", seed=1)}, "other weights"),
        ({"sequences": TEXTS[1:]}, "other texts"),
        ({"seed": 3, "batch_size": 2}, "other labels, batch size"),
        ({"dtype": torch.float32}, "other number format"),
        ({"projections": projections[:3]}, "other projections"),
        ({"ranks": Ranks(0, 2)}, r"not of 2 process"),
    ):
        with pytest.raises(HillshadeError, match=differs) as error:
            again(**changes)
        assert str(error.value).endswith("delete the folder to begin anew.")
    seen: list[int] = []
    resumed = again(progress=lambda done, _: seen.append(done))
    assert seen == []  # there is nothing left to read
    assert resumed.count == whole.count
    assert all(torch.equal(resumed.a_sums[key], whole.a_sums[key]) for key in whole.a_sums)
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []


def test_it_is_written_no_more_often_than_asked(tmp_path: Path) -> None:
    model = tiny("olmo2")
    collect(model, TEXTS, find_projections(model), checkpoint=Checkpoint(tmp_path, every=3600))
    assert list(tmp_path.iterdir()) == []
