"""What a collection takes, as it was counted (`core.estimate`): work, memory, time and disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.machine import Speed, free_disk, free_memory


@dataclass(frozen=True)
class Work:
    """What is read: the factor sample, and what every edited model is asked afterwards.

    tokens   of the factor sample, in windows of `context`
    models   edited models that are asked, at most
    asked    tokens that each of them reads

    Of an image classifier a window is an image, and its hidden positions are the tokens:

    image    (C, H, W)
    images   how many are held in memory
    rows     of an image that count in the factors; None for all
    """

    tokens: int
    context: int
    models: int
    asked: int
    image: tuple[int, ...] | None = None
    images: int = 0
    rows: int | None = None

    @property
    def counted(self) -> int:
        """Positions that are summed up."""
        return self.tokens if self.rows is None else self.tokens // self.context * self.rows


@dataclass(frozen=True)
class Forecast:
    """Memory, time and disk of one collection.

    passes   layers of each pass over the text, in order; one pass where all sums fit
    batch    windows at a time; fewer where memory runs out
    memory   bytes by part; `peak` is the largest phase: reading a batch, decomposing, editing
    on_device  of a CUDA device in its largest phase, which `peak` then leaves out; 0 without one
    flops    operations by part
    seconds  (low, high), see `core.estimate`
    disk     bytes by file
    checkpoint  bytes beside them while factors are collected, from the first minute on, at most
    """

    architecture: str
    parameters: int
    projections: int
    passes: tuple[tuple[int, ...], ...]
    batch: int
    work: Work
    speed: Speed
    memory: Mapping[str, int]
    peak: int
    on_device: int
    flops: Mapping[str, int]
    seconds: tuple[float, float]
    disk: Mapping[str, int]
    checkpoint: int

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    def lines(self, folder: Path) -> list[tuple[str, str]]:
        """As (name, value) lines, beside what this machine has."""
        low, high = self.seconds
        room = free_memory()
        has = "" if room is None else f", {sized(room)} free here"
        parts = ", ".join(f"{name} {sized(size)}" for name, size in self.memory.items() if size)
        layers = max(map(len, self.passes))
        all_of = "all" if len(self.passes) == 1 else "at most"
        beside = f" and {sized(self.on_device)} of the device" if self.on_device else ""
        read, each = ("text", "windows") if self.work.image is None else ("images", "images")
        return [
            ("model", f"{self.architecture}, {self.parameters:,} weights"),
            ("reads", f"{self._read()}, {self.projections} projections"),
            ("passes", f"{len(self.passes)} over the {read}, {all_of} {layers} "
                       f"layer{'s' * (layers > 1)} in one, {self.batch} {each} a batch"),
            ("memory", f"about {sized(self.peak)}{has}{beside}"),
            ("of it", parts),
            ("time", f"{_duration(low)} to {_duration(high)} on {self.speed.device} at "
                     f"{self.speed.products / 1e9:.3g} GFLOP/s"),
            ("disk", f"{sized(sum(self.disk.values()))}, {sized(free_disk(folder))} free here; "
                     f"a checkpoint of up to {sized(self.checkpoint)} meanwhile"),
        ]  # fmt: skip

    def _read(self) -> str:
        work = self.work
        if work.image is None:
            return f"{work.tokens:,} tokens in windows of {work.context}"
        asked = work.asked // work.context
        return (
            f"{work.images:,} images of {work.context} positions, asks {asked:,} of them and "
            f"collects on {work.tokens // work.context:,}"
        )


def sized(size: float) -> str:
    """An amount of bytes, to three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
