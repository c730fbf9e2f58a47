"""Running sums on disk, so that a collection that was interrupted goes on where it was.

A checkpoint is a folder with one safetensors file a process and pass: the sums as they stand, how
many sequences are in them, and a record of the run (weights, texts, settings). It is written beside
its name and renamed, so a reader sees the last whole one, whenever the process was killed. Sums are
stored as they are, not halved to triangles: they become symmetric only at the end, and the order of
summation, hence every bit, is that of a run that was never interrupted (on the same number of
threads, which decide how a matrix product is split).

Cost: one write of 4 d² bytes a matrix (8 d² in float64), at most every `every` seconds and never
more than a twentieth of the time; while it is written the last one is kept, so twice that on disk.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core import tensorfile
from core.errors import HillshadeError
from core.ranks import ALONE, Ranks

_SHARE = 20  # times as long as the last write took passes before the next


@dataclass(frozen=True)
class State:
    """How far a pass is: sequences read, of these positions, in batches of now `size`."""

    done: int
    count: int
    size: int
    totals: Mapping[str, Tensor]


class Checkpoint:
    """The checkpoint in `folder`, written at most every `every` seconds."""

    def __init__(self, folder: str | Path, every: float = 60.0) -> None:
        self.folder = Path(folder)
        self._every = every

    def slot(self, record: Mapping[str, Any], ranks: Ranks = ALONE, number: int = 0) -> Slot:
        """Where this process keeps pass `number` of the run that `record` describes.

        Raises HillshadeError where the folder was written by another number of processes.
        """
        name = f"-of-{ranks.size}.safetensors"
        for path in self.folder.glob("*.safetensors"):
            if not path.name.endswith(name):
                raise HillshadeError(
                    f"The checkpoint in {self.folder} is not of {ranks.size} process(es); go on "
                    "with as many as began it, or delete the folder to begin anew."
                )
        return Slot(self.folder / f"pass-{number}-rank-{ranks.rank}{name}", record, self._every)

    def remove(self) -> None:
        """Delete it, when what it was kept for is safe."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Slot:
    """One file of a checkpoint; `Checkpoint.slot` makes it."""

    def __init__(self, path: Path, record: Mapping[str, Any], every: float) -> None:
        self._path, self._record, self._every = path, record, every
        self._next = time.monotonic() + every

    def load(self, device: torch.device) -> State | None:
        """What was kept, or None where nothing was.

        Raises HillshadeError, naming what differs, for a checkpoint of another run.
        """
        if not self._path.exists():
            return None
        tensors, header = tensorfile.load(self._path, "checkpoint")
        record: dict[str, Any] = header["record"]
        differing = [key for key, value in self._record.items() if record.get(key) != value]
        if differing:
            raise HillshadeError(
                f"The checkpoint in {self._path.parent} is of another run (other "
                f"{', '.join(differing)}); go on with that run's own options, or delete the folder "
                "to begin anew."
            )
        # Copied, because matrix products on memory that is aligned otherwise round otherwise.
        totals = {key: tensor.to(device, copy=True) for key, tensor in tensors.items()}
        return State(header["done"], header["count"], header["size"], totals)

    def offer(self, state: State) -> None:
        """Keep `state`, if it is time for it."""
        began = time.monotonic()
        if began < self._next:
            return
        header = {"kind": "checkpoint", "version": 1, "record": self._record}
        header |= {"done": state.done, "count": state.count, "size": state.size}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        tensorfile.save(self._path, state.totals, header)
        ended = time.monotonic()
        self._next = ended + max(self._every, _SHARE * (ended - began))
