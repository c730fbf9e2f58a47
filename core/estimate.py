"""What a collection will need, before it starts: memory, time, disk, from the config alone.

Counted, not guessed: shapes and parameters of the model built without weights (meta device), the
multiplications of one window's forward and backward pass and the bytes that its backward pass
keeps (both by running that window on the meta device), and

    factor sums           d (d + 1) operations a position and matrix on the processor, more in
                          panels elsewhere (`core.sums`); 4 d² bytes
    eigendecompositions   10 d³ operations in float64, 6 copies of 8 d² bytes
    an edited model       2 p q (p + q) operations a projection, and the tokens it is asked

with d running over the inputs (gate and up share one) and outputs of the chosen projections. Where
the sums of all layers do not fit a CUDA device, the text is read several times (`passes`), and each
pass is counted. Time is operations over a speed measured on this machine, as a range: the lower end
is all of that speed, the upper end what small matrices, softmax and memory leave of it; both begin
with the start of the program. Of several phases the one with most memory counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from core.batches import BATCH_LOGITS, BATCH_TOKENS
from core.errors import HillshadeError
from core.head import CHUNK
from core.machine import EIGEN_FLOPS, Speed, free_disk, free_memory
from core.projection import ATTENTION_KINDS, Projection
from core.sums import operations

LEAST_SHARE = 0.2  # of the measured speed that a whole collection reaches at least
EIGEN_COPIES = 6  # of the covariance in float64: itself, LAPACK's work, vectors, residual
DRAW_BYTES = 20  # a logit of a chunk: itself, and two float64 copies while labels are drawn
HOLES = 0.3  # of a batch's tensors, that malloc leaves unused between them (seen: 0.25 to 0.37)
DEVICE_SHARE = 0.9  # of a CUDA device's memory that is planned with
LOGIT_COPIES = 5  # of all logits where an edited model is asked: theirs, float32, log-softmax, work
PROGRAM = 500_000_000  # bytes of Python with torch and transformers loaded
START = 5.0  # seconds until they are, and the model is
_PROCESSOR = torch.device("cpu")


@dataclass(frozen=True)
class Work:
    """What is read: the factor sample, and what every edited model is asked afterwards.

    tokens   of the factor sample, in windows of `context`
    models   edited models that are asked, at most
    asked    tokens that each of them reads
    """

    tokens: int
    context: int
    models: int
    asked: int


@dataclass(frozen=True)
class Forecast:
    """Memory, time and disk of one collection.

    passes   layers of each pass over the text, in order; one pass where all sums fit
    batch    windows at a time; fewer where memory runs out
    memory   bytes by part; `peak` is the largest phase: reading a batch, decomposing, editing
    on_device  of a CUDA device in its largest phase, which `peak` then leaves out; 0 without one
    flops    operations by part
    seconds  (low, high), see the module's text
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
        has = "" if room is None else f", {_bytes(room)} free here"
        parts = ", ".join(f"{name} {_bytes(size)}" for name, size in self.memory.items() if size)
        layers = max(map(len, self.passes))
        all_of = "all" if len(self.passes) == 1 else "at most"
        beside = f" and {_bytes(self.on_device)} of the device" if self.on_device else ""
        return [
            ("model", f"{self.architecture}, {self.parameters:,} weights"),
            ("reads", f"{self.work.tokens:,} tokens in windows of {self.work.context}, "
                      f"{self.projections} projections"),
            ("passes", f"{len(self.passes)} over the text, {all_of} {layers} "
                       f"layer{'s' * (layers > 1)} in one, {self.batch} windows a batch"),
            ("memory", f"about {_bytes(self.peak)}{has}{beside}"),
            ("of it", parts),
            ("time", f"{_duration(low)} to {_duration(high)} on {self.speed.device} at "
                     f"{self.speed.products / 1e9:.3g} GFLOP/s"),
            ("disk", f"{_bytes(sum(self.disk.values()))}, {_bytes(free_disk(folder))} free here; "
                     f"a checkpoint of up to {_bytes(self.checkpoint)} meanwhile"),
        ]  # fmt: skip


