"""What this machine can do: operations a second, measured, and memory and disk that are free."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

EIGEN_FLOPS = 10  # times d³, of one eigendecomposition
_PROBE = 768  # rows and columns of the measured products
_EIGEN_PROBE = 384


@dataclass(frozen=True)
class Speed:
    """Operations a second, measured: float32 products where the model runs, float64 eigh."""

    device: str
    products: float
    eigen: float


def measured_speed(where: torch.device) -> Speed:
    """Speed of this machine now, in about a second; best of three, so that others matter less."""
    a = torch.randn(_PROBE, _PROBE, device=where)
    square = torch.randn(_EIGEN_PROBE, _EIGEN_PROBE, dtype=torch.float64)
    square = square @ square.T
    products = _best(lambda: a @ a, where)
    eigen = _best(lambda: torch.linalg.eigh(square), torch.device("cpu"))
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else "the processor"
    return Speed(name, 2 * _PROBE**3 / products, EIGEN_FLOPS * _EIGEN_PROBE**3 / eigen)


def free_memory() -> int | None:
    """Bytes of memory that programs can still have, or None where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def free_disk(folder: Path) -> int:
    """Bytes free where `folder` lies or will lie."""
    folder = folder.resolve()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).free


def _best(run: Callable[[], object], where: torch.device) -> float:
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        run()
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
