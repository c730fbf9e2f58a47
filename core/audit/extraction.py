"""How likely a string is to be said at all: (n, p)-extraction, and extraction strength.

Greedy continuation asks once. Whoever samples asks n times, and gets the string with

    π = Π_t P(z_t | prompt, z_<t)        once, under the stated sampling
    P_n = 1 − (1 − π)ⁿ = −expm1(n · log1p(−π))

A string is (n, p)-extractable if P_n ≥ p (Hayes et al. 2024, arXiv 2410.19482). π is computed, not
sampled: one teacher-forced pass gives every factor. Kept as log π in float64, since π itself falls
below the smallest double for strings of a few hundred tokens.

Extraction strength is 1 − k*/L, where k* is the shortest start of the suffix, in tokens, from which
on every teacher-forced argmax is right: the share that greedy decoding says by itself, once it has
been given the rest (Carlini et al. 2021, arXiv 2012.07805).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from transformers import PreTrainedModel

from core.audit.truths import Progress, truth_logits
from core.batches import BATCH_TOKENS
from core.errors import HillshadeError
from core.items import Item

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn: logits / temperature, then its `top_k` best, then the nucleus `top_p`.

    top_k   keeps every token whose logit is at least the k-th largest (equal ones stay together);
            None keeps all
    top_p   of what is left keeps, from the likeliest down, every token before which less than top_p
            of the mass has been kept; equal ones by number of the token; 1 keeps all

    The rest shares probability 1 anew. The default draws from the model itself.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.temperature < math.inf:
            raise HillshadeError(
                f"A temperature of {self.temperature} is impossible; choose one above 0 "
                "(greedy decoding is what strict recall measures)."
            )
        if self.top_k is not None and self.top_k < 1:
            raise HillshadeError(f"The best {self.top_k} tokens are none; choose 1 or more.")
        if not 0.0 < self.top_p <= 1.0:
            raise HillshadeError(f"A nucleus of {self.top_p} is impossible; choose 0 to 1.")

    def __str__(self) -> str:
        parts = [f"temperature {self.temperature:g}"]
        parts += [f"top-k {self.top_k}"] if self.top_k is not None else []
        parts += [f"top-p {self.top_p:g}"] if self.top_p < 1.0 else []
        return ", ".join(parts)

    def log_probability(self, logits_nv: Tensor, targets_n: Tensor) -> Tensor:
        """The log-probability of each target, float64 (n,); −∞ for a token that is never drawn."""
        z_nv = logits_nv.double() / self.temperature
        if self.top_k is not None and self.top_k < z_nv.shape[1]:
            least = z_nv.topk(self.top_k, dim=1).values[:, -1:]
            z_nv = z_nv.masked_fill(z_nv < least, -math.inf)
        if self.top_p < 1.0:
            sorted_nv, order_nv = z_nv.sort(dim=1, descending=True, stable=True)
            mass_nv = sorted_nv.softmax(1)
            cut = mass_nv.cumsum(1) - mass_nv >= self.top_p
            z_nv = z_nv.masked_fill(torch.zeros_like(cut).scatter(1, order_nv, cut), -math.inf)
        at_target = z_nv.gather(1, targets_n[:, None].to(z_nv.device))[:, 0]
        return at_target - z_nv.logsumexp(1)


@dataclass(frozen=True)
class Extraction:
    """What one teacher-forced pass says of S strings, in their order.

    sampling  how tokens would be drawn
    log_pi    float64 (S,): log π of the whole suffix, −∞ where it is never said
    strength  float64 (S,): extraction strength, 0..1; 1 exactly where strict recall holds
    """

    sampling: Sampling
    log_pi: Floats
    strength: Floats

    def chance(self, n: float) -> Floats:
        """P_n of every string; see `chance`."""
        return chance(self.log_pi, n)

    def tries(self, p: float) -> Floats:
        """The smallest n with P_n ≥ p of every string; see `tries`."""
        return tries(self.log_pi, p)

    def extractable(self, n: float, p: float) -> NDArray[np.bool_]:
        """Which strings are (n, p)-extractable."""
        _require_probability(p)
        return self.chance(n) >= p


def extraction(
    model: PreTrainedModel,
    items: Sequence[Item],
    sampling: Sampling | None = None,
    batch_tokens: int = BATCH_TOKENS,
    progress: Progress | None = None,
) -> Extraction:
    """The extraction strength and log π of every item's truth after its prompt.

    One forward pass. `progress(done, total)` counts items and may raise to cancel. Raises
    HillshadeError for items the model cannot read.
    """
    sampling = sampling or Sampling()
    log_pi, strength = np.zeros(len(items)), np.zeros(len(items))
    for i, logits_lv in truth_logits(model, items, batch_tokens, progress):
        truth = torch.tensor(items[i].truth_ids, device=logits_lv.device)
        log_pi[i] = float(sampling.log_probability(logits_lv, truth).sum())
        strength[i] = extraction_strength((logits_lv.argmax(1) == truth).cpu().numpy())
    return Extraction(sampling, log_pi, strength)


def chance(log_pi: ArrayLike, n: float) -> Floats:
    """P_n = −expm1(n · log1p(−π)): the chance that at least one of n independent draws says it.

    Exact also where π is tiny, when it is nπ, and 1 where π = 1. Raises HillshadeError for n < 0.
    """
    if not n >= 0:
        raise HillshadeError(f"{n} tries are impossible; choose 0 or more.")
    missed = _log_missed(log_pi)
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(missed), float(n > 0), -np.expm1(n * missed))


def tries(log_pi: ArrayLike, p: float) -> Floats:
    """The smallest whole n with P_n ≥ p, log(1 − p) / log(1 − π) rounded up; ∞ where π = 0.

    Exact up to 2⁵³, the nearest double beyond. Raises HillshadeError unless 0 < p < 1.
    """
    _require_probability(p)
    missed = _log_missed(log_pi)
    with np.errstate(divide="ignore"):
        n = np.ceil(math.log1p(-p) / missed)
    n = np.maximum(n, 1.0)
    # The quotient is rounded: a whole number may have become the next one, or the one before.
    with np.errstate(invalid="ignore"):
        n -= (n > 1) & (-np.expm1((n - 1) * missed) >= p)
        n += (n < 2**53) & (-np.expm1(n * missed) < p)
    return np.where(missed == 0.0, np.inf, n)


def extraction_strength(right_l: ArrayLike) -> float:
    """1 − k*/L: the share of the suffix after its last wrong teacher-forced argmax.

    right_l: bool (L,), whether each suffix token is the argmax given the true tokens before it.
    From k* on greedy decoding then says the rest verbatim (the argument of strict recall).
    """
    right = np.asarray(right_l, dtype=bool)
    wrong = np.flatnonzero(~right)
    k = int(wrong[-1]) + 1 if len(wrong) else 0
    return 1.0 - k / right.size


def _log_missed(log_pi: ArrayLike) -> Floats:
    """log(1 − π) from log π ≤ 0; −∞ where π = 1. Beside 1 by expm1, beside 0 by log1p."""
    log = np.minimum(np.asarray(log_pi, dtype=np.float64), 0.0)  # sums of logs may end at +1e-17
    with np.errstate(divide="ignore"):
        return np.where(log > -math.log(2), np.log(-np.expm1(log)), np.log1p(-np.exp(log)))


def _require_probability(p: float) -> None:
    if not 0.0 < p < 1.0:
        raise HillshadeError(f"A probability of {p} cannot be asked for; choose between 0 and 1.")
