"""Which label each position is given: the text's own (gold) or one drawn from the model (sampled).

With labels drawn from the model's own softmax the mean of g gᵀ is the Fisher information; with gold
labels it is the *empirical* Fisher, another matrix. The draw is keyed, never taken from a global
random state: the uniform number for a position depends on (seed, draw number, sha256 of the ids or
the image's pixels, position) and nothing else, so batching, order, padding and the number of
processes change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.images import Image

Labels = Literal["sampled", "gold"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_CHUNK_ELEMENTS = 1 << 24  # float64 elements of one softmax chunk: 128 MiB


def keyed_uniforms(seed: int, content: Sequence[int] | Image, draw: int = 0) -> NDArray[np.float64]:
    """One uniform number in [0, 1) per prediction: float64[len(ids) - 1], of an image float64[1].

    u_t = splitmix64(key + (t + 1) * golden) >> 11, times 2⁻⁵³, where key is the first 8 bytes of
    sha256(seed, draw, digest), digest the sha256 of the ids or of the image. Counter-based: u_t
    needs no u_s.
    Source: the splitmix64 output function (Steele, Lea, Flood, OOPSLA 2014).
    """
    if isinstance(content, Image):
        digest = content.digest
    else:
        digest = hashlib.sha256(np.asarray(content, dtype="<i8").tobytes()).digest()
    key = hashlib.sha256(f"{seed} {draw} ".encode() + digest).digest()[:8]
    counter = np.arange(1, predictions(content) + 1, dtype=np.uint64) * _GOLDEN
    z = counter + np.frombuffer(key, dtype="<u8")[0]  # wraps modulo 2**64, as intended
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def predictions(content: Sequence[int] | Image) -> int:
    """How many labels a text or an image takes: every token but the first, or one class."""
    return 1 if isinstance(content, Image) else len(content) - 1


def draw_labels(logits_nv: Tensor, uniforms_n: Tensor) -> Tensor:
    """Sample one class per row from softmax(logits) by inverting its cumulative sum.

    The label is the first class whose cumulative probability exceeds u: int64[n]. A class of
    probability 0 is never drawn. Softmax and sum run in float64, in chunks of rows.
    """
    rows = max(1, _CHUNK_ELEMENTS // logits_nv.shape[1])
    labels = [
        _invert(logits.detach(), u)
        for logits, u in zip(logits_nv.split(rows), uniforms_n.split(rows), strict=True)
    ]
    return torch.cat(labels)


def _invert(logits_nv: Tensor, uniforms_n: Tensor) -> Tensor:
    cumulative = logits_nv.double().softmax(-1).cumsum(-1)
    target = uniforms_n.double()[:, None] * cumulative[:, -1:]  # the sum is 1 only up to rounding
    index = torch.searchsorted(cumulative, target, right=True)[:, 0]
    return index.clamp_(max=logits_nv.shape[1] - 1)
