"""Do sharp directions point apart? Overlaps of own directions, and how spikes flatten in a mean.

Overlap of two examples: |⟨D_x, D_y⟩| = |u_x·u_y| |v_x·v_y|, beside that of random pairs of unit
vectors of the same shape.

Flattening: with K_xy = ⟨∇_x, ∇_y⟩_F over n examples,

    S(n) = λ_max(K) / n

is the sharpest curvature of the mean (1/n) Σ_x ∇_x ∇_xᵀ (vectorised) over them. Where the ∇_x are
orthogonal it falls like 1/n: what is sharp for one is flat in the mean. Where a direction is shared
it stays. *Raw*, large gradients weigh more; with every ∇_x at length 1 only their angles count and
S(n) lies between 1/n and 1.

K comes from the rows: K_xy = Σ_t Σ_s (g_xt·g_ys)(a_xt·a_ys), no p × q matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.curvature.resampling import percentiles
from core.curvature.spikes import Gradient, Spikes
from core.errors import HillshadeError
from core.intervals import Estimate

Floats = NDArray[np.float64]

_BLOCK_ROWS = 2048
SUBSETS = 200


@dataclass(frozen=True)
class Flattening:
    """S(n) at several n: the mean over random subsets, and the middle 95 % of them.

    At n = all examples there is one subset and no spread to show.
    """

    sizes: tuple[int, ...]
    values: tuple[Estimate, ...]


def overlaps(one: Spikes, other: Spikes) -> Floats:
    """|⟨D_x, D_y⟩| of every x of `one` and y of `other`, float64."""
    return ((one.u @ other.u.T) * (one.v @ other.v.T)).abs().numpy()


def random_spikes(like: Spikes, seed: int = 0) -> Spikes:
    """As many directions u vᵀ with u and v uniform on their spheres."""
    rng = torch.Generator().manual_seed(seed)
    u, v = (
        torch.nn.functional.normalize(torch.randn(t.shape, generator=rng, dtype=t.dtype))
        for t in (like.u, like.v)
    )
    ones = np.ones(len(like))
    return Spikes(like.name, u, v, ones, ones)


def gram(gradients: Sequence[Gradient]) -> Floats:
    """K_xy = ⟨∇_x, ∇_y⟩_F of n examples, float64 (n, n), blocks of rows at a time.

    About N²·(p + q)/2 multiplications for N rows in all; memory: two blocks of 2,048² numbers.
    """
    sizes = [len(g) for g, _ in gradients]
    g, a = (torch.cat([pair[k] for pair in gradients]) for k in (0, 1))
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(g.device)
    total = torch.zeros(len(sizes), len(sizes), dtype=torch.float64, device=g.device)
    blocks = list(
        zip(g.split(_BLOCK_ROWS), a.split(_BLOCK_ROWS), owner.split(_BLOCK_ROWS), strict=True)
    )
    for number, (g_r, a_r, owner_r) in enumerate(blocks):
        for other, (g_s, a_s, owner_s) in enumerate(blocks[: number + 1]):
            products = ((g_r @ g_s.T) * (a_r @ a_s.T)).double()
            by_column = products.new_zeros(len(products), len(sizes))
            by_column.index_add_(1, owner_s, products)
            block = torch.zeros_like(total).index_add_(0, owner_r, by_column)
            total += block if other == number else block + block.T
    return ((total + total.T) / 2).cpu().numpy()


def unit_norm(gram: Floats) -> Floats:
    """K of the same gradients at length 1; HillshadeError where one is zero."""
    length = np.sqrt(gram.diagonal())
    if not (length > 0).all():
        raise HillshadeError(
            "An example has no gradient (the model is certain of every token); leave it out."
        )
    return gram / np.outer(length, length)


def sharpest(gram: Floats) -> float:
    """S = λ_max(K)/n."""
    return float(np.linalg.eigvalsh(gram)[-1]) / len(gram)


def flattening(gram: Floats, sizes: Sequence[int] = (), seed: int = 0) -> Flattening:
    """S(n) over random subsets of the examples, by default at n = 1, 2, 4, … and all of them.

    Raises HillshadeError for a size below 1 or above the number of examples.
    """
    total = len(gram)
    wanted = tuple(sizes) or _doubling(total)
    if min(wanted) < 1 or max(wanted) > total:
        raise HillshadeError(f"Subsets of {total} examples have 1 to {total}; choose among these.")
    rng = np.random.default_rng(seed)
    values = []
    for n in wanted:
        drawn = subsets(gram, n, rng)
        values.append(Estimate(float(drawn.mean()), *percentiles(drawn), n))
    return Flattening(wanted, tuple(values))


def subsets(gram: Floats, n: int, rng: np.random.Generator) -> Floats:
    """S on random subsets of n examples without repetition, (SUBSETS,), or once for all of them."""
    total = len(gram)
    if n == total:
        return np.array([sharpest(gram)])
    chosen = [rng.permutation(total)[:n] for _ in range(SUBSETS)]
    return np.array([sharpest(gram[np.ix_(some, some)]) for some in chosen])


def _doubling(total: int) -> tuple[int, ...]:
    """1, 2, 4, … below `total`, and `total`."""
    return (*(2**k for k in range(total.bit_length()) if 2**k < total), total)
