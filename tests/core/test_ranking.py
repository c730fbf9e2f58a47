"""Rankings against a plain stable sort: products in any order, grids, pools; bands; storage."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.errors import HillshadeError
from core.pairset import PairSet, from_arrays
from core.ranking import Grid, Pool, Product, Ranking, select
from core.staircase import TOLERANCE, Staircase

Floats = NDArray[np.float64]

# Few values: ties within and between rows, columns and projections, and zeros.
spectra = st.lists(st.sampled_from([0.0, 0.1, 0.3, 1.0, 3.0, 1e-9]), min_size=1, max_size=5)
shares = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0.0, 1.0))


def plain(grids: list[Floats], mass: float | None, count: int | None) -> list[NDArray[np.bool_]]:
    """What stays of several grids, by one loop over one sorted list of all their cells."""
    cells = [
        (-grid[i, j], n, i, j) for n, grid in enumerate(grids) for i, j in np.ndindex(grid.shape)
    ]
    masks = [np.zeros(grid.shape, dtype=bool) for grid in grids]
    total = sum(float(grid.sum()) for grid in grids)
    target = 0.0 if mass is None else mass * (1.0 - TOLERANCE) * total
    reached = 0.0
    for taken, (negative, n, i, j) in enumerate(sorted(cells)):
        if count is not None and taken == count:
            break
        if mass is not None and mass < 1.0 and (reached >= target or negative == 0.0):
            break
        masks[n][i, j] = True
        reached -= float(negative)
    return masks


def same(sets: tuple[PairSet, ...], masks: list[NDArray[np.bool_]]) -> None:
    assert [s.mask().tolist() for s in sets] == [mask.tolist() for mask in masks]
    assert [s.count for s in sets] == [int(mask.sum()) for mask in masks]


@settings(max_examples=20)
@given(spectra, spectra, shares, st.integers(0, 25))
def test_products_in_any_order_and_grids_equal_a_plain_sort(
    rows: list[float], columns: list[float], mass: float, count: int
) -> None:
    descending = np.sort(np.array(rows))[::-1], np.sort(np.array(columns))[::-1]
    grid = np.outer(*descending)
    count = min(count, grid.size)
    rankings: tuple[Ranking, ...] = (
        Product.of(Staircase(*descending)),
        Product(*descending),
        Grid(grid),
    )
    for ranking in rankings:
        same((ranking.kept(mass),), plain([grid], mass, None))
        same((ranking.at_count(count),), plain([grid], None, count))
        for cutoff in {0.0, *grid.ravel().tolist()}:
            same((ranking.at_cutoff(cutoff),), [grid >= cutoff])
    # Rows and columns shuffled: the same cells stay, ties by the sorted order.
    order = [np.argsort(-np.array(x), kind="stable") for x in (rows, columns)]
    shuffled = Product(np.array(rows), np.array(columns)).kept(mass)
    assert np.array_equal(shuffled.mask()[np.ix_(*order)], plain([grid], mass, None)[0])


@settings(max_examples=20)
@given(st.lists(st.tuples(spectra, spectra), min_size=1, max_size=3), shares, st.integers(0, 75))
def test_a_pool_equals_one_plain_sort_over_all_projections(
    parts: list[tuple[list[float], list[float]]], mass: float, count: int
) -> None:
    sides = [(np.sort(np.array(r))[::-1], np.sort(np.array(c))[::-1]) for r, c in parts]
    grids = [np.outer(*side) for side in sides]
    count = min(count, sum(grid.size for grid in grids))
    products = Pool([Product(*side) for side in sides])
    for pool in (products, Pool([Grid(grid) for grid in grids])):
        same(pool.kept(mass), plain(grids, mass, None))
        same(pool.at_count(count), plain(grids, None, count))
    cutoff = float(grids[0].max())
    same(products.at_cutoff(cutoff), [grid >= cutoff for grid in grids])


def test_one_cutoff_for_several_projections_is_not_one_mass_for_each() -> None:
    steep, flat = Product(np.array([9.0, 1.0]), np.array([1.0])), Product(np.ones(10), np.ones(1))
    apart = select([steep, flat], 0.45)
    pooled = select([steep, flat], 0.45, pooled=True)
    assert [chosen.count for chosen in apart] == [1, 5]
    assert [chosen.count for chosen in pooled] == [1, 0]
    assert [chosen.mass for chosen in pooled] == [0.9, 0.0]
    by_count = select([steep, flat], 0.25, by_count=True, pooled=True)
    assert [chosen.count for chosen in by_count] == [2, 1]  # ties: projection after projection


@settings(max_examples=20)
@given(spectra, spectra, shares, shares, st.booleans())
def test_a_band_is_what_lies_between_two_tails(
    rows: list[float], columns: list[float], one: float, other: float, by_count: bool
) -> None:
    setting, until = sorted((one, other))
    sides = np.array(rows), np.array(columns)
    grid = np.random.default_rng(0).uniform(size=(len(rows), len(columns)))
    for ranking in (Product(*sides), Grid(grid)):
        (inner,) = select([ranking], setting, by_count=by_count)
        (outer,) = select([ranking], until, by_count=by_count)
        (band,) = select([ranking], setting, until, by_count=by_count)
        assert np.array_equal(~band.mask(), outer.mask() & ~inner.mask())
        assert band.count == int(band.mask().sum())
        if ranking.total > 0.0 and until < 1.0:
            assert band.mass == pytest.approx(1.0 - (outer.mass - inner.mass))
        stored = from_arrays(band.shape, band.mass, band.cutoff, band.step, band.arrays())
        assert np.array_equal(stored.mask(), band.mask())
        assert (stored.count, type(stored)) == (band.count, type(band))


def test_a_staircase_is_stored_by_its_steps_and_any_other_set_by_bits() -> None:
    rng = np.random.default_rng(1)
    stairs = Product(rng.uniform(size=40), rng.uniform(size=70)).kept(0.5)
    assert {name: part.shape for name, part in stairs.arrays().items()} == {
        "k": (40,),
        "rows": (40,),
        "columns": (70,),
    }
    bits = Grid(rng.uniform(size=(40, 70))).kept(0.5)
    assert {name: part.shape for name, part in bits.arrays().items()} == {"bits": (350,)}


def test_impossible_questions_and_stored_sets_are_answered_by_a_sentence() -> None:
    ranking = Grid(np.array([[1.0, 2.0]]))
    for ask in (ranking, Pool([ranking])):
        with pytest.raises(HillshadeError, match="A mass of"):
            ask.kept(1.5)
        with pytest.raises(HillshadeError, match="3 pairs"):
            ask.at_count(3)
        with pytest.raises(HillshadeError, match="cut-off of"):
            ask.at_cutoff(float("nan"))
    with pytest.raises(HillshadeError, match="start ≤ end"):
        select([ranking], 0.5, 0.2)
    for score in (-1.0, np.nan, np.inf):
        with pytest.raises(HillshadeError, match="not finite"):
            Grid(np.array([[1.0, score]]))
    good = {"k": [2, 1], "resume": [2, 2], "rows": [1, 0], "columns": [0, 1]}
    assert from_arrays((2, 2), 1.0, 0.0, 0.0, good).count == 3
    bad = ({"k": [2]}, {"k": [3, 1]}, {"resume": [1, 1]}, {"rows": [0, 0]}, {"rows": None})
    for change in (*bad, {"bits": [0]}, {"steps": [1, 1]}):
        broken = {k: v for k, v in itertools.chain(good.items(), change.items()) if v is not None}
        if change.get("rows", 0) is None:
            del broken["rows"]
        with pytest.raises(HillshadeError, match="does not fit a 2x2"):
            from_arrays((2, 2), 1.0, 0.0, 0.0, broken)
