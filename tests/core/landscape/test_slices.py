"""Slices against weight copies, closed forms and relations that any slice must keep."""

import copy
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from core.basis import Basis, bases
from core.curvature.examples import Example
from core.direction import Direction, LowRank, orthogonalised, rank_one
from core.errors import HillshadeError
from core.factors import collect
from core.items import Item
from core.landscape import directions
from core.landscape.directions import Ray
from core.landscape.restricted import RestrictedLoss
from core.landscape.result import Slice
from core.landscape.slices import Line, centred, cut, kfac_curvature
from core.landscape.texts import Texts
from core.projection import Projection, find_projections, select, weight_digest
from core.recall import continuations, strict
from tests.tiny import TEXTS, tiny

FAMILIES = ("olmo2", "gpt2")
PLAIN = Texts.of_sequences(TEXTS)
VALUES = (-0.3, -0.1, 0.0, 0.2)


@dataclass(frozen=True)
class Setup:
    model: PreTrainedModel
    up: Projection
    down: Projection
    bases: dict[str, Basis]

    def ray(self, i: int, j: int) -> Ray:
        return directions.eigendirection(self.bases[self.up.name], i, j)


@cache
def setup(family: str, dtype: torch.dtype = torch.float64) -> Setup:
    model = tiny(family, dtype).eval()
    up, down = select(find_projections(model), [1], ["up", "down"])
    made = bases(collect(model, TEXTS, [up, down]), [up, down])
    return Setup(model, up, down, made)


