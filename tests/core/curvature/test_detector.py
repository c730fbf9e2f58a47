"""Detector, baselines, matching and activation bands against plain loops and known answers."""

import numpy as np
import pytest
import torch

from core.basis import bases
from core.curvature.activation import activation_ratios
from core.curvature.bands import eigen_bands, share_bands
from core.curvature.detector import (
    TokenScores,
    auc,
    detect,
    matched,
    min_k,
    private_share,
    token_pairs,
    token_scores,
)
from core.curvature.examples import Example, example_inputs
from core.errors import HillshadeError
from core.factors import collect
from core.measures import read
from core.projection import find_projections, select
from tests.tiny import TEXTS, tiny


def test_private_share_counts_what_flat_directions_write() -> None:
    u_a = torch.eye(5, dtype=torch.float64)  # the flattest three of five are 2, 3 and 4
    weight = torch.diag(torch.tensor([1.0, 1.0, 2.0, 1.0, 0.0], dtype=torch.float64))
    a = torch.tensor(
        [[1.0, 1, 1, 1, 9], [3, 0, 0, 0, 5], [0, 0, 1, 0, 0], [0, 0, 0, 0, 1]], dtype=torch.float64
    )
    assert private_share(weight, u_a, a).tolist() == pytest.approx([5 / 7, 0.0, 1.0, 0.0])
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0)).double())[
        0
    ]
    turned = private_share(weight @ turn.T, turn @ u_a, a[:3] @ turn.T)
    assert turned.tolist() == pytest.approx([5 / 7, 0.0, 1.0])


def test_token_scores_read_loss_and_shares_at_the_counted_positions() -> None:
    model = tiny("olmo2").eval()
    projections = select(find_projections(model), [0, 2], ["up", "down"])
    made = bases(collect(model, TEXTS, projections), projections)
    texts = [Example.of_text(ids) for ids in TEXTS]
    whole = token_scores(model, made, projections, texts)
    reading = read(model, TEXTS)
    assert whole.mean(whole.loss) == pytest.approx(reading.loss / reading.tokens, rel=1e-6)
    suffix = token_scores(model, made, projections, [Example(TEXTS[0], range(3, 7)), *texts[1:]])
    for name, shares in whole.shares.items():
        assert ((shares >= 0) & (shares <= 1)).all()
        assert np.allclose(suffix.shares[name], shares[3:], rtol=1e-12)
    assert np.allclose(suffix.loss, whole.loss[3:])
    with pytest.raises(HillshadeError, match="no curvature basis"):
        token_scores(model, {}, projections, texts)


def test_auc_against_counting_pairs_and_its_interval() -> None:
    rng = np.random.default_rng(0)
    high, low = rng.normal(1, 1, 40).round(1), rng.normal(0, 1, 30).round(1)
    wins = (high[:, None] > low).mean() + 0.5 * (high[:, None] == low).mean()
    found = auc(high, low)
    assert found.value == pytest.approx(wins) and found.low < wins < found.high and found.n == 70
    mirrored = auc(low, high)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low))
    perfect = auc(high + 100, low)
    assert perfect.value == perfect.high == 1.0 and 0.9 < perfect.low < 1.0
    covered = []
    for _ in range(200):  # true AUC of shifted normals: Φ(1/√2) = .760
        some = auc(rng.normal(1, 1, 25), rng.normal(0, 1, 25))
        covered.append(some.low <= 0.7602 <= some.high)
    assert 0.9 <= np.mean(covered) <= 0.99
    with pytest.raises(HillshadeError, match="at least one of each"):
        auc(high, low[:0])


def scores(losses: list[list[float]], shares: list[list[float]]) -> TokenScores:
    owner = np.repeat(np.arange(len(losses)), [len(loss) for loss in losses])
    return TokenScores(owner, np.concatenate(losses), {"w": np.concatenate(shares)})


