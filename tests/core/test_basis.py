"""Eigenbases carry their evidence; the staircase equals a stable full sort, ties and zeros too."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.basis import Staircase, bases, eigen, load_bases, save_bases, staircase_mask
from core.errors import HillshadeError
from core.factors import Factors, collect
from core.projection import find_projections, select
from core.staircase import TOLERANCE
from tests.tiny import TEXTS, tiny

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def factors() -> Factors:
    model = tiny("olmo2", torch.float32)
    return collect(model, TEXTS, find_projections(model))


def test_eigen_rebuilds_the_matrix_and_counts_what_it_clamps() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 6, dtype=torch.float64)
    x[0] = 0.0  # rank 2: four eigenvalues are 0 up to rounding, some of them negative
    matrix = x.T @ x
    found = eigen(matrix)
    v, values = found.vectors, torch.from_numpy(found.values)
    assert torch.allclose(v @ torch.diag(values) @ v.T, matrix, atol=1e-12)
    assert torch.allclose(v.T @ v, torch.eye(6, dtype=torch.float64), atol=1e-13)
    assert (np.diff(found.values) <= 0).all()
    assert found.values[-1] >= 0
    assert found.clamped == int((torch.linalg.eigvalsh(matrix) < 0).sum()) > 0
    assert found.residual < 1e-14
    indefinite = eigen(torch.diag(torch.tensor([2.0, -1.0])))
    assert indefinite.values.tolist() == [2.0, 0.0]
    assert indefinite.clamped == 1
    assert indefinite.residual == pytest.approx(1 / 5**0.5)  # what clamping threw away is seen
    assert eigen(torch.zeros(2, 2)).residual == 0.0


def test_eigen_symmetrises_fixes_signs_and_refuses_nan() -> None:
    torch.manual_seed(1)
    x = torch.randn(9, 5, dtype=torch.float64)
    skew = torch.randn(5, 5, dtype=torch.float64)
    one, two = eigen(x.T @ x), eigen(x.T @ x + skew - skew.T)
    assert torch.allclose(one.vectors, two.vectors, atol=1e-12)
    assert bool((one.vectors.gather(0, one.vectors.abs().argmax(0, keepdim=True)) > 0).all())
    with pytest.raises(HillshadeError, match="NaN"):
        eigen(torch.full((2, 2), torch.nan))


def test_bases_diagonalise_the_factors(factors: Factors) -> None:
    seen: list[tuple[int, int]] = []
    made = bases(factors, factors.projections, progress=lambda *state: seen.append(state))
    assert list(made) == [p.name for p in factors.projections]
    assert seen[-1] == (9, 9)
    for name, basis in made.items():
        assert basis.u_g.dtype == torch.float32
        for u, values, matrix in (
            (basis.u_g, basis.lam, factors.g(name)),
            (basis.u_a, basis.mu, factors.a(name)),
        ):
            rebuilt = u.double() @ torch.diag(torch.from_numpy(values)) @ u.double().T
            assert float((rebuilt - matrix).norm() / matrix.norm()) < 1e-6
        assert max(basis.residual_a, basis.residual_g) < 1e-6
    gate, up = made["model.layers.0.mlp.gate_proj"], made["model.layers.0.mlp.up_proj"]
    assert gate.u_a is up.u_a
    assert gate.digest != up.digest


def test_bases_survive_saving_bit_for_bit(factors: Factors, tmp_path: Path) -> None:
    made = bases(factors, factors.projections)
    path = tmp_path / "basis.safetensors"
    save_bases(path, made)
    again = load_bases(path)
    assert list(again) == list(made)
    for name, basis in made.items():
        assert again[name].digest == basis.digest
        for field in ("clamped_a", "clamped_g", "residual_a", "residual_g", "weight_digest"):
            assert getattr(again[name], field) == getattr(basis, field)
    gate, up = (again[f"model.layers.0.mlp.{kind}_proj"] for kind in ("gate", "up"))
    assert gate.u_a is up.u_a
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(HillshadeError, match="damaged or cut short"):
        load_bases(path)


def test_digest_sees_every_part(factors: Factors) -> None:
    wanted = select(factors.projections, [0], ["up"])
    ((name, basis),) = bases(factors, wanted).items()
    assert bases(factors, wanted)[name].digest == basis.digest
    vectors, values = basis.u_a.clone(), basis.lam.copy()
    vectors[0, 0] = torch.nextafter(vectors[0, 0], torch.tensor(9.0))
    values[-1] = np.nextafter(values[-1], 9.0)
    changes = (
        {"u_a": vectors},
        {"u_g": basis.u_g.view(torch.int32)},
        {"lam": values},
        {"name": "other"},
    )
    for change in (*changes, {"mu": basis.mu[::-1].copy()}, {"weight_digest": "other"}):
        assert replace(basis, **change).digest != basis.digest


def test_uncovered_projections_are_refused(factors: Factors) -> None:
    with pytest.raises(HillshadeError, match="do not cover"):
        bases(factors, select(find_projections(tiny("gpt2")), [0]))


# --- staircase -----------------------------------------------------------------------------------


def full_sort(lam: Floats, mu: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The whole grid of products and the plain stable order of its row-major cells."""
    grid = np.outer(lam, mu).ravel()
    return grid, np.argsort(-grid, kind="stable")


