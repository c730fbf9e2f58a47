"""Many steps of the weights without a copy of any weight: only what lies above them runs again.

Given a model, some of its projections and some texts or images, a `Replay` is asked for the losses
at any number of *steps* W + Σ α D. The steps ride in the batch, through what lies above the
projections (`core.upper`). The output head runs on the counted positions only, a few rows at a
time, so that logits never leave the processor's cache.

The model itself is never touched. One Replay must not be used by two threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import HillshadeError
from core.images import Image, Images
from core.labels import predictions
from core.projection import Projection
from core.samples import Inputs, Sample, as_sequences, asked, lengths, readable
from core.upper import Step, Upper

__all__ = ["Readout", "Reduction", "Replay", "Step"]

Reduction = Callable[[Tensor, Tensor], Tensor]

BATCH_TOKENS = 1024  # of the texts that are run together
STEP_TOKENS = 2048  # of all steps that are run together; larger tensors leave the cache
_ROWS = 256  # rows of logits at a time


@dataclass(frozen=True, eq=False)
class Readout:
    """What k steps make of n counted tokens; an image counts as one, its class.

    loss      float64 (k, n): −log p of the token that truly follows, in nats
    right     bool (k, n): that token is the teacher-forced argmax
    owner     int64 (n,): number of the sequence a token belongs to
    """

    loss: NDArray[np.float64]
    right: NDArray[np.bool_]
    owner: NDArray[np.int64]

    @property
    def mean_loss(self) -> NDArray[np.float64]:
        """Mean loss per counted token of each sequence, (k, S)."""
        totals = self._totals(self.loss)
        return totals / np.bincount(self.owner)

    @property
    def strict(self) -> NDArray[np.bool_]:
        """Whether every counted token of a sequence is right, (k, S): strict recall of it."""
        return self._totals(~self.right) == 0

    def _totals(self, values: NDArray[Any]) -> NDArray[np.float64]:
        starts = np.flatnonzero(np.diff(self.owner, prepend=-1))
        return np.add.reduceat(values.astype(np.float64), starts, axis=1)


class Replay:
    """The part of `model` above `projections`, run again for any step of their weights.

    Args:
        model: a causal language model or an image classifier; never changed.
        projections: those that steps may touch.
        sequences: token ids, or images.
        counted: for each sequence the positions t whose prediction of token t + 1 counts, ascending
            (for a memorized string those that predict its suffix); all but the last if None.

    Memory: the recorded tensors, about 10 hidden states a token, and one batch of steps.
    Raises HillshadeError for unusable texts (`core.samples.as_sequences`), a sequence none of whose
    positions counts, or positions that predict nothing; UnsupportedModelError for a projection that
    the forward pass does not reach exactly once.
    """

    def __init__(
        self,
        model: nn.Module,
        projections: Sequence[Projection],
        sequences: Sequence[Sequence[int] | Image],
        *,
        counted: Sequence[Sequence[int]] | None = None,
    ) -> None:
        if not projections:
            raise HillshadeError("No projection is selected; choose at least one.")
        self._names = {projection.name for projection in projections}
        sample = _sample(sequences, model)
        positions = _positions(sample, counted)
        self.owner = np.repeat(np.arange(len(sample)), [len(p) for p in positions])
        firsts = np.concatenate([[0], np.cumsum([len(p) for p in positions])])
        device = next(model.parameters()).device
        self._batches: list[_Batch] = []
        for numbers in _grouped(lengths(sample)):
            some = asked(sample, numbers, [positions[n] for n in numbers])
            rows = np.concatenate([np.arange(firsts[n], firsts[n + 1]) for n in numbers])
            flat, targets = some.flat.to(device), some.targets.to(device)
            self._batches.append(_Batch(some.inputs, some.positions, flat, rows, targets))
        self._upper = Upper(model, projections, [batch.inputs for batch in self._batches])

    def read(
        self, steps: Sequence[Step], progress: Callable[[int, int], None] | None = None
    ) -> Readout:
        """Loss and argmax of every counted token at every step; () is the model as it is.

        `progress(done, total)` counts steps times batches and may raise to cancel.
        """
        values = self.map(steps, _loss_and_right, progress=progress)
        return Readout(values[:, 0], values[:, 1] == 1.0, self.owner)

    def map(
        self,
        steps: Sequence[Step],
        of: Reduction,
        *,
        group: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float64]:
        """A function of the logits at each group of `group` successive steps, token by token.

        of(logits_grv, targets_r) -> (c, r) is given the logits (float32 or wider) of one group of
        steps at r counted tokens, which it may overwrite, and the tokens that truly follow. Returns
        float64 (k/group, c, n).
        """
        if not steps or len(steps) % group:
            raise HillshadeError(f"{len(steps)} steps do not fill groups of {group}; add the rest.")
        touched = {name for step in steps for direction, _ in step for name in direction.parts}
        if touched - self._names:
            raise HillshadeError(
                f"A step touches {sorted(touched - self._names)[0]}, which was not prepared for; "
                "give it among the projections."
            )
        out: NDArray[np.float64] | None = None
        done, total = 0, len(steps) * len(self._batches)
        for number, batch in enumerate(self._batches):
            size = max(1, STEP_TOKENS // (batch.positions * group)) * group
            for start in range(0, len(steps), size):
                chunk = steps[start : start + size]
                found = self._reduced(number, chunk, of, group)
                if out is None:
                    out = np.empty((len(steps) // group, found.shape[1], len(self.owner)))
                groups = slice(start // group, start // group + len(found))
                out[groups][:, :, batch.rows] = found
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
        assert out is not None
        return out

    def _reduced(
        self, number: int, steps: Sequence[Step], of: Reduction, group: int
    ) -> NDArray[np.float64]:
        """`map` for one batch and the steps that run together, (k/group, c, m)."""
        batch = self._batches[number]
        found = []
        with torch.inference_mode():
            states = self._upper.states(number, steps)[:, batch.flat]
            for some in states.split(group):
                parts = [
                    of(self._upper.logits(hidden), targets)
                    for hidden, targets in zip(
                        some.split(_ROWS, 1), batch.targets.split(_ROWS), strict=True
                    )
                ]
                found.append(torch.cat(parts, 1))
        return torch.stack(found).double().cpu().numpy()


@dataclass(frozen=True, eq=False)
class _Batch:
    """Texts or images that are run together."""

    inputs: Inputs
    positions: int  # B · T
    flat: Tensor  # int64 (m,) counted rows of the flattened logits
    rows: NDArray[np.int64]  # (m,) their numbers among all counted tokens
    targets: Tensor  # int64 (m,)


def _loss_and_right(logits_1rv: Tensor, targets_r: Tensor) -> Tensor:
    """Loss and whether the target is the argmax, (2, r), in few passes over the logits.

    Two largest logits can be equal only where Σ exp(z − max) is 2 or more; only there argmax, which
    costs as much as the exponential, is asked which comes first.
    """
    z = logits_1rv[0]
    z = z.sub_(z.amax(1, keepdim=True))
    at_target = z.gather(1, targets_r[:, None])[:, 0]
    total = z.exp().sum(1)
    right = at_target == 0
    tied = right & (total >= 2)
    if bool(tied.any()):
        right[tied] = z[tied].argmax(1) == targets_r[tied]
    return torch.stack([total.log() - at_target, right.to(total.dtype)])


def _sample(sequences: Sequence[Sequence[int] | Image], model: nn.Module) -> Sample:
    images = [one for one in sequences if isinstance(one, Image)]
    if images:
        return readable(Images(images, "all"), model)
    return as_sequences([one for one in sequences if not isinstance(one, Image)], model)


def _positions(sample: Sample, counted: Sequence[Sequence[int]] | None) -> list[list[int]]:
    if counted is None:
        return [list(range(predictions(one))) for one in sample]
    if len(counted) != len(sample):
        raise HillshadeError(
            f"{len(counted)} lists of counted positions do not fit {len(sample)} sequences; "
            "give one for each."
        )
    positions = [list(map(int, some)) for some in counted]
    for number, some in enumerate(positions):
        last = predictions(sample[number]) - 1
        if not some or some != sorted(set(some)) or some[0] < 0 or some[-1] > last:
            raise HillshadeError(
                f"Sequence {number} cannot count the positions {some}; give ascending ones from "
                f"0 to {last}, at least one."
            )
    return positions


def _grouped(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of sequences of similar length whose padded batch holds at most BATCH_TOKENS."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    group: list[int] = []
    for number in order:
        if group and lengths[number] * (len(group) + 1) > BATCH_TOKENS:
            yield group
            group = []
        group.append(number)
    yield group
