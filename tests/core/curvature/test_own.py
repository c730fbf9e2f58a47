"""Slices along own directions: each number is what a plainer way gives."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import t

from core.basis import Basis, bases
from core.curvature.exact import ggn_along
from core.curvature.own import STEPS, Own, along_own, cut_share
from core.curvature.spikes import gradients, own_directions, rises
from core.factors import Factors, collect
from core.images import Image, Images
from core.projection import Projection, find_projections, select, weight_digest
from tests.vision import classifier, images

MASSES = (1.0, 0.9, 0.5, 0.1)


@cache
def made() -> tuple[Any, Projection, Factors, dict[str, Basis], list[Image], Own]:
    model = classifier()
    (projection,) = select(find_projections(model), [1], ["up"])
    some = images(12, wrong=5)
    factors = collect(model, Images(some, "all"), [projection])
    basis = bases(factors, [projection])
    groups = {"wrong": some[:5], "right": some[5:]}
    stairs = basis[projection.name].staircase
    counts = [int(stairs.kept(mass).count) for mass in MASSES]
    found = along_own(model, projection, basis[projection.name], some[:3], groups, counts)
    return model, projection, factors, basis, some, found


def test_rises_and_curvatures_are_the_engines_and_the_owner_is_no_other() -> None:
    model, projection, _, _, some, found = made()
    before = weight_digest(model)
    own = own_directions(projection.name, gradients(model, [projection], some[:3])[projection.name])
    along = [own.direction(number) for number in range(3)]
    kappa = ggn_along(model, [projection], some, along)
    assert found.steps == (*(-step for step in reversed(STEPS)), *STEPS)
    tables = rises(model, projection, along, some, STEPS)
    for place, step in enumerate(found.steps):
        table = tables[abs(step)].up if step > 0 else tables[abs(step)].down
        assert np.allclose(found.rise[:, place], table.diagonal(), rtol=1e-9, atol=1e-12)
        for number in range(3):
            others = np.delete(table[number, :5], number)  # the owner is one of the wrong
            felt = found.groups["wrong"]
            assert felt.rise[number, place] == pytest.approx(others.mean(), rel=1e-9, abs=1e-12)
            half = t.ppf(0.975, 3) * others.std(ddof=1) / 2.0
            assert felt.rise_half[number, place] == pytest.approx(half, rel=1e-9, abs=1e-12)
            right = found.groups["right"].rise[number, place]
            assert right == pytest.approx(table[number, 5:].mean(), rel=1e-9, abs=1e-12)
    assert np.allclose(found.kappa, kappa.diagonal(), rtol=1e-9)
    assert np.allclose(found.groups["right"].kappa, kappa[:, 5:].mean(1), rtol=1e-9)
    assert found.groups["wrong"].count.tolist() == [4, 4, 4]
    assert found.groups["right"].count.tolist() == [7, 7, 7]
    assert np.allclose(found.loss, tables[STEPS[0]].base[:3])
    assert weight_digest(model) == before


def test_what_the_factors_hold_and_what_a_cut_takes() -> None:
    model, projection, factors, basis, some, found = made()
    name = projection.name
    a, g = (matrix.double() for matrix in (factors.a(name), factors.g(name)))
    own = own_directions(name, gradients(model, [projection], some[:3])[name])
    for number in range(3):
        d = own.direction(number).dense(name).double()
        assert found.factors[number] == pytest.approx(float((d * (g @ d @ a)).sum()), rel=1e-9)
        for place, mass in enumerate(MASSES):
            # An edit of weights that are this very direction takes what is told of it.
            u_g, u_a = basis[name].u_g.double(), basis[name].u_a.double()
            k = torch.as_tensor(basis[name].staircase.kept(mass).k)
            mask = torch.arange(len(u_a))[None] < k[:, None]
            left = (u_g.T @ d @ u_a) * mask
            taken = 1.0 - float(left.square().sum())
            assert found.cut[number, place] == pytest.approx(taken, abs=1e-12)
    assert (found.cut[:, 0] < 1e-12).all() and (np.diff(found.cut, axis=1) >= -1e-12).all()


def test_a_cut_takes_nothing_of_what_it_keeps_and_all_of_the_rest() -> None:
    staircase = made()[3][made()[1].name].staircase
    keeps = staircase.kept(0.5)
    u, v = np.eye(len(staircase.lam)), np.eye(len(staircase.mu))
    assert cut_share(staircase, u[:1], v[:1], keeps.count).tolist() == [0.0]
    row = int(np.flatnonzero(keeps.k < len(v))[0])
    assert cut_share(staircase, u[[row]], v[[int(keeps.k[row])]], keeps.count).tolist() == [1.0]


def test_it_is_told_as_json() -> None:
    told = made()[-1].plain()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["groups"]["wrong"]["count"] == [4.0, 4.0, 4.0]