def grid_mask(order: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    mask = np.zeros(len(order), dtype=bool)
    mask[order[:count]] = True
    return mask


# Small whole numbers and simple fractions make ties and zeros, the third kind spans 40 decades.
VALUES = st.one_of(
    st.integers(0, 4).map(float),
    st.sampled_from([0.0, 0.1, 0.3, 1 / 3, 0.7]),
    st.floats(1e-20, 1e20),
)


def spectra(longest: int) -> st.SearchStrategy[Floats]:
    values = st.lists(VALUES, min_size=1, max_size=longest)
    return values.map(lambda v: np.array(sorted(v, reverse=True)))


@settings(max_examples=150)
@given(lam=spectra(9), mu=spectra(7), data=st.data())
def test_staircase_equals_a_full_sort(lam: Floats, mu: Floats, data: st.DataObject) -> None:
    stairs, (grid, order) = Staircase(lam, mu), full_sort(lam, mu)
    # by count
    count = data.draw(st.integers(0, len(grid)))
    by_count = stairs.at_count(count)
    assert by_count.count == count
    assert by_count.whole == (count == len(grid))
    assert np.array_equal(staircase_mask(by_count.k, len(mu)).ravel(), grid_mask(order, count))
    assert (np.diff(by_count.k) <= 0).all()
    assert by_count.cutoff == (grid[order[count - 1]] if count else np.inf)
    assert stairs.positive == int((grid > 0).sum())
    # by mass: exact rational arithmetic would reach the target at `few`; allow for rounding only
    mass = data.draw(st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.999]), st.floats(0, 0.999)))
    by_mass = stairs.kept(mass)
    reached = np.concatenate([[0.0], np.cumsum(grid[order])])
    target = mass * (1 - TOLERANCE) * lam.sum() * mu.sum()
    few = int(np.argmax(reached >= target))
    assert np.array_equal(staircase_mask(by_mass.k, len(mu)).ravel(), grid_mask(order, few))
    assert not by_mass.k[lam == 0].any()
    if reached[-1] > 0:
        assert by_mass.mass == pytest.approx(reached[few] / reached[-1], rel=1e-12)
    # by cut-off: the products themselves decide, so a cut-off that is one of them keeps it
    for cutoff in (grid[data.draw(st.integers(0, len(grid) - 1))], data.draw(VALUES)):
        expected = grid >= cutoff
        by_cutoff = stairs.at_cutoff(float(cutoff))
        assert np.array_equal(staircase_mask(by_cutoff.k, len(mu)).ravel(), expected)


