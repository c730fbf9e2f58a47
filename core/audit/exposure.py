"""How much likelier a planted secret is than secrets of its kind that were never shown.

The canary "… is 493 021." has rivals: the same template filled with secrets drawn from the same
space, none of them ever in training. To a model that has kept nothing of the canary, its loss is
one among theirs. With |R| rivals and its rank among them by loss, 1 for the smallest,

    exposure = log₂|R| − log₂ rank        bits

(Carlini et al. 2019, arXiv 1802.08232, with the rank estimated by sampling, section 4.3). Of a
canary nothing is left of, P(exposure ≥ b) = 2⁻ᵇ: its mean is about 1.4 bits, not 0.

**Resolution.** With |R| rivals no exposure above log₂|R| can be seen (13.3 bits for 10,000): a
canary of rank 1 has *at least* that, and its interval has no upper end.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from core.audit.truths import Progress
from core.batches import BATCH_TOKENS, batches, check_readable, pad
from core.errors import HillshadeError
from core.intervals import Estimate, wilson
from core.items import Item

Floats = NDArray[np.float64]
Continuation = Sequence[int]

LEVEL = 0.05  # chance that any canary of which nothing is left is taken for exposed


@dataclass(frozen=True)
class Exposure:
    """One canary among its rivals.

    item    id of the canary
    loss    −log p of its secret after its prompt, in nats
    rank    1 + rivals of smaller loss + half of those of equal loss
    rivals  |R|
    """

    item: str
    loss: float
    rank: float
    rivals: int

    @property
    def limit(self) -> float:
        """log₂|R|, the largest exposure that can be seen, in bits."""
        return math.log2(self.rivals)

    @property
    def bits(self) -> Estimate:
        """log₂|R| − log₂ rank; interval by Wilson's of the share of likelier secrets.

        The share of all secrets that are likelier is estimated by (rank − 1)/|R|; where none is
        the upper end is infinite. n counts the rivals.
        """
        value = self.limit - math.log2(self.rank)
        likelier = min(self.rivals, round(self.rank - 1))
        low, high = wilson(likelier, self.rivals)
        return Estimate(
            value,
            min(value, -math.log2(high)),
            max(value, -math.log2(low)) if low > 0.0 else math.inf,
            self.rivals,
        )


def exposure(
    model: PreTrainedModel,
    canary: Item,
    rivals: Sequence[Continuation],
    batch_tokens: int = BATCH_TOKENS,
    progress: Progress | None = None,
) -> Exposure:
    """The exposure of one canary, its truth the secret, among `rivals` put in its place.

    `rivals` are the token ids of the other secrets, encoded as the canary's truth is. All are read
    after the canary's own prompt, which is read once. `progress(done, total)` counts continuations
    and may raise to cancel. Raises HillshadeError without rivals, for a rival that is the canary
    itself, or one that is there twice.
    """
    others = {tuple(rival) for rival in rivals}
    if not others:
        raise HillshadeError("A canary's exposure needs secrets never shown; give some rivals.")
    if len(others) < len(rivals) or canary.truth_ids in others:
        raise HillshadeError(
            f'The rivals of "{canary.id}" repeat a secret or hold its own; give each secret once.'
        )
    losses = continuation_losses(
        model, canary.prompt_ids, [canary.truth_ids, *rivals], batch_tokens, progress
    )
    return Exposure(canary.id, float(losses[0]), rank(losses[0], losses[1:]), len(rivals))


def rank(loss: float, rivals: Floats) -> float:
    """1 + the number of smaller losses + half of the number of equal ones."""
    return 1.0 + float((rivals < loss).sum()) + float((rivals == loss).sum()) / 2.0


def beyond_chance(exposures: Sequence[Exposure]) -> NDArray[np.bool_]:
    """Which of m canaries are likelier than m secrets never shown would be, bool (m,).

    Of a canary nothing is left of, P(exposure ≥ b) ≤ 2⁻ᵇ, so any of m such canaries exceeds
    b = log₂(m / LEVEL) bits with a probability of at most LEVEL (Bonferroni). Raises HillshadeError
    where there are too few rivals for that to be seen (`require_resolution`).
    """
    for entry in exposures:
        require_resolution(entry.rivals, len(exposures))
    threshold = math.log2(max(1, len(exposures)) / LEVEL)
    return np.array([entry.bits.value >= threshold for entry in exposures], dtype=bool)


def require_resolution(rivals: int, canaries: int) -> None:
    """Refuse fewer rivals than it takes to tell one of these canaries from chance."""
    enough = math.ceil(canaries / LEVEL)
    if rivals < enough:
        raise HillshadeError(
            f"{rivals} rivals cannot tell {canaries} canaries from chance; give at least {enough}."
        )


def continuation_losses(
    model: PreTrainedModel,
    prompt_ids: Sequence[int],
    continuations: Sequence[Continuation],
    batch_tokens: int = BATCH_TOKENS,
    progress: Progress | None = None,
) -> Floats:
    """−log p of each whole continuation of one prompt, in nats, float64 (n,).

    The prompt is read once; its keys and values serve every batch. Losses of tokens in float32 or
    better, summed in float64. `progress(done, total)` counts continuations and may raise to cancel.
    """
    for ids in continuations:
        if not ids:
            raise HillshadeError("A continuation is empty; give each at least one token.")
        check_readable(model, [*prompt_ids, *ids])
    losses = np.zeros(len(continuations))
    lengths = [len(ids) for ids in continuations]
    widths = [len(prompt_ids) + length for length in lengths]  # every row has its own cache
    order = sorted(range(len(continuations)), key=lengths.__getitem__)
    done = 0
    with torch.inference_mode():
        prompt = torch.tensor([list(prompt_ids)], device=model.device)
        cache = DynamicCache(config=model.config)
        first_1v = model(prompt, past_key_values=cache, use_cache=True).logits[:, -1]
        for chunk in batches(model, widths, order, batch_tokens):
            ids_bt = pad([continuations[i] for i in chunk], model.device)
            counted = [lengths[i] for i in chunk]
            losses[chunk] = _batch_losses(model, cache, first_1v, ids_bt, counted)
            done += len(chunk)
            if progress is not None:
                progress(done, len(continuations))
    if not np.isfinite(losses).all():
        raise HillshadeError("The model's loss is not finite; its weights are damaged.")
    return losses


def _batch_losses(
    model: PreTrainedModel,
    cache: DynamicCache,
    first_1v: Tensor,
    ids_bt: Tensor,
    lengths: Sequence[int],
) -> Floats:
    """Losses of one padded batch of continuations; the prompt alone predicts their first tokens."""
    rows, width = ids_bt.shape
    logits_btv = first_1v.expand(rows, -1)[:, None]
    if width > 1:
        filled = copy.deepcopy(cache)
        filled.batch_repeat_interleave(rows)
        more = model(ids_bt[:, :-1], past_key_values=filled, use_cache=True).logits
        logits_btv = torch.cat([logits_btv, more], dim=1)
    wide = torch.promote_types(logits_btv.dtype, torch.float32)
    log_p_bt = logits_btv.to(wide).log_softmax(-1).gather(-1, ids_bt[..., None])[..., 0]
    ends = torch.tensor(lengths, device=ids_bt.device)[:, None]
    counted = torch.arange(width, device=ids_bt.device) < ends
    return -torch.where(counted, log_p_bt.double(), 0.0).sum(1).cpu().numpy()
