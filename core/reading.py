"""One pass over a sample: batches of a model's rows into sums, resumed, shared, in what memory is.

Sequences go by length, so that little is padding, and the sums take the batches in that order: it
follows from the texts and the batch size, never from when a run was interrupted.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from core.checkpoint import Slot, State
from core.errors import HillshadeError
from core.labels import Labels
from core.projection import Projection
from core.ranks import Ranks
from core.rows import Tap
from core.samples import Batch, Patches, Sample, batches
from core.sums import Sums
from core.twin import is_sharded

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def read_sums(
    model: nn.Module,
    sample: Sample,
    projections: Sequence[Projection],
    *,
    labels: Labels,
    seed: int,
    batch_size: int,
    ranks: Ranks,
    slot: Slot | None,
    progress: Callable[[int], None],
) -> tuple[dict[str, Tensor], int]:
    """Σ x xᵀ of every matrix this rank owns (`core.sums` says the keys), and all ranks' positions.

    `progress(done)` counts this rank's sequences or images. Where memory runs out the batch
    size halves, and stays so; HillshadeError where a single sequence is too much.
    """
    mine = _share(sample, ranks)
    first = next(model.parameters())
    kept = slot.load(first.device) if slot is not None else None
    state = kept or State(done=0, count=0, size=batch_size, totals={})
    done, count, size = state.done, state.count, state.size
    sums = Sums(state.totals)
    tap = Tap(model, projections)
    sharded = is_sharded(model)
    while ranks.any(done < len(mine)) if sharded else done < len(mine):
        some = _part(mine, done, done + size)
        if not len(some):  # the others need this rank's part of the weights
            _idle(tap, _part(sample, 0, 1), labels)
            continue
        (batch,) = batches(some, size)
        if not _through(tap, batch, some, sums, labels, seed):
            size = _half(len(some), sharded)
            continue
        sums.settle(len(batch.rows))
        done += len(some)
        count += len(batch.rows)
        if slot is not None and sums.settled:
            slot.offer(State(done, count, size, sums.totals))
        progress(done)
    sides = {f"a/{p.input_key}": p.in_features for p in projections}
    sides |= {f"g/{p.name}": p.out_features for p in projections}
    like = torch.empty(0, dtype=torch.promote_types(first.dtype, torch.float32)).to(first.device)
    return ranks.reduced(sums.totals, sides, like), ranks.total(count)


def _through(tap: Tap, batch: Batch, some: Sample, sums: Sums, labels: Labels, seed: int) -> bool:
    """Run the batch into the sums; False where memory ran out. Other errors are raised.

    What the pass held lives as long as the error that tells of it, which ends here.
    """
    try:
        tap.run(batch, some, sums.add_input, sums.add_gradient, labels=labels, seed=seed)
    except (RuntimeError, MemoryError) as error:
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not known and not any(sign in str(error).lower() for sign in _NO_MEMORY):
            raise
    else:
        return True
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False


def _share(sample: Sample, ranks: Ranks) -> Sample:
    """This rank's part: texts by length, images as they come."""
    if isinstance(sample, Patches):
        return replace(sample, images=tuple(ranks.share(sample.images)))
    return ranks.share(sorted(sample, key=len))


def _part(sample: Sample, start: int, stop: int) -> Sample:
    if isinstance(sample, Patches):
        return replace(sample, images=sample.images[start:stop])
    return sample[start:stop]


def _idle(tap: Tap, one: Sample, labels: Labels) -> None:
    """A pass whose rows nobody takes."""
    (batch,) = batches(one, 1)
    tap.run(batch, one, lambda key, rows: None, lambda name, rows: None, labels=labels)


def _half(size: int, sharded: bool) -> int:
    if sharded:  # the others wait inside the pass that broke off here
        raise HillshadeError(
            "Memory ran out while reading a sharded model; choose fewer layers or shorter windows "
            "(--layers, --context), or start more processes."
        )
    if size == 1:
        raise HillshadeError(
            "Memory ran out with one sequence at a time; choose fewer layers or shorter windows "
            "(--layers, --context), or a machine with more memory."
        )
    return size // 2
