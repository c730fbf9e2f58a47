"""How far an edit has moved what a model predicts, token by token: KL divergence and nDCG@10.

At every counted position of a text, with p the prediction before and q the one after,

    KL(before‖after) = Σ_c p_c (ln p_c − ln q_c), in nats
    nDCG@10          = Σ_{r=1..10} rel_r / log₂(r + 1), divided by its largest value,
                       rel_r = 11 − r if the token that `after` ranks r-th is among the ten that
                       `before` ranks first (as a set), else 0

1 means that the ten likeliest tokens are the same set, in any order. Both are means over tokens;
the tokens of one text are not independent, so intervals treat the text as the unit.

Source: Merullo et al. 2025 (nDCG@10 as a measure of an edit); Järvelin & Kekäläinen 2002 (DCG).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from core.batches import BATCH_TOKENS, batches, check_readable, pad
from core.errors import HillshadeError
from core.intervals import Estimate, ratio_of_sums
from core.measures import Sequences

TOP = 10
_CHUNK_ELEMENTS = 1 << 24  # float64 elements of one softmax: 128 MiB


@dataclass(frozen=True)
class Divergence:
    """Sums over the counted tokens of each of S texts, all of shape (S,).

    kl      Σ_t KL(before‖after) in nats, float64
    ndcg    Σ_t nDCG@10, float64
    tokens  how many tokens were counted (length − 1), int64
    """

    kl: NDArray[np.float64]
    ndcg: NDArray[np.float64]
    tokens: NDArray[np.int64]

    @property
    def kl_per_token(self) -> Estimate:
        """Mean KL(before‖after) in nats a token, interval over texts; never below 0."""
        mean = ratio_of_sums(self.kl, self.tokens)
        return Estimate(mean.value, max(mean.low, 0.0), mean.high, mean.n)

    @property
    def ndcg_at_10(self) -> Estimate:
        """Mean nDCG@10, interval over texts, within 0..1."""
        mean = ratio_of_sums(self.ndcg, self.tokens)
        return Estimate(mean.value, max(mean.low, 0.0), min(mean.high, 1.0), mean.n)


def divergence(
    before: PreTrainedModel,
    after: PreTrainedModel,
    sequences: Sequences,
    batch_tokens: int = BATCH_TOKENS,
    progress: Callable[[int, int], None] | None = None,
) -> Divergence:
    """Compare the predictions of two models of one vocabulary on the same texts.

    One forward pass of each; softmax in float64. `progress(done, total)` counts texts and may raise
    to cancel. Raises HillshadeError for texts that `core.measures.read` refuses, models of
    different vocabularies, and predictions that are not finite.
    """
    if not sequences:
        raise HillshadeError("There is no text to compare predictions on; give some sequences.")
    for sequence in sequences:
        for model in (before, after):
            check_readable(model, sequence)
        if len(sequence) < 2:
            raise HillshadeError("A sequence of one token predicts nothing; give longer texts.")
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    kl, ndcg = np.zeros(len(lengths)), np.zeros(len(lengths))
    done = 0
    with torch.inference_mode():
        order = np.argsort(lengths, kind="stable").tolist()
        for chunk in batches(before, lengths.tolist(), order, batch_tokens):
            ids = pad([sequences[i] for i in chunk], before.device)
            counted = (
                torch.arange(ids.shape[1])[None] < torch.from_numpy(lengths[chunk] - 1)[:, None]
            )
            rows = [model(ids, use_cache=False).logits[counted] for model in (before, after)]
            if rows[0].shape != rows[1].shape:
                raise HillshadeError("The models have different vocabularies; compare an edit.")
            owner = counted.nonzero()[:, 0].numpy()
            for sums, values in ((kl, _kl(*rows)), (ndcg, ndcg_at_10(*rows))):
                sums[chunk] = np.bincount(owner, values.cpu().numpy(), len(chunk))
            done += len(chunk)
            if progress is not None:
                progress(done, len(lengths))
    if not np.isfinite(kl).all():
        raise HillshadeError(
            "A prediction is not finite, or impossible after the edit; check the edited weights."
        )
    return Divergence(kl, ndcg, lengths - 1)


def ndcg_at_10(before_nv: Tensor, after_nv: Tensor) -> Tensor:
    """nDCG@10 of each row of logits, float64[n] (with fewer than ten tokens: of all)."""
    top = min(TOP, before_nv.shape[1])
    first, then = (logits.topk(top, dim=1).indices for logits in (before_nv, after_nv))
    rank = torch.arange(1, top + 1, dtype=torch.float64, device=before_nv.device)
    worth = (TOP + 1 - rank) / torch.log2(rank + 1)
    found = (then[:, :, None] == first[:, None, :]).any(2)
    return (found * worth).sum(1) / worth.sum()


def _kl(before_nv: Tensor, after_nv: Tensor) -> Tensor:
    """KL(before‖after) of each row of logits, float64[n]; a token of probability 0 adds nothing."""
    rows = max(1, _CHUNK_ELEMENTS // before_nv.shape[1])
    parts: list[Tensor] = []
    for before, after in zip(before_nv.split(rows), after_nv.split(rows), strict=True):
        ln_p, ln_q = before.double().log_softmax(1), after.double().log_softmax(1)
        terms = torch.where(ln_p == -torch.inf, 0.0, ln_p.exp() * (ln_p - ln_q))
        parts.append(terms.sum(1))
    return torch.cat(parts)
