"""Bands hold what a sort says; maps are the squared gradient in the basis, whatever the batches."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from core.basis import Basis, bases
from core.curvature.bands import eigen_bands, rank_bands, share_bands, steepest
from core.curvature.examples import Example, example_rows
from core.curvature.maps import Floats, Kind, band_curvature, example_map, in_cells
from core.errors import HillshadeError
from core.factors import add_outer, collect, symmetric
from core.items import Item
from core.projection import Projection, find_projections, select
from tests.tiny import TEXTS, tiny

EXAMPLES = [Example(TEXTS[0], range(3, 7)), *map(Example.of_text, TEXTS[1:])]


def based(name: str = "up", layer: int = 0) -> tuple[Projection, Basis]:
    model = tiny("olmo2")
    (projection,) = select(find_projections(model), [layer], [name])
    return projection, bases(collect(model, TEXTS, [projection]), [projection])[projection.name]


def test_bands_are_runs_of_the_sorted_pairs() -> None:
    _, basis = based()
    products = np.outer(basis.lam, basis.mu)
    order = np.argsort(-products, axis=None, kind="stable")
    for bands in (rank_bands(basis, 6), share_bands(basis)):
        ranked = bands.grid.flatten()[order]
        assert (np.diff(ranked) >= 0).all()
        assert np.array_equal(np.bincount(ranked), bands.counts) and bands.counts.all()
        assert bands.counts.sum() == products.size and len(bands.labels) == len(bands.counts)
        by_hand = [(bands.grid == band).sum(0) for band in range(len(bands.labels))]
        assert np.array_equal(bands.per_column, by_hand)
    assert bands.counts[0] == products.size // 10
    assert steepest(basis, 5) == [divmod(int(flat), products.shape[1]) for flat in order[:5]]
    assert [s.stop - s.start for s in eigen_bands(40)] == [4, 6, 10, 20]
    with pytest.raises(HillshadeError, match="too few"):
        eigen_bands(4)


@pytest.mark.parametrize("family", ["olmo2", "gpt2"])
def test_rows_make_the_gradient_of_the_counted_loss(family: str) -> None:
    """In a lower layer, where the suffix's loss reaches back into the prefix."""
    model = tiny(family).eval()
    (projection,) = select(find_projections(model), [0], ["down"])
    for rows in example_rows(model, [projection], EXAMPLES, labels="gold"):
        example = EXAMPLES[rows.number]
        weight = projection.parameter(model).detach().clone().requires_grad_()
        parameters = {f"{projection.name}.weight": weight}
        out = functional_call(model, parameters, torch.tensor([example.ids]))
        counted = list(example.counted)
        targets = torch.tensor(example.ids)[[t + 1 for t in counted]]
        cross_entropy(out.logits[0, counted], targets, reduction="sum").backward()
        assert weight.grad is not None
        truth = weight.grad.T if projection.transposed else weight.grad
        ours = rows.g[projection.name].T @ rows.a[projection.name]
        assert float((ours - truth).norm()) < 1e-12 * float(truth.norm())
        if example.counted[0]:
            assert len(rows.g[projection.name]) > example.tokens


def test_labels_are_those_of_the_factors() -> None:
    model = tiny("olmo2")
    (projection,) = select(find_projections(model), [1], ["gate"])
    total: Tensor | None = None
    for rows in example_rows(model, [projection], list(map(Example.of_text, TEXTS)), seed=4):
        total = add_outer(total, rows.g[projection.name])
    assert total is not None
    truth = collect(model, TEXTS, [projection], seed=4).g_sums[projection.name]
    assert float((symmetric(total) - truth).norm()) < 1e-12 * float(truth.norm())


@pytest.mark.parametrize("kind", ["sequence", "token"])
def test_band_sums_are_sums_of_the_maps_whatever_the_batches(kind: Kind) -> None:
    model = tiny("olmo2")
    projection, basis = based()
    bands = rank_bands(basis, 5)
    name = projection.name

    def sums(examples: list[Example]) -> Floats:
        found = band_curvature(
            model, {name: basis}, [projection], examples, {name: bands}, kind=kind, draws=3
        )
        assert np.allclose(found[name].shares.sum(1), 1.0)
        return found[name].sums

    together = sums(EXAMPLES)
    for number, example in enumerate(EXAMPLES):
        whole = example_map(model, basis, projection, example, kind=kind, draws=3).numpy()
        by_band = np.bincount(bands.grid.flatten(), whole.flatten())
        assert np.allclose(by_band, together[number], rtol=1e-12, atol=0)
        if kind == "sequence":  # an orthogonal change of basis keeps the gradient's length
            squares = [
                float((r.g[name].T @ r.a[name]).square().sum())
                for r in example_rows(model, [projection], [example], draws=3)
            ]
            assert np.isclose(whole.sum(), np.mean(squares) / example.tokens, rtol=1e-12)
    assert np.allclose(sums(EXAMPLES[::-1])[::-1], together, rtol=1e-12, atol=0)


@pytest.mark.parametrize("most", [1, 5, 64])
def test_cells_hold_every_pair_once(most: int) -> None:
    whole = torch.rand(9, 40, dtype=torch.float64)
    cells, rows, columns = in_cells(whole, most)
    assert cells.shape == (len(rows), len(columns)) and max(cells.shape) <= most
    assert (rows[-1], columns[-1]) == whole.shape
    for r, row in enumerate(rows):
        for c, column in enumerate(columns):
            first = (rows[r - 1] if r else 0, columns[c - 1] if c else 0)
            assert np.isclose(cells[r, c], whole[first[0] : row, first[1] : column].sum())
    assert np.isclose(cells.sum(), whole.sum(), rtol=1e-14)


def test_spread_of_the_draws_is_reported() -> None:
    model = tiny("olmo2")
    projection, basis = based()
    name = projection.name
    bands = {name: rank_bands(basis, 2)}
    one, many = (
        band_curvature(model, {name: basis}, [projection], EXAMPLES, bands, draws=d)[name]
        for d in (1, 8)
    )
    assert np.isnan(one.error).all() and (many.error > 0).all()
    assert np.array_equal(many.draws[:, :1], one.draws)  # the first draw of eight is the only one


def test_impossible_wishes_are_answered_by_a_sentence() -> None:
    model = tiny("olmo2")
    projection, basis = based()
    item = Item("x", "memory", "passage", "report", (3, 4, 5), (6, 7), "", "")
    assert Example.of_item(item) == Example((3, 4, 5, 6, 7), range(2, 4))
    for counted in (range(0), range(3, 8), range(-1, 2)):
        with pytest.raises(HillshadeError, match="cannot count"):
            Example(TEXTS[0], counted)
    with pytest.raises(HillshadeError, match="1 for gold"):
        example_map(model, basis, projection, EXAMPLES[0], labels="gold")
    with pytest.raises(HillshadeError, match="no curvature basis"):
        band_curvature(model, {}, [projection], EXAMPLES, {})
