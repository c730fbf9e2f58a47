"""Own directions against dense algebra, rises against weight copies, and how spikes flatten."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from core.curvature.examples import Example
from core.curvature.overlap import flattening, gram, overlaps, random_spikes, unit_norm
from core.curvature.spikes import Gradient, Spikes, gradients, own_directions, rises, top_pair
from core.errors import HillshadeError
from core.measures import read
from core.projection import find_projections, select
from tests.tiny import TEXTS, tiny

EXAMPLES = [Example(TEXTS[0], range(3, 7)), *map(Example.of_text, TEXTS[1:])]


def dense(gradient: Gradient) -> Tensor:
    return gradient[0].T @ gradient[1]


def drawn(n: int, rows: int, p: int = 9, q: int = 5, seed: int = 0) -> list[Gradient]:
    rng = torch.Generator().manual_seed(seed)

    def some(size: int) -> Tensor:
        return torch.randn(rows, size, generator=rng, dtype=torch.float64)

    return [(some(p), some(q)) for _ in range(n)]


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_the_top_pair_is_that_of_the_whole_gradient(rows: int) -> None:
    """With fewer rows than columns, and with more."""
    (gradient,) = drawn(1, rows)
    u, v, sigma, energy = top_pair(gradient)
    x, values, yt = torch.linalg.svd(dense(gradient))
    assert sigma == pytest.approx(float(values[0]), rel=1e-12)
    assert energy == pytest.approx(float(values[0] ** 2 / values.square().sum()), rel=1e-12)
    assert torch.allclose(torch.outer(u, v), torch.outer(x[:, 0], yt[0]), atol=1e-12)
    assert float(u @ dense(gradient) @ v) > 0  # the loss rises towards +D
    with pytest.raises(HillshadeError, match="no direction of its own"):
        top_pair((gradient[0] * 0, gradient[1]))


@pytest.mark.parametrize("family", ["olmo2", "gpt2"])
def test_rises_equal_weight_copies(family: str) -> None:
    model = tiny(family).eval()
    (projection,) = select(find_projections(model), [0], ["up"])
    texts = [Example.of_text(ids) for ids in TEXTS]
    found = gradients(model, [projection], texts)[projection.name]
    spikes = own_directions(projection.name, found)
    along = [spikes.direction(number).scaled(7.0) for number in (0, 3)]  # their length is no matter
    both = rises(model, projection, along, texts, [0.1, 0.4])
    base = read(model, TEXTS)
    for fraction, table in both.items():
        assert table.base == pytest.approx(base.loss / base.tokens, rel=1e-6)
        for row, number in enumerate((0, 3)):
            changes = []
            for sign in (1, -1):
                other = copy.deepcopy(model)
                weight = projection.weight(other).detach()
                unit = torch.outer(spikes.u[number], spikes.v[number])
                weight.add_(sign * fraction * float(weight.norm()) * unit)
                moved = read(other, TEXTS)
                changes.append((moved.loss - base.loss) / base.tokens)
            assert np.allclose(table.up[row], changes[0], atol=1e-5)
            assert np.allclose(table.down[row], changes[1], atol=1e-5)
            assert np.allclose(table.even[row], np.mean(changes, 0), atol=1e-5)
            assert np.allclose(table.larger[row], np.max(changes, 0), atol=1e-5)
    with pytest.raises(HillshadeError, match="choose a positive one"):
        rises(model, projection, along, texts, [0.0])


def test_the_gram_matrix_needs_no_gradient_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.curvature.overlap._BLOCK_ROWS", 7)  # blocks that cut examples apart
    some = drawn(3, 4) + drawn(2, 11, seed=1)
    flat = torch.stack([dense(gradient).flatten() for gradient in some])
    assert np.allclose(gram(some), flat @ flat.T, rtol=1e-12)


def test_orthogonal_spikes_flatten_and_a_shared_one_stays() -> None:
    n = 16
    apart, shared = np.eye(n) * 3.0, np.ones((n, n)) * 3.0
    falling, staying = flattening(apart), flattening(shared)
    assert falling.sizes == (1, 2, 4, 8, 16)
    assert [v.value for v in falling.values] == pytest.approx([3.0 / k for k in falling.sizes])
    assert [v.value for v in staying.values] == pytest.approx([3.0] * 5)
    mixed = flattening(unit_norm(0.5 * apart + 0.5 * shared + np.diag(np.arange(n))))
    values = [v.value for v in mixed.values]
    assert values[0] == pytest.approx(1.0) and values == sorted(values, reverse=True)
    assert all(v.low <= v.value <= v.high for v in mixed.values) and values[-1] > 2 / n
    with pytest.raises(HillshadeError, match="1 to 16"):
        flattening(apart, [17])
    with pytest.raises(HillshadeError, match="no gradient"):
        unit_norm(np.diag([1.0, 0.0]))


def test_overlaps_of_known_directions() -> None:
    own = own_directions("w", drawn(6, 3))
    table = overlaps(own, own)
    assert np.allclose(table.diagonal(), 1.0) and np.allclose(table, table.T)
    assert table[1, 2] == pytest.approx(abs(own.direction(1).inner(own.direction(2))))
    p, q, n = 300, 200, 60
    like = Spikes(
        "w", torch.zeros(n, p).double(), torch.zeros(n, q).double(), np.ones(n), np.ones(n)
    )
    noise = random_spikes(like)
    apart = overlaps(noise, noise)[~np.eye(n, dtype=bool)]
    # |x·y| of random unit vectors in d dimensions is √(2/πd) in the mean
    assert apart.mean() == pytest.approx(2 / np.pi / np.sqrt(p * q), rel=0.1)
