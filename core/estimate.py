"""What a collection will need, before it starts: memory, time, disk, from the config alone.

Counted, not guessed: shapes and parameters of the model built without weights (meta device), the
multiplications of one window's forward and backward pass and the bytes that its backward pass
keeps (both by running that window on the meta device), and

    factor sums           2 d² operations a position and matrix, 4 d² bytes
    eigendecompositions   10 d³ operations in float64, about 7 copies of 8 d² bytes
    an edited model       2 p q (p + q) operations a projection, and the tokens it is asked

with d running over the inputs (gate and up share one) and outputs of the chosen projections. Time
is operations over a speed measured on this machine, as a range: the lower end is all of that speed,
the upper end what small matrices, softmax and memory leave of it. Of several phases
the one with most memory counts.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from core.batches import BATCH_LOGITS, BATCH_TOKENS, logits_of, reads_images
from core.classify import images_a_pass
from core.errors import HillshadeError
from core.head import CHUNK
from core.one_window import one_window, width_of
from core.projection import Projection

LEAST_SHARE = 0.2  # of the measured speed that a whole collection reaches at least
EIGEN_FLOPS = 10  # times d³, of one eigendecomposition
EIGEN_COPIES = 7  # of the covariance in float64: itself, LAPACK's work, vectors, residual
DRAW_BYTES = 28  # a logit of a chunk: itself, and three float64 copies while labels are drawn
LOGIT_COPIES = 5  # of all logits where an edited model is asked: theirs, float32, log-softmax, work
PROGRAM = 500_000_000  # bytes of Python with torch and transformers loaded
_PROBE = 768  # rows and columns of the measured products
_EIGEN_PROBE = 384


@dataclass(frozen=True)
class Speed:
    """Operations a second, measured: float32 products where the model runs, float64 eigh."""

    device: str
    products: float
    eigen: float


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

    memory   bytes by part; `peak` is the largest phase: reading a batch, decomposing, editing
    flops    operations by part
    seconds  (low, high), see the module's text
    disk     bytes by file
    """

    architecture: str
    parameters: int
    projections: int
    batch: int
    work: Work
    speed: Speed
    memory: Mapping[str, int]
    peak: int
    flops: Mapping[str, int]
    seconds: tuple[float, float]
    disk: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    def lines(self, folder: Path) -> list[tuple[str, str]]:
        """As (name, value) lines, beside what this machine has."""
        low, high = self.seconds
        room = free_memory()
        has = "" if room is None else f", {_bytes(room)} free here"
        parts = ", ".join(f"{name} {_bytes(size)}" for name, size in self.memory.items())
        return [
            ("model", f"{self.architecture}, {self.parameters:,} weights"),
            ("reads", f"{self._read()}, {self.projections} projections, {self.batch} "
                      f"{'windows' if self.work.image is None else 'images'} a pass"),
            ("memory", f"about {_bytes(self.peak)}{has}"),
            ("of it", parts),
            ("time", f"{_duration(low)} to {_duration(high)} on {self.speed.device} at "
                     f"{self.speed.products / 1e9:.3g} GFLOP/s"),
            ("disk", f"{_bytes(sum(self.disk.values()))}, {_bytes(free_disk(folder))} free here"),
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


def batch_of(model: PreTrainedModel, context: int) -> int:
    """Windows or images a pass: 32, or fewer so that their logits stay below a gigabyte."""
    if reads_images(model):
        return 32
    return max(1, min(32, BATCH_LOGITS // (logits_of(model) * context)))


def passes(
    model: PreTrainedModel,
    projections: Sequence[Projection],
    context: int,
    room: int,
    image: tuple[int, ...] | None = None,
) -> tuple[tuple[Projection, ...], ...]:
    """The projections in as few groups of whole layers as their sums fit `room`, each read alone.

    room  bytes of the device beside the weights; a batch's activations and logits go off it, and
    are counted on `model`, which lies on the meta device. Upper layers come first: above them the
    backward pass is short. `image` is (C, H, W) of what a classifier reads. Raises HillshadeError
    where one layer alone does not fit.
    """
    tokens = context * batch_of(model, context)
    work = Work(tokens, context, models=0, asked=0, image=image)
    memory = estimate(model, projections, work, Speed("", 1.0, 1.0)).memory
    left = room - memory["activations of a batch"] - memory["logits of a chunk"]
    groups: list[list[Projection]] = []
    held = left + 1
    for layer in sorted({p.layer for p in projections}, reverse=True):
        here = [p for p in projections if p.layer == layer]
        size = 4 * sum(d * d for d in _sides(here))
        if size > left:
            raise HillshadeError(
                f"Layer {layer} needs {_bytes(size)} for its sums and {_bytes(max(left, 0))} are "
                "free beside a batch; choose fewer kinds or a smaller --context."
            )
        if held + size > left:
            groups.append([])
            held = 0
        groups[-1] += here
        held += size
    return tuple(map(tuple, groups))


def estimate(
    model: PreTrainedModel, projections: Sequence[Projection], work: Work, speed: Speed
) -> Forecast:
    """The forecast for `projections` of `model`, which lies on the meta device.

    Runs one window of `work.context` tokens through a meta model: a second or a few. Raises
    nothing of its own; a model that cannot be run so is one that `core.projection` refuses.
    """
    context, vocabulary = work.context, logits_of(model)
    batch = min(batch_of(model, context), math.ceil(work.tokens / context))
    forward, through, kept = one_window(model, projections, context, work.image)
    asking = "logits asked" if work.image is None else "activations asked"
    labelled = batch * (context if work.image is None else 1)  # rows of logits
    sides = _sides(projections)
    squares = sum(d * d for d in sides)
    entries = sum(p.out_features * p.in_features for p in projections)
    memory = {
        "program": PROGRAM,
        "weights": sum(p.numel() for p in model.parameters()) * 4,
        "activations of a batch": kept * batch,
        "logits of a chunk": DRAW_BYTES * min(CHUNK, labelled * vocabulary)
        + 4 * 2 * labelled * width_of(model),  # and the gradient to what is read
        "factor sums": 4 * squares,
        "eigenvectors": 4 * squares,
        "a decomposition": 8 * EIGEN_COPIES * max(sides) ** 2,
        "edited weights": 4 * 3 * entries,  # C, the masked C and W'
        asking: 4 * LOGIT_COPIES * min(BATCH_TOKENS * vocabulary, BATCH_LOGITS),
    }
    reading = ["program", "weights", "activations of a batch", "logits of a chunk", "factor sums"]
    if work.image is not None:
        values, wide = math.prod(work.image), max(sum(p.shape) for p in projections)
        # Pixels stacked, placed and cut into patches; what goes into the widest map and out of it.
        each = 4 * (3 * values + 2 * context * wide)
        memory["images"] = 4 * values * work.images
        memory["work of a batch"] = batch * each
        memory[asking] = min(images_a_pass(values), work.asked // context) * each
        reading.append("work of a batch")
    solving = ("program", "weights", "factor sums", "eigenvectors", "a decomposition")
    editing = (
        "program", "weights", "factor sums", "eigenvectors", "edited weights", asking,
    )  # fmt: skip
    phases = (reading, solving, editing) if work.models else (reading, solving)
    peak = max(sum(memory[name] for name in phase) for phase in phases) + memory.get("images", 0)
    cuts = 2 * sum(p.out_features * p.in_features * sum(p.shape) for p in projections)
    flops = {
        "reading": through * work.tokens // context,
        "factor sums": 2 * squares * work.counted,
        "eigendecompositions": EIGEN_FLOPS * sum(d**3 for d in sides),
        "edited models": work.models * (cuts + forward * work.asked // context),
    }
    solve = flops["eigendecompositions"] / speed.eigen
    rest = sum(n for name, n in flops.items() if name != "eigendecompositions") / speed.products
    return Forecast(
        architecture=type(model).__name__,
        parameters=sum(p.numel() for p in model.parameters()),
        projections=len(projections),
        batch=batch,
        work=work,
        speed=speed,
        memory=memory,
        peak=peak,
        flops=flops,
        seconds=(solve + rest, 2 * solve + rest / LEAST_SHARE),
        disk={
            "basis.safetensors": 4 * squares + 8 * sum(sides),
            "factors.safetensors": 4 * sum(d * (d + 1) // 2 for d in sides),
            "spectra.safetensors": 8 * sum(sum(p.shape) for p in projections),
        },
    )


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


def _sides(projections: Sequence[Projection]) -> list[int]:
    """The side of every factor: of each input once, and of each output."""
    inputs = {p.input_key: p.in_features for p in projections}
    return [*inputs.values(), *(p.out_features for p in projections)]


def _best(run: Callable[[], object], where: torch.device) -> float:
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        run()
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def _bytes(size: float) -> str:
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
