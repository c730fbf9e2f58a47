"""A certificate on covariances whose spectra, subspaces and curvature are known."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from core.basis import Basis, bases
from core.certificate import certificate, effective_rank, sample_pairs
from core.ekfac import collect_ekfac
from core.errors import HillshadeError
from core.factors import Factors, collect
from core.projection import find_projections, select
from tests.tiny import VOCABULARY, tiny


def made_up(a: Tensor, g: Tensor, count: int = 100) -> Factors:
    """Factors of one projection with these two means."""
    (p,) = select(find_projections(tiny("gpt2")), [1], ["up"])
    p = replace(p, out_features=len(g), in_features=len(a))
    return Factors(
        (p,), count, "gold", None, {p.input_key: a * count}, {p.name: g * count}, {p.name: "w"}
    )


def basis_of(factors: Factors) -> Basis:
    return bases(factors, factors.projections)[factors.projections[0].name]


def rotated(diagonal: list[float], angle: float) -> Tensor:
    """diag(…) with its first and last axis turned into each other by `angle`."""
    turn = torch.eye(len(diagonal), dtype=torch.float64)
    turn[0, 0] = turn[-1, -1] = math.cos(angle)
    turn[0, -1], turn[-1, 0] = -math.sin(angle), math.sin(angle)
    return turn @ torch.diag(torch.tensor(diagonal, dtype=torch.float64)) @ turn.T


def test_effective_rank_is_the_exponential_of_the_entropy() -> None:
    assert effective_rank(np.ones(7)) == pytest.approx(7.0)
    assert effective_rank(np.array([3.0, 0.0, 0.0])) == 1.0
    assert effective_rank(np.zeros(3)) == 0.0
    assert effective_rank(np.array([0.5, 0.25, 0.25])) == pytest.approx(2**1.5)


def test_what_is_stated_of_each_side() -> None:
    spectrum = [8.0, 1.0, 0.6, 0.4]
    angle = 0.3
    g = torch.diag(torch.tensor([4.0, 2.0], dtype=torch.float64))
    whole = made_up(rotated(spectrum, 0.0), g)
    halves = made_up(rotated(spectrum, angle), g, 50), made_up(rotated(spectrum, -angle), g, 50)
    found = certificate(basis_of(whole), whole, halves=halves)
    assert (found.positions, found.labels, found.ratio, found.pairs) == (100, "gold", None, ())
    assert (found.a.dimensions, found.g.dimensions) == (4, 2)
    assert (found.a.positions_per_dimension, found.g.positions_per_dimension) == (25.0, 50.0)
    half, most, nearly = found.a.overlaps
    # The leading axes of the halves are 2·angle apart: their subspaces share cos² of it.
    assert (half.rank, half.chance) == (1, 0.25)
    assert half.overlap == pytest.approx(math.cos(2 * angle) ** 2, rel=1e-12)
    assert (most.rank, nearly.rank) == (2, 4)
    assert most.overlap == pytest.approx((math.cos(2 * angle) ** 2 + 1) / 2, rel=1e-12)
    assert nearly.overlap == pytest.approx(1.0) == nearly.chance
    assert [overlap.overlap for overlap in found.g.overlaps] == pytest.approx([1.0] * 3)
    assert found.a.residual < 1e-12
    assert found.a.clamped == found.g.clamped == 0
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False)) == found.as_dict()


def test_sampled_pairs_are_those_of_their_ranks() -> None:
    rng = np.random.default_rng(0)
    a, g = (torch.diag(torch.from_numpy(rng.pareto(1.0, n))) for n in (30, 20))
    basis = basis_of(made_up(a, g))
    sample = sample_pairs(basis, 25, seed=1)
    grid = np.outer(basis.lam, basis.mu)
    order = np.argsort(-grid.ravel(), kind="stable")
    assert np.array_equal(order[sample.ranks - 1], sample.rows * 30 + sample.columns)
    assert (np.diff(sample.ranks) > 0).all()
    assert sample.ranks[0] == 1 and sample.ranks[-1] > 300
    assert not np.array_equal(sample.ranks, sample_pairs(basis, 25, seed=2).ranks)
    for place, direction in enumerate(sample.directions(basis)):
        dense = direction.dense(basis.name)
        assert direction.norm == pytest.approx(1.0)
        i, j = sample.rows[place], sample.columns[place]
        assert torch.allclose(dense, torch.outer(basis.u_g[:, i], basis.u_a[:, j]))


def test_the_ratio_is_the_median_over_pairs_with_its_interval() -> None:
    """On a real model with Λˢᵉᑫ for the true curvature; exact where curvature is 3 λμ."""
    model = tiny("olmo2").eval()
    rng = np.random.default_rng(0)
    texts = [tuple(rng.integers(VOCABULARY, size=20).tolist()) for _ in range(30)]
    chosen = select(find_projections(model), [2], ["down"])
    first, second = (collect(model, texts[part::2], chosen) for part in (0, 1))
    factors = first.mixed(second, second.count / (first.count + second.count))
    basis = bases(factors, chosen)[chosen[0].name]
    sample = sample_pairs(basis)
    true = collect_ekfac(model, texts, {basis.name: basis}, chosen)[basis.name].sequence.numpy()
    curvature = true[sample.rows, sample.columns]
    found = certificate(basis, factors, halves=(first, second), sample=sample, curvature=curvature)
    ratios = curvature / (basis.lam[sample.rows] * basis.mu[sample.columns])
    assert found.ratio is not None
    assert found.ratio.value == pytest.approx(np.median(ratios))
    assert found.ratio.low < found.ratio.value < found.ratio.high
    assert found.ratio.n == len(found.pairs) == len(sample.ranks)
    assert [pair.curvature for pair in found.pairs] == curvature.tolist()
    assert all(o.chance < o.overlap < 1.0 for o in found.a.overlaps[:1])
    triple = 3.0 * basis.lam[sample.rows] * basis.mu[sample.columns]
    exact = certificate(basis, factors, sample=sample, curvature=triple).ratio
    assert exact is not None
    assert (exact.low, exact.value, exact.high) == pytest.approx((3.0, 3.0, 3.0))


def test_what_does_not_belong_together_is_refused() -> None:
    whole = made_up(torch.eye(3, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    basis = basis_of(whole)
    name = basis.name
    with pytest.raises(HillshadeError, match="are not those of the basis"):
        certificate(basis, replace(whole, digests={name: "other"}))
    with pytest.raises(HillshadeError, match="go together"):
        certificate(basis, whole, curvature=[1.0])
    sample = sample_pairs(basis, 4)
    with pytest.raises(HillshadeError, match="as many finite curvatures"):
        certificate(basis, whole, sample=sample, curvature=[1.0])
    unknown = replace(basis, scale="unknown")
    assert certificate(unknown, whole).ratio is None
    with pytest.raises(HillshadeError, match="has no ratio to theirs"):
        certificate(unknown, whole, sample=sample, curvature=[1.0] * len(sample.ranks))
    zero = made_up(torch.zeros(3, 3, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    with pytest.raises(HillshadeError, match="are zero"):
        sample_pairs(basis_of(zero))
    assert certificate(basis_of(zero), zero, halves=(zero, zero)).a.overlaps == ()