def copied(case: Setup, steps: list[tuple[Direction, float]], texts: Texts) -> NDArray[np.float64]:
    """Mean losses of the texts, one unpadded text at a time, with the steps in a copied model."""
    model = copy.deepcopy(case.model)
    losses = []
    with torch.no_grad():
        for direction, size in steps:
            for projection in (case.up, case.down):
                if projection.name in direction.parts:
                    projection.weight(model).add_(direction.dense(projection.name), alpha=size)
        for one in texts.examples:
            assert isinstance(one, Example)
            logits = model(torch.tensor([one.ids])).logits[0, list(one.counted)]
            targets = torch.tensor([one.ids[t + 1] for t in one.counted])
            losses.append(cross_entropy(logits, targets).item())
    return np.array(losses)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=str
)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_line_equals_weight_copies_and_its_centre_the_model(
    family: str, dtype: torch.dtype, tolerance: float
) -> None:
    case = setup(family, dtype)
    ray = case.ray(0, 1)
    before = weight_digest(case.model)
    made = cut(case.model, [Line(ray, VALUES)], PLAIN, bases=case.bases)
    assert made.axes[0].unit == pytest.approx(float(case.up.weight(case.model).detach().norm()))
    for k, size in enumerate(made.axes[0].steps):
        exact = copied(case, [(ray.direction, float(size))], PLAIN)
        assert np.abs(made.loss[k] - exact).max() < tolerance
    assert made.centre == (2,)
    assert np.abs(made.base - copied(case, [], PLAIN)).max() < tolerance
    assert np.abs(made.rise().value).max() > 1e-3
    assert made.rise().value[2] == made.rise().low[2] == made.rise().high[2] == 0.0
    assert weight_digest(case.model) == before


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plane_over_two_projections_equals_weight_copies(family: str) -> None:
    """A dense direction over up and down, and one of rank one that it is not orthogonal to."""
    case = setup(family)
    first = directions.filter_normalised(case.model, [case.up, case.down], seed=3)
    u, v = (torch.linspace(-1, 2, n, dtype=torch.float64) for n in case.down.shape)
    second = directions.spike(case.down.name, u, v, "a", draws=8, seed=0)
    lines = [Line(first, (-0.1, 0.0, 0.2)), Line(second, (-0.2, 0.0))]
    made = cut(case.model, lines, PLAIN, bases=case.bases)
    one = first.direction.unit()
    two = orthogonalised(one, second.direction)
    assert one.inner(second.direction) != 0.0
    for i, j in product(range(3), range(2)):
        sizes = float(made.axes[0].steps[i]), float(made.axes[1].steps[j])
        exact = copied(case, [(one, sizes[0]), (two, sizes[1])], PLAIN)
        assert np.abs(made.loss[i, j] - exact).max() < 1e-12
    assert made.centre == (1, 1)
    weights = [p.weight(case.model).detach() for p in (case.up, case.down)]
    whole = sum(float(w.square().sum()) for w in weights)
    assert [axis.unit for axis in made.axes] == pytest.approx([whole**0.5] * 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_turning_a_direction_round_mirrors_its_line(family: str) -> None:
    case = setup(family)
    ray = directions.filter_normalised(case.model, [case.down], seed=0)
    there = cut(case.model, [Line(ray, VALUES)], PLAIN)
    turned = Ray(ray.direction.scaled(-2.0), ray.origin)
    back = cut(case.model, [Line(turned, np.negative(VALUES)[::-1])], PLAIN)
    assert np.abs(there.loss - back.loss[::-1]).max() < 1e-12
    assert np.array_equal(there.strict, back.strict[::-1])
    assert there.slopes is not None and back.slopes is not None
    assert np.abs(there.slopes + back.slopes).max() < 1e-12


def test_an_orthogonal_change_of_the_inner_units_moves_the_line_along() -> None:
    """GPT-2 without its nonlinearity: up → Q up, down → down Qᵀ computes the same function."""
    case = setup("gpt2")
    q, _ = torch.linalg.qr(torch.randn(48, 48, dtype=torch.float64))
    model, turned = (copy.deepcopy(case.model) for _ in range(2))
    for one in (model, turned):
        one.get_submodule("transformer.h.1.mlp").act = torch.nn.Identity()
    with torch.no_grad():
        case.up.weight(turned).copy_(q @ case.up.weight(model))
        bias = turned.get_parameter(f"{case.up.name}.bias")
        bias.copy_(q @ bias)
        case.down.weight(turned).copy_(case.down.weight(model) @ q.T)
    u, v = (torch.linspace(-1, 1, n, dtype=torch.float64) for n in case.up.shape)
    lines = (
        cut(one, [Line(Ray(rank_one(case.up.name, left, v), {"kind": "test"}), VALUES)], PLAIN)
        for one, left in ((model, u), (turned, q @ u))
    )
    plain, moved = lines
    assert np.abs(plain.loss - moved.loss).max() < 1e-10
    assert np.ptp(plain.loss, axis=0).min() > 1e-4


def test_the_parabola_is_the_second_order_of_a_model_that_is_one() -> None:
    """K-FAC's own curvature, and an exact κ, where both are known in closed form."""
    case = setup("gpt2")
    basis = case.bases[case.up.name]
    ray = case.ray(1, 2)
    product_ij = basis.lam[1] * basis.mu[2]
    assert kfac_curvature(basis, ray.direction, ray.direction) == pytest.approx(product_ij)
    dense = torch.randn(case.up.shape, dtype=torch.float64)
    g = basis.u_g @ torch.diag(torch.from_numpy(basis.lam)) @ basis.u_g.T
    a = basis.u_a @ torch.diag(torch.from_numpy(basis.mu)) @ basis.u_a.T
    expected = float((dense * (g @ dense @ a)).sum())
    one = Direction({case.up.name: dense})
    assert kfac_curvature(basis, one, one) == pytest.approx(expected, rel=1e-10)
    low = Direction({case.up.name: LowRank(dense, torch.eye(case.up.shape[1]).double())})
    assert kfac_curvature(basis, low, one) == pytest.approx(expected, rel=1e-10)

    made = cut(
        case.model, [Line(ray, VALUES), Line(case.ray(0, 0), VALUES)], PLAIN, bases=case.bases
    )
    total = basis.lam.sum() * basis.mu.sum()
    assert made.mass_share == pytest.approx((product_ij + basis.lam[0] * basis.mu[0]) / total)
    assert made.kfac is not None
    assert made.kfac == pytest.approx(np.diag([product_ij, basis.lam[0] * basis.mu[0]]), abs=1e-12)
    s = made.axes[0].steps
    weights = made.tokens / made.tokens.sum()
    assert made.slopes is not None
    slope, base = made.slopes[0] @ weights, made.base @ weights
    assert made.quadratic()[:, 2] == pytest.approx(base + s * slope + 0.5 * s**2 * product_ij)
    assert made.quadratic(curvature=np.zeros((2, 2)))[:, 2] == pytest.approx(base + s * slope)


def test_slope_and_hessian_curvature_osculate_the_loss() -> None:
    """With the true second derivative the parabola misses the loss by the third order only."""
    case = setup("gpt2")
    ray = case.ray(0, 0)
    loss = RestrictedLoss(case.model, [case.up], PLAIN)
    vector = loss.vector(ray.direction)
    true = float(vector @ loss.hessian(vector))
    misses = []
    for size in (2e-3, 1e-3):
        made = cut(case.model, [Line(ray, (-size, 0.0, size))], PLAIN)
        misses.append(np.abs(made.quadratic(curvature=true) - made.mean_loss().value).max())
    assert misses[0] / misses[1] == pytest.approx(8, rel=0.2)


def test_recall_along_the_line_is_strict_recall() -> None:
    """What the model says by itself counts as memorized; edited copies are asked for it again."""
    case = setup("olmo2")
    prompts = [(3, 1), (4, 1, 5), (9,), (2, 6), (5, 3, 5), (8, 9)]
    asked = [
        Item(str(n), "memory", "said", "report", p, (0,) * 4, "", "") for n, p in enumerate(prompts)
    ]
    said = continuations(case.model, asked)
    items = [replace(item, truth_ids=ids) for item, ids in zip(asked, said, strict=True)]
    ray = directions.filter_normalised(case.model, [case.up], seed=0)
    texts = Texts.of_items(items) + PLAIN
    made = cut(case.model, [Line(ray, (-1.0, 0.0, 0.3))], texts)
    recalled = made.recall("said")
    for k, size in enumerate(made.axes[0].steps):
        model = copy.deepcopy(case.model)
        with torch.no_grad():
            step = ray.direction.unit().dense(case.up.name)
            case.up.weight(model).add_(step, alpha=float(size))
        expected = strict(model, items)
        assert np.array_equal(made.strict[k, : len(items)], expected)
        assert recalled.value[k] == expected.mean()
        assert recalled.low[k] < 1.0 and recalled.high[k] > 0.0
    assert recalled.value[1] == 1.0 > recalled.value[0]
    assert recalled.n == len(items)
    assert made.mean_loss("fresh").n == PLAIN.tokens.sum()
    with pytest.raises(HillshadeError, match="no group"):
        made.recall("passages")


def test_directions_are_what_they_say() -> None:
    case = setup("gpt2")
    basis, w = case.bases[case.up.name], case.up.weight(case.model).detach()
    everything = directions.band(basis, w, 0, w.numel()).direction.dense(case.up.name)
    assert float((everything - w).norm()) < 1e-12 * float(w.norm())
    parts = [directions.band(basis, w, *ends).direction for ends in ((0, 7), (7, 200))]
    assert parts[0].inner(parts[1]) == pytest.approx(0, abs=1e-12)
    c = basis.u_g.T @ parts[0].dense(case.up.name) @ basis.u_a
    assert int((c.abs() > 1e-12).sum()) == 7
    kept = np.sort(np.outer(basis.lam, basis.mu)[c.abs().numpy() > 1e-12])[::-1]
    assert np.array_equal(kept, np.sort(np.outer(basis.lam, basis.mu), axis=None)[::-1][:7])

    random = directions.filter_normalised(case.model, [case.up, case.down], seed=1)
    for projection in (case.up, case.down):
        rows = random.direction.dense(projection.name).norm(dim=1)
        assert rows == pytest.approx(projection.weight(case.model).detach().norm(dim=1))
    alone = directions.filter_normalised(case.model, [case.down], seed=1)
    assert torch.equal(
        alone.direction.dense(case.down.name), random.direction.dense(case.down.name)
    )
    other = directions.filter_normalised(case.model, [case.up, case.down], seed=2)
    assert len({ray.digest for ray in (random, alone, other)}) == 3


def test_saved_and_loaded_bit_for_bit_with_what_is_not_finite(tmp_path: Path) -> None:
    case = setup("gpt2", torch.float32)
    first = torch.eye(12)[0]  # one hidden unit alone, so that the norm above cannot divide it away
    far = Ray(
        rank_one(case.down.name, first, case.bases[case.down.name].u_a[:, 0]), {"kind": "far"}
    )
    lines = [Line(far, (0.0, 3e38), "direction"), Line(case.ray(1, 0), VALUES)]
    made = cut(case.model, lines, PLAIN)
    assert not made.finite[1].any() and made.finite[0].all()
    assert np.isnan(made.mean_loss().value[1]).all()
    assert not made.strict[np.isnan(made.loss)].any()
    path = tmp_path / "slice.safetensors"
    made.save(path)
    again = Slice.load(path)
    for name in ("tokens", "loss", "strict", "slopes"):
        mine, theirs = getattr(made, name), getattr(again, name)
        assert mine.dtype == theirs.dtype and np.array_equal(mine, theirs, equal_nan=name == "loss")
    for name in ("names", "groups", "kfac", "mass_share", "texts_digest", "weights"):
        assert getattr(made, name) == getattr(again, name)
    for mine, theirs in zip(made.axes, again.axes, strict=True):
        assert np.array_equal(mine.values, theirs.values)
        assert (mine.unit, mine.unit_of, mine.origin, mine.digest) == (
            theirs.unit, theirs.unit_of, theirs.origin, theirs.digest,
        )  # fmt: skip


def test_weights_are_bit_identical_after_an_exception_in_the_middle() -> None:
    case = setup("olmo2")
    before = weight_digest(case.model)

    def stop(done: int, total: int) -> None:
        if done > 1:
            raise KeyboardInterrupt

    values = centred(-1.0, 1.0, 4001)
    with pytest.raises(KeyboardInterrupt):
        cut(case.model, [Line(case.ray(0, 0), values)], PLAIN, progress=stop)
    assert weight_digest(case.model) == before
    assert not any(p.grad is not None for p in case.model.parameters())


@pytest.mark.parametrize(
    ("low", "high", "points"), [(-1, 1, 25), (-0.3, 1.1, 17), (0, 1, 2), (-2, 0, 5)]
)
def test_the_centre_is_always_a_grid_point(low: float, high: float, points: int) -> None:
    values = centred(low, high, points)
    spacing = (high - low) / (points - 1)
    assert len(values) == points and 0.0 in values
    assert np.diff(values) == pytest.approx(spacing)
    assert abs(values[0] - low) <= spacing / 2 + 1e-12


def test_what_cannot_be_cut_is_refused_with_a_sentence() -> None:
    case = setup("gpt2")
    ray = case.ray(0, 0)
    stranger = Ray(rank_one("elsewhere", torch.ones(2), torch.ones(3)), {"kind": "test"})
    wrong: dict[str, Basis] = {case.up.name: setup("gpt2", torch.float32).bases[case.down.name]}
    cases: list[tuple[str, Any]] = [
        ("0 among them", lambda: cut(case.model, [Line(ray, (0.1, 0.2))], PLAIN)),
        ("span no slice", lambda: cut(case.model, [], PLAIN)),
        ("parallel", lambda: cut(case.model, [Line(ray, VALUES)] * 2, PLAIN)),
        ("does not have", lambda: cut(case.model, [Line(stranger, VALUES)], PLAIN)),
        ("no curvature basis", lambda: cut(case.model, [Line(ray, VALUES)], PLAIN, bases=wrong)),
        ("has no centre", lambda: centred(0.5, 1.0, 3)),
        ("no pair", lambda: case.ray(48, 0)),
        ("no band", lambda: directions.band(case.bases[case.up.name], Tensor(), 3, 3)),
        ("cannot count", lambda: Texts.of_sequences([(3,)])),
        ("changes none", lambda: directions.edit(case.model, case.model, [case.up], {})),
    ]
    for sentence, make in cases:
        with pytest.raises(HillshadeError, match=sentence):
            make()


def test_items_count_their_truth_only() -> None:
    item = Item("a", "memory", "passage", "report", (3, 1, 4), (1, 5), "", "", 1, 1)
    both = Texts.of_items([item]) + PLAIN
    assert both.examples[0].counted == range(2, 4)
    assert both.tokens.tolist() == [2, *(len(ids) - 1 for ids in TEXTS)]
    assert both.groups == ("passage", *("fresh",) * len(TEXTS))
    assert both.digest != PLAIN.digest
