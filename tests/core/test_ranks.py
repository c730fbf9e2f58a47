"""Several processes give the factors and bases of one, whoever reads what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.basis import bases, load_bases, save_bases
from core.factors import Factors, collect
from core.projection import find_projections
from core.ranks import Ranks, joined
from core.sharding import sharded
from core.twin import is_sharded
from tests.core.processes import together
from tests.tiny import TEXTS, tiny

Texts = tuple[tuple[int, ...], ...]


def collected(out: Path, family: str, texts: Texts, parted: bool) -> tuple[int, list[str]]:
    """As each rank does it; rank 0 writes. Returns the rank and the sums it owned."""
    model = tiny(family)
    projections = find_projections(model)
    with joined() as ranks:
        assert ranks.size == 2
        if parted:
            model = sharded(model.eval(), torch.float64)
            assert is_sharded(model)
        factors = collect(model, texts, projections, seed=2, batch_size=2, ranks=ranks)
        made = bases(factors, projections, ranks=ranks)
        owned = [*factors.a_sums, *factors.g_sums]
        factors = factors.gathered(ranks)
        assert ranks.leads == bool(made) == bool(factors.g_sums)
        if ranks.leads:
            factors.save(out / "factors")
            save_bases(out / "bases", made)
        return ranks.rank, owned


@pytest.mark.parametrize(
    ("family", "texts", "parted"),
    [("gpt2", TEXTS, False), ("gpt2", TEXTS[:1], False), ("gpt2", TEXTS, True),
     ("olmo2", TEXTS[:1], True)],
    ids=["uneven", "nothing for one", "sharded, uneven", "sharded, nothing for one"],
)  # fmt: skip
def test_two_processes_give_what_one_does(
    tmp_path: Path, family: str, texts: Texts, parted: bool
) -> None:
    owned = dict(together(collected, 2, tmp_path, family, texts, parted))
    model = tiny(family)
    projections = find_projections(model)
    one = collect(model, texts, projections, seed=2, batch_size=2)
    two = Factors.load(tmp_path / "factors")
    assert two.count == one.count and two.digests == one.digests
    for p in projections:
        for ours, theirs in ((two.a(p.name), one.a(p.name)), (two.g(p.name), one.g(p.name))):
            assert float((ours - theirs).norm()) <= 1e-10 * float(theirs.norm())
    made, alone = load_bases(tmp_path / "bases"), bases(one, projections)
    assert list(made) == list(alone)
    for name, basis in made.items():
        np.testing.assert_allclose(basis.lam, alone[name].lam, atol=1e-10 * basis.lam[0])
        np.testing.assert_allclose(basis.mu, alone[name].mu, atol=1e-10 * basis.mu[0])
        for u, values, matrix in (
            (basis.u_g, basis.lam, one.g(name)), (basis.u_a, basis.mu, one.a(name)),
        ):  # fmt: skip
            again = u @ torch.diag(torch.from_numpy(values)) @ u.T
            assert float((again - matrix).norm()) <= 1e-10 * float(matrix.norm())
    assert sorted(owned[0] + owned[1]) == sorted([*one.a_sums, *one.g_sums])
    assert owned[0] and owned[1]


def test_shares_are_all_of_it_and_owners_bear_about_the_same() -> None:
    items = list(range(11))
    parts = [Ranks(rank, 4).share(items) for rank in range(4)]
    assert sorted(item for part in parts for item in part) == items
    assert max(map(len, parts)) - min(map(len, parts)) == 1
    sides = {f"{kind}/{layer}": side for layer in range(5) for kind, side in
             (("a", 4096), ("g", 11008), ("h", 11008), ("b", 11008), ("d", 4096))}  # fmt: skip
    owners = Ranks(0, 4).owners(sides)
    load = [sum(sides[key] ** 3 for key in sides if owners[key] == rank) for rank in range(4)]
    assert max(load) - min(load) <= 11008**3  # no more than one of the largest
    assert owners == Ranks(3, 4).owners(dict(reversed(sides.items())))