def test_at_equal_loss_a_detector_that_only_retells_the_loss_is_unmasked() -> None:
    rng = np.random.default_rng(1)
    memorized = [rng.exponential(0.3, 30).tolist() for _ in range(60)]
    fresh = [rng.exponential(1.0, 30).tolist() for _ in range(60)]

    def told(by_loss: bool) -> tuple[TokenScores, TokenScores]:
        def share(losses: list[list[float]], more: float) -> list[list[float]]:
            return [
                [float(np.exp(-x)) if by_loss else rng.normal(more, 0.3) for x in loss]
                for loss in losses
            ]

        return scores(memorized, share(memorized, 0.6)), scores(fresh, share(fresh, 0.2))

    (mine, other), parrot = told(False), detect(*told(True))
    honest = detect(mine, other)
    assert parrot.loss.value > 0.99 and parrot.min_k.value > 0.9 and parrot.shares["w"].value > 0.99
    retold, loss, told_apart = (
        parrot.tokens_shares["w"], parrot.tokens_loss, honest.tokens_shares["w"]
    )  # fmt: skip
    assert retold is not None and loss is not None and told_apart is not None
    assert parrot.tokens > 300 and abs(loss.value - 0.5) < 0.01
    assert abs(retold.value - 0.5) < 0.01 and retold.low < 0.5 < retold.high
    left, right = token_pairs(mine.loss, other.loss)
    pooled = auc(mine.shares["w"][left], other.shares["w"][right])
    assert told_apart.low > 0.7 and told_apart.value == pytest.approx(pooled.value)
    assert parrot.pairs < 5 and parrot.pairs_shares["w"] is None


@pytest.mark.parametrize("holders", [4, 5])
def test_tokens_of_few_texts_have_a_finite_interval_or_none(holders: int) -> None:
    """Of most texts no token has its like: a draw of those alone would have nothing to rank."""
    rng = np.random.default_rng(0)
    memorized = [[0.01 * n, 1.0 if n <= holders else 9.0] for n in range(1, 31)]
    fresh = [[1.0, 30.0] for _ in range(30)]
    shares = [rng.random((30, 2)).tolist() for _ in range(2)]
    found = detect(scores(memorized, shares[0]), scores(fresh, shares[1]))
    told = found.tokens_loss, found.tokens_shares["w"]
    assert found.tokens == holders
    for auc_ in told:
        assert (auc_ is None) == (holders < 5)
        assert auc_ is None or 0 <= auc_.low <= auc_.value <= auc_.high <= 1


def test_pairs_are_close_and_used_once() -> None:
    left, right = matched(np.array([0.1, 0.5, 2.0, 0.52]), np.array([0.55, 0.51, 9.0]))
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(1, 1), (3, 0)]
    loss, fresh = np.array([0.1, 1.0, 3.0, 0.001]), np.array([0.99, 0.00101, 2.0, 1.01, 0.3])
    left, right = token_pairs(loss, fresh)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(3, 1), (1, 0)]
    some = scores([[3.0, 1, 2, 5, 4], [0.5]], [[0.0] * 5, [0.0]])
    assert min_k(some).tolist() == [-5.0, -0.5]


def test_activation_ratios_against_a_loop() -> None:
    model = tiny("olmo2").eval()
    projections = select(find_projections(model), [1], ["gate", "up", "down"])
    made = bases(collect(model, TEXTS, projections), projections)
    texts = [Example(TEXTS[0], range(3, 7)), *map(Example.of_text, TEXTS[1:])]
    with torch.no_grad():
        model.get_input_embeddings().weight[8] = 0.0  # the text that begins with it reads zeros
    found = activation_ratios(model, made, projections, texts[:2], texts[2:])
    for ratio in found:
        basis = made[ratio.projection]
        rows = {
            number: inputs[ratio.projection] @ basis.u_a
            for number, inputs in example_inputs(model, projections, texts)
        }
        assert len(rows[0]) == 4
        assert not rows[4][0].any() and rows[4][1:].all()
        sets = [torch.cat([rows[n] for n in numbers]).numpy() for numbers in ((0, 1), (2, 3, 4))]
        for band, some in enumerate(eigen_bands(len(basis.mu))):
            weights = (share_bands(basis).grid == band).sum(0)
            by_hand = {
                "marginal": [np.linalg.norm(a[:, some], axis=1).mean() for a in sets],
                "pair-faithful": [np.average(np.abs(a).mean(0), weights=weights) for a in sets],
                "energy share": [
                    sum((x[some] ** 2).sum() / (x**2).sum() for x in a if x.any()) / len(a)
                    for a in sets
                ],
            }
            for measure, (over, under) in by_hand.items():
                estimate = ratio.ratios[measure][band]  # type: ignore[index]
                assert estimate.value == pytest.approx(over / under, rel=1e-10)
                assert estimate.low <= estimate.value <= estimate.high
    same = activation_ratios(model, made, projections, texts, texts)
    assert same[0].ratios["marginal"][0].value == pytest.approx(1.0, rel=1e-12)
    with pytest.raises(HillshadeError, match="at least one of each"):
        activation_ratios(model, made, projections, texts, [])
