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

import math
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from core.batches import BATCH_LOGITS, BATCH_TOKENS, logits_of, reads_images
from core.classify import images_a_pass
from core.errors import HillshadeError
from core.forecast import Forecast, Work, sized
from core.head import CHUNK
from core.machine import EIGEN_FLOPS, Speed
from core.one_window import one_window, width_of
from core.projection import Projection
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


def batch_of(model: PreTrainedModel, context: int) -> int:
    """Windows or images a batch: 32, or fewer so that their logits stay below a gigabyte."""
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
                f"Layer {layer} needs {sized(size)} for its sums and {sized(max(left, 0))} are "
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
    size, dtype = sum(p.numel() for p in model.parameters()), model.dtype
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
    context, vocabulary = work.context, logits_of(model)
    batch = min(batch_of(model, context), math.ceil(work.tokens / context))
    groups = [projections] if groups is None else groups
    windows = [one_window(model, group, context, work.image) for group in groups]
    forward, kept = windows[0][0], batch * max(kept for _, _, kept in windows)
    alone = where.type == "cpu"
    labelled = batch * (context if work.image is None else 1)  # rows of logits
    sides = _sides(projections)
    squares = sum(d * d for d in sides)
    entries = sum(p.out_features * p.in_features for p in projections)
    size = sum(p.numel() for p in model.parameters())
    logits = DRAW_BYTES * min(CHUNK, labelled * vocabulary)
    # and the gradient to what is read
    logits += 2 * model.dtype.itemsize * labelled * width_of(model)
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
        **_shown(model, projections, work, batch),
    }
    reading = (
        "weights", "weights rounded", "activations of a batch", "logits of a chunk",
        "work of a batch", "holes between them", "sums of a pass",
    )  # fmt: skip
    solving = ("factor sums", "eigenvectors", "a decomposition")
    editing = ("weights", "eigenvectors", "edited weights", "asked at once")
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
        "factor sums": sum(operations(d, where) for d in sides) * work.counted,
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
        peak=PROGRAM + memory["images"] + most(here),
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


def _shown(
    model: PreTrainedModel, projections: Sequence[Projection], work: Work, batch: int
) -> dict[str, int]:
    """Bytes of all images, and of what is at work while a batch is read, or an edit is asked."""
    if work.image is None:
        logits = min(BATCH_TOKENS * logits_of(model), BATCH_LOGITS)
        return {"images": 0, "work of a batch": 0, "asked at once": 4 * LOGIT_COPIES * logits}
    values, wide = math.prod(work.image), max(sum(p.shape) for p in projections)
    # Pixels stacked, placed and cut into patches; what goes into the widest map and out of it.
    each = 3 * values + 2 * work.context * wide
    asked = min(images_a_pass(values), work.asked // work.context)
    return {
        "images": 4 * values * work.images,
        "work of a batch": model.dtype.itemsize * batch * each,
        "asked at once": 4 * asked * each,
    }


def _sides(projections: Sequence[Projection]) -> list[int]:
    """The side of every factor: of each input once, and of each output."""
    inputs = {p.input_key: p.in_features for p in projections}
    return [*inputs.values(), *(p.out_features for p in projections)]