def batch_of(model: PreTrainedModel, context: int) -> int:
    """Windows a batch: 32, or fewer so that their logits stay below a gigabyte."""
    return max(1, min(32, BATCH_LOGITS // (_embedding(model).shape[0] * context)))


def passes(
    model: PreTrainedModel, projections: Sequence[Projection], context: int, room: int
) -> tuple[tuple[Projection, ...], ...]:
    """The projections in as few groups of whole layers as their sums fit `room`, each read alone.

    room  bytes of the device beside the weights; a batch's activations and logits go off it, and
    are counted on `model`, which lies on the meta device. Upper layers come first: above them the
    backward pass is short. Raises HillshadeError where one layer alone does not fit.
    """
    work = Work(tokens=context * batch_of(model, context), context=context, models=0, asked=0)
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


def weights_of(model: PreTrainedModel) -> dict[str, int]:
    """Bytes of the weights in float32, and of their copy in the model's own format if it is one."""
    size, dtype = sum(p.numel() for p in model.parameters()), _embedding(model).dtype
    copied = 0 if dtype == torch.float32 else dtype.itemsize * size
    return {"weights": 4 * size, "weights rounded": copied}


def room_beside(weights: int) -> int:
    """Bytes of the CUDA device that are planned with, beside so many of weights.

    Of its whole memory and not of what is free now, so that an interrupted run plans the same.
    """
    return int(DEVICE_SHARE * torch.cuda.mem_get_info()[1]) - weights


def estimate(
    model: PreTrainedModel,
    projections: Sequence[Projection],
    work: Work,
    speed: Speed,
    groups: Sequence[Sequence[Projection]] | None = None,
    where: torch.device = _PROCESSOR,
) -> Forecast:
    """The forecast for `projections` of `model`, which lies on the meta device, read on `where`.

    groups  the passes (`passes`); None for one. The number format of the model is that of its rows.
    Runs one window of `work.context` tokens through a meta model: a second or a few. Raises
    nothing of its own; a model that cannot be run so is one that `core.projection` refuses.
    """
    context, vocabulary = work.context, _embedding(model).shape[0]
    batch = min(batch_of(model, context), math.ceil(work.tokens / context))
    groups = [projections] if groups is None else groups
    windows = [_one_window(model, group, context) for group in groups]
    forward, kept = windows[0][0], batch * max(kept for _, _, kept in windows)
    alone = where.type == "cpu"
    sides = _sides(projections)
    squares = sum(d * d for d in sides)
    entries = sum(p.out_features * p.in_features for p in projections)
    size = sum(p.numel() for p in model.parameters())
    format_ = _embedding(model).dtype
    # and the gradient to what is read
    logits = DRAW_BYTES * min(CHUNK, batch * context * vocabulary)
    logits += 2 * format_.itemsize * batch * context * _embedding(model).shape[1]
    memory = {
        "program": PROGRAM,
        **weights_of(model),
        "activations of a batch": kept,
        "logits of a chunk": logits,
        "holes between them": round(HOLES * (kept + logits)) if alone else 0,
        "sums of a pass": 4 * max(sum(d * d for d in _sides(group)) for group in groups),
        "factor sums": 4 * squares,
        "eigenvectors": 4 * squares,
        "a decomposition": 8 * EIGEN_COPIES * max(sides) ** 2,
        "edited weights": 4 * 3 * entries,  # C, the masked C and W'
        "logits asked": 4 * LOGIT_COPIES * min(BATCH_TOKENS * vocabulary, BATCH_LOGITS),
    }
    reading = (
        "weights", "weights rounded", "activations of a batch", "logits of a chunk",
        "holes between them", "sums of a pass",
    )  # fmt: skip
    solving = ("factor sums", "eigenvectors", "a decomposition")
    editing = ("weights", "eigenvectors", "edited weights", "logits asked")
    on_device = (reading, editing) if work.models else (reading,)
    here: tuple[tuple[str, ...], ...] = (("weights",), solving)  # the weights on their way there
    if alone:
        here = (reading, ("weights", *solving))
        here += (("factor sums", *editing),) if work.models else ()

    def most(phases: Sequence[tuple[str, ...]]) -> int:
        return max(sum(memory[name] for name in phase) for phase in phases)

    cuts = 2 * sum(p.out_features * p.in_features * sum(p.shape) for p in projections)
    flops = {
        "reading": sum(through for _, through, _ in windows) * work.tokens // context,
        "factor sums": sum(operations(d, where) for d in sides) * work.tokens,
        "eigendecompositions": EIGEN_FLOPS * sum(d**3 for d in sides),
        "edited models": work.models * (cuts + forward * work.asked // context),
    }
    solve = flops["eigendecompositions"] / speed.eigen
    rest = sum(n for name, n in flops.items() if name != "eigendecompositions") / speed.products
    return Forecast(
        architecture=type(model).__name__,
        parameters=size,
        projections=len(projections),
        passes=tuple(tuple(sorted({p.layer for p in group})) for group in groups),
        batch=batch,
        work=work,
        speed=speed,
        memory=memory,
        peak=PROGRAM + most(here),
        on_device=0 if alone else most(on_device),
        flops=flops,
        seconds=(START + solve + rest, 2 * (START + solve) + rest / LEAST_SHARE),
        disk={
            "basis.safetensors": 4 * squares + 8 * sum(sides),
            "factors.safetensors": 4 * sum(d * (d + 1) // 2 for d in sides),
            "spectra.safetensors": 8 * sum(sum(p.shape) for p in projections),
        },
        checkpoint=memory["factor sums"] + memory["sums of a pass"],  # the last until the next
    )


def _sides(projections: Sequence[Projection]) -> list[int]:
    """The side of every factor: of each input once, and of each output."""
    inputs = {p.input_key: p.in_features for p in projections}
    return [*inputs.values(), *(p.out_features for p in projections)]


def _one_window(
    model: PreTrainedModel, projections: Sequence[Projection], context: int
) -> tuple[int, int, int]:
    """Operations forward, forward and backward to the lowest chosen map, and bytes kept for it.

    Run over all layers from the embeddings up and divided evenly among them; the backward pass of
    the output head costs what its forward pass does. Attention is counted dense, as it is run; its
    probabilities, which no fused kernel keeps, are left out of the bytes.
    """
    weight = _embedding(model)
    embedded = torch.zeros(1, context, weight.shape[1], dtype=weight.dtype, device="meta")
    embedded.requires_grad_(True)
    seen: dict[int, Tensor] = {}
    weights = {p.untyped_storage()._cdata for p in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        key = tensor.untyped_storage()._cdata
        if key not in weights and tuple(tensor.shape[-2:]) != (context, context):
            seen[key] = tensor
        return tensor

    # A mask of four dimensions is taken as it is; any other is looked at, and here lies no data.
    mask = torch.ones(1, 1, context, context, dtype=torch.bool, device="meta")
    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            logits = model(inputs_embeds=embedded, attention_mask=mask, use_cache=False).logits
        forward = counter.get_total_flops()
        logits.sum().backward()
        both = counter.get_total_flops()
    layers = int(model.config.num_hidden_layers)
    lowest = min(p.layer for p in projections)
    head = 2 * context * logits.shape[-1] * embedded.shape[-1]
    block = (both - forward - head) / layers
    # In the lowest block it ends at gate and up, above which only the map down lies; or runs
    # through nearly all of it, where attention is chosen.
    last = [p for p in projections if p.layer == lowest and p.kind != "down"]
    end = 2 * context * last[0].out_features * last[0].in_features if last else 0.0
    end = block if any(p.kind in ATTENTION_KINDS for p in last) else end
    through = round(forward + head + (layers - lowest - 1) * block + end)
    kept = sum(tensor.untyped_storage().nbytes() for tensor in seen.values())
    return forward, through, kept * (layers - lowest) // layers


def _embedding(model: PreTrainedModel) -> Tensor:
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    return weight


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
