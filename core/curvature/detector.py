"""Is a text memorized? Told without labels, from where its activations lie in the basis.

The *private share* of a counted position is the part of a projection's output energy, counted
direction by direction, that comes from the flattest 60 % of A's eigendirections v_j:

    share_t = Σ_{j in the flattest 60 %} ‖W v_j‖² ã_tj²  /  Σ_j ‖W v_j‖² ã_tj²,    ã_t = U_Aᵀ a_t,

and the score of a text is its mean over the text's counted positions. The factors are collected
without the texts in question. Two baselines need labels and no basis: the mean loss (low means
memorized), and min-k % (Shi et al. 2023, arXiv 2310.16789), the mean log-probability of the 20 % of
tokens that are least probable.

Memorized text has a low loss, so a detector may only re-tell the loss. Two comparisons at equal
loss. *Texts in pairs*: a memorized and a fresh text whose mean losses differ by at most 0.1 nats,
matched greedily from the closest pair on, each text once. Such pairs can only be formed of strings
as hard as fresh text, hence hardly of those recalled. *Tokens in pairs*: a memorized and a fresh
token whose losses differ by at most 2 %, each token once, as many pairs as there can be; the AUC
is then that of tokens. Fresh text has easy tokens too, so the second is possible where the first
finds no pair.

The loss's own AUC stands beside both and says how good the matching is: ½ is perfect. Away from ½,
on either side, a detector that follows the loss, or its opposite, would still score; only what
exceeds max(AUC, 1 − AUC) of the loss is evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor
from transformers import PreTrainedModel

from core.basis import Basis
from core.curvature.bands import basis_of
from core.curvature.exact import replayed
from core.curvature.examples import Examples, Progress, example_inputs
from core.curvature.resampling import estimate
from core.errors import HillshadeError
from core.intervals import Z95, Estimate
from core.projection import Projection

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRIVATE = 0.6  # share of A's eigendirections, the flattest, that count as private
MIN_K = 0.2
CALIPER = 0.1  # nats, between the mean losses of two texts
TOKEN_CALIPER = 0.02  # between the logarithms of two tokens' losses
_LEAST = 5  # texts a side below which no AUC is given


@dataclass(frozen=True, eq=False)
class TokenScores:
    """What n texts show at their T counted positions.

    owner   int64 (T,): number of the text
    loss    float64 (T,): −log p of the token that truly follows
    shares  by projection, float64 (T,): the private share
    """

    owner: Ints
    loss: Floats
    shares: Mapping[str, Floats]

    def mean(self, values: Floats) -> Floats:
        """Mean over the positions of each text, (n,)."""
        return np.bincount(self.owner, values) / np.bincount(self.owner)


@dataclass(frozen=True)
class Detection:
    """AUC memorized against fresh, each with its interval; None where too few texts are left.

    shares        by projection, the private share
    loss, min_k   the baselines
    pairs, tokens number of pairs of texts, and of tokens, matched in loss
    pairs_loss, pairs_shares     among these the loss's AUC and, by projection, the private share's
    tokens_loss, tokens_shares   the same of tokens; interval by the bootstrap over texts
    """

    shares: Mapping[str, Estimate]
    loss: Estimate
    min_k: Estimate
    pairs: int
    pairs_loss: Estimate | None
    pairs_shares: Mapping[str, Estimate | None]
    tokens: int
    tokens_loss: Estimate | None
    tokens_shares: Mapping[str, Estimate | None]


def private_share(weight_pq: Tensor, u_a: Tensor, a_tq: Tensor) -> Tensor:
    """The private share of each row, float64 (T,); 0 for a row of no energy."""
    u = u_a.double()
    weight = (weight_pq.double() @ u).square().sum(0)
    energy = (a_tq.double() @ u).square() * weight
    first = len(weight) - round(PRIVATE * len(weight))
    total = energy.sum(1)
    return torch.where(total > 0, energy[:, first:].sum(1) / total, 0.0)


def token_scores(
    model: PreTrainedModel,
    bases: Mapping[str, Basis],
    projections: Sequence[Projection],
    examples: Examples,
    *,
    progress: Progress | None = None,
) -> TokenScores:
    """Loss and private shares at every counted position.

    One pass for the losses, one for the inputs. `progress(done, total)` counts examples and may
    raise to cancel. Raises HillshadeError for unusable texts and a projection without basis.
    """
    weights = {p.name: (p.weight(model).detach(), basis_of(bases, p).u_a) for p in projections}
    highest = max(projections, key=lambda p: p.layer)
    read = replayed(model, [highest], examples).read([()])
    starts = np.concatenate([[0], np.cumsum([example.tokens for example in examples])])
    shares = {p.name: np.zeros(starts[-1]) for p in projections}
    for number, inputs in example_inputs(model, projections, examples, progress=progress):
        for name, a_tq in inputs.items():
            weight, u_a = weights[name]
            part = private_share(weight, u_a.to(a_tq.device), a_tq)
            shares[name][starts[number] : starts[number + 1]] = part.cpu().numpy()
    return TokenScores(read.owner, read.loss[0], shares)


def detect(memorized: TokenScores, fresh: TokenScores) -> Detection:
    """All AUCs of one set of memorized and one of fresh texts."""
    losses = memorized.mean(memorized.loss), fresh.mean(fresh.loss)
    scores = {
        name: (memorized.mean(memorized.shares[name]), fresh.mean(fresh.shares[name]))
        for name in memorized.shares
    }
    left, right = matched(*losses)
    some = token_pairs(memorized.loss, fresh.loss)
    return Detection(
        shares={name: auc(*both) for name, both in scores.items()},
        loss=auc(-losses[0], -losses[1]),
        min_k=auc(min_k(memorized), min_k(fresh)),
        pairs=len(left),
        pairs_loss=_auc_or_none(-losses[0][left], -losses[1][right]),
        pairs_shares={name: _auc_or_none(m[left], f[right]) for name, (m, f) in scores.items()},
        tokens=len(some[0]),
        tokens_loss=_token_auc(memorized, fresh, some, -memorized.loss, -fresh.loss),
        tokens_shares={
            name: _token_auc(memorized, fresh, some, share, fresh.shares[name])
            for name, share in memorized.shares.items()
        },
    )


def min_k(scores: TokenScores) -> Floats:
    """Mean log-probability of each text's least probable 20 % of tokens, at least one, (n,)."""
    split = np.split(scores.loss, np.flatnonzero(np.diff(scores.owner)) + 1)
    return np.array([-np.sort(loss)[-max(1, round(MIN_K * len(loss))) :].mean() for loss in split])