@settings(max_examples=50)
@given(lam=spectra(9), mu=spectra(9), masses=st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_kept_sets_are_nested(lam: Floats, mu: Floats, masses: list[float]) -> None:
    stairs = Staircase(lam, mu)
    kept = [stairs.kept(mass) for mass in sorted(masses)]
    assert all((small.k <= large.k).all() for small, large in pairwise(kept))


def test_a_quotient_would_flip_cells() -> None:
    """Why products are compared: μ ≥ τ/λ and λμ ≥ τ disagree for ordinary numbers."""
    rng = np.random.default_rng(0)
    lam, mu = (np.sort(rng.random(300))[::-1] for _ in range(2))
    grid = np.outer(lam, mu)
    cutoffs = grid[rng.integers(0, 300, 40), rng.integers(0, 300, 40)]
    flips = sum(int(((grid >= t) != (mu >= t / lam[:, None])).sum()) for t in cutoffs)
    assert flips > 0
    stairs = Staircase(lam, mu)
    for cutoff in cutoffs:
        kept = staircase_mask(stairs.at_cutoff(float(cutoff)).k, 300)
        assert np.array_equal(kept, grid >= cutoff)


def test_products_below_the_normal_range_are_still_exact() -> None:
    rng = np.random.default_rng(3)
    lam, mu = (np.sort(10.0 ** rng.uniform(-175, -150, 40))[::-1] for _ in range(2))
    grid, order = full_sort(lam, mu)
    assert 0 < (grid == 0).sum() < grid.size
    for count in (1, 50, 400, 900, 1599):
        k = Staircase(lam, mu).at_count(count).k
        assert np.array_equal(staircase_mask(k, 40).ravel(), grid_mask(order, count))


def test_spectrum_is_the_sorted_grid_at_log_spaced_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    lam, mu = (np.sort(rng.exponential(size=n) ** 3)[::-1] for n in (30, 50))
    grid, order = full_sort(lam, mu)
    for largest_sorted in (1 << 22, 0):  # small grids are sorted, large ones searched
        monkeypatch.setattr("core.staircase._SORTED_GRID", largest_sorted)
        ranks, products = Staircase(lam, mu).spectrum(100)
        assert len(ranks) <= 100
        assert (ranks[0], ranks[-1]) == (1, 1500)
        assert np.array_equal(products, grid[order][ranks - 1])


@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.7, 1e-9])
def test_rounding_of_sums_never_costs_a_pair(value: float) -> None:
    """A mass of k/n of n equal values is k of them; plain float64 sums would often say k + 1."""
    for n in (6, 10, 49):
        along, down = Staircase([1.0], [value] * n), Staircase([value] * n, [1.0])
        for k in range(n):
            assert along.kept(k / n).count == down.kept(k / n).count == k


def test_the_ends_of_the_axis() -> None:
    stairs = Staircase([2.0, 1.0, 0.0], [3.0, 0.0])
    assert stairs.kept(1.0).whole
    assert stairs.kept(1.0).count == 6
    assert stairs.kept(1.0).mass == 1.0
    assert not stairs.kept(np.nextafter(1.0, 0)).whole
    assert stairs.kept(np.nextafter(1.0, 0)).count == 2  # pairs of no curvature are cut
    assert stairs.kept(0.0).count == 0
    assert Staircase([0.0], [1.0, 0.5]).kept(0.5).count == 0
    assert Staircase([0.0], [1.0, 0.5]).kept(1.0).whole
    assert Staircase([1e-300], [2e-24] * 10).kept(0.5).count == 0  # every product rounds to 0


@pytest.mark.parametrize("mass", [-0.01, 1.01, float("nan"), float("inf")])
def test_impossible_masses_are_answered_by_a_sentence(mass: float) -> None:
    with pytest.raises(HillshadeError, match="impossible; choose 0 to 1"):
        Staircase([1.0], [1.0]).kept(mass)


def test_impossible_counts_cutoffs_and_spectra_are_answered_by_a_sentence() -> None:
    stairs = Staircase([1.0], [1.0])
    for count in (-1, 2):
        with pytest.raises(HillshadeError, match="choose 0 to 1"):
            stairs.at_count(count)
    for cutoff in (-1.0, float("nan")):
        with pytest.raises(HillshadeError, match="choose 0 or more"):
            stairs.at_cutoff(cutoff)
    for lam in ([], [1.0, 2.0], [1.0, -1.0], [float("nan")], [[1.0]]):
        with pytest.raises(HillshadeError, match="descending and not negative"):
            Staircase(lam, [1.0])
    with pytest.raises(HillshadeError, match="overflow"):
        Staircase([1e200], [1e200])