def auc(memorized: Floats, fresh: Floats) -> Estimate:
    """The chance that a memorized text scores higher than a fresh one, ties counting half.

    Interval: Newcombe's method 5 (Statistics in Medicine 25, 2006): the θ at which
    |θ − AUC| = z·√V(θ), with Hanley and McNeil's variance at equal group sizes N = (m + n)/2,
    V(θ) = θ(1 − θ)·[1 + (N − 1)((1 − θ)/(2 − θ) + θ/(1 + θ))]/(mn). Like Wilson's for a share it
    is no point at 0 and 1. Raises HillshadeError for an empty side.
    """
    m, n = len(memorized), len(fresh)
    if not m or not n:
        raise HillshadeError("An AUC needs memorized and fresh texts; give at least one of each.")
    truth = np.repeat([1, 0], [m, n])
    value = float(roc_auc_score(truth, np.concatenate([memorized, fresh])))

    def excess(theta: float) -> float:
        inner = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) * (1 + ((m + n) / 2 - 1) * inner) / (m * n)
        return (theta - value) ** 2 - Z95**2 * variance

    return Estimate(value, _root(excess, 0.0, value), _root(excess, 1.0, value), m + n)


def matched(memorized: Floats, fresh: Floats) -> tuple[Ints, Ints]:
    """Numbers of memorized and fresh texts in pairs whose values differ by at most `CALIPER`."""
    gap = np.abs(memorized[:, None] - fresh[None, :])
    order = np.argsort(gap, axis=None, kind="stable")
    left: list[int] = []
    right: list[int] = []
    for flat in order[: int((gap <= CALIPER).sum())].tolist():
        m, f = divmod(flat, len(fresh))
        if m not in left and f not in right:
            left.append(m)
            right.append(f)
    return np.array(left, dtype=np.int64), np.array(right, dtype=np.int64)


def token_pairs(memorized: Floats, fresh: Floats) -> tuple[Ints, Ints]:
    """Numbers of memorized and fresh tokens in pairs whose losses differ by at most 2 %.

    |ln loss − ln loss′| ≤ `TOKEN_CALIPER`, each token once. Going through both in ascending order
    and pairing the first two that fit gives as many pairs as there can be.
    """
    tiny = np.finfo(np.float32).eps  # below this a float32 loss is rounding
    logs = [np.log(np.maximum(loss, tiny)) for loss in (memorized, fresh)]
    first, second = (np.argsort(log, kind="stable") for log in logs)
    left: list[int] = []
    right: list[int] = []
    m = f = 0
    while m < len(first) and f < len(second):
        gap = logs[0][first[m]] - logs[1][second[f]]
        if abs(gap) <= TOKEN_CALIPER:
            left.append(int(first[m]))
            right.append(int(second[f]))
        m += gap <= TOKEN_CALIPER
        f += gap >= -TOKEN_CALIPER
    return np.array(left, dtype=np.int64), np.array(right, dtype=np.int64)


def _token_auc(
    memorized: TokenScores,
    fresh: TokenScores,
    some: tuple[Ints, Ints],
    values: Floats,
    fresh_values: Floats,
) -> Estimate | None:
    """AUC over the chosen tokens; texts are drawn again, for tokens of one text belong together.

    Only texts that hold a chosen token are drawn: of the others a draw could hold nothing to rank.
    None where they are too few.
    """
    left, right = some
    holders, owners = zip(
        *(np.unique(of.owner[at], return_inverse=True)
          for of, at in ((memorized, left), (fresh, right))), strict=True,
    )  # fmt: skip
    texts = [len(numbers) for numbers in holders]
    if min(texts) < _LEAST:
        return None
    scores = np.concatenate([values[left], fresh_values[right]])
    rank = np.unique(scores, return_inverse=True)[1]

    def statistic(drawn: Ints, fresh_drawn: Ints) -> float:
        high, low = (
            np.bincount(at, np.bincount(numbers, minlength=n)[owner], len(scores))
            for at, numbers, n, owner in zip(
                np.split(rank, 2), (drawn, fresh_drawn), texts, owners, strict=True
            )
        )
        wins = high @ (np.cumsum(low) - low / 2)  # ties count half
        return float(wins / (high.sum() * low.sum()))

    return estimate(statistic, texts)


def _auc_or_none(memorized: Floats, fresh: Floats) -> Estimate | None:
    enough = min(len(memorized), len(fresh)) >= _LEAST
    return auc(memorized, fresh) if enough else None


def _root(excess: Callable[[float], float], end: float, value: float) -> float:
    """Where `excess` changes sign between an end, where it is positive, and the value itself."""
    if value == end:
        return end
    outside, inside = end, value
    for _ in range(60):
        middle = (outside + inside) / 2
        if excess(middle) > 0:
            outside = middle
        else:
            inside = middle
    return (outside + inside) / 2
