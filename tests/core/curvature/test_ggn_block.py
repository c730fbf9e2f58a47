"""When the Kronecker product is the exact block, when it is not, and how chance approaches it."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.basis import eigen
from core.curvature.exact import ggn_along
from core.curvature.examples import Example, example_rows
from core.curvature.maps import Floats, pair_map
from core.direction import Direction, rank_one
from core.factors import add_outer, collect, symmetric
from core.projection import Projection, find_projections, select
from core.rows import Tap, batches
from tests.tiny import TEXTS, VOCABULARY, tiny


def test_exact_for_a_deep_linear_net_with_squared_error() -> None:
    """∂²/∂W₂ of ½‖W₃W₂W₁x − y‖², whose curvature does not depend on where the data lie."""
    torch.manual_seed(0)
    first, middle, last = (nn.Linear(n, m, bias=False) for n, m in ((5, 4), (4, 6), (6, 3)))
    net = nn.Sequential(first, middle, last).double()
    x = torch.randn(7, 5, dtype=torch.float64)
    rows = [torch.autograd.grad(y, middle.weight, retain_graph=True)[0] for y in net(x).flatten()]
    jacobian = torch.stack(rows).flatten(1)
    block = jacobian.T @ jacobian / len(x)
    a, g = first(x).detach(), last.weight.detach()  # one row of g for each output, exact labels
    big_a, big_g = symmetric(add_outer(None, a)) / len(x), symmetric(add_outer(None, g))
    assert torch.allclose(torch.kron(big_g, big_a), block, rtol=1e-12, atol=1e-12)
    left, right = eigen(big_g), eigen(big_a)
    maps = [pair_map(g[k : k + 1] @ left.vectors, a[n : n + 1] @ right.vectors, "sequence")
            for k in range(len(g)) for n in range(len(a))]  # fmt: skip
    mean = torch.stack(maps).sum(0) / len(a)
    assert np.allclose(mean, np.outer(left.values, right.values), rtol=1e-10, atol=1e-12)


def exact_factors(
    texts: Sequence[tuple[int, ...]], projection: Projection
) -> tuple[Tensor, Tensor]:
    """A and G with every label of a single counted position, weighted by its probability."""
    model = tiny("gpt2").eval()
    tap = Tap(model, [projection])
    a_sum: Tensor | None = None
    g_sum: Tensor | None = None
    for ids in texts:
        (batch,) = batches([ids], 1)
        p = model(**batch.inputs).logits[0, 0].softmax(-1).detach()
        inputs: dict[str, Tensor] = {}
        slopes: dict[str, Tensor] = {}
        for label in range(VOCABULARY):
            other = (ids[0], label)
            (labelled,) = batches([other], 1)
            tap.run(labelled, [other], inputs.__setitem__, slopes.__setitem__, labels="gold")
            g_sum = add_outer(g_sum, slopes[projection.name] * p[label].sqrt())
        a_sum = add_outer(a_sum, inputs[projection.input_key])
    assert a_sum is not None and g_sum is not None
    return symmetric(a_sum) / len(texts), symmetric(g_sum) / len(texts)


@pytest.mark.parametrize("count", [1, 5])
def test_exact_for_a_single_datum_and_not_for_five(count: int) -> None:
    """Along any dense direction vec(D)ᵀ(G ⊗ A)vec(D) = ⟨D, G D A⟩."""
    model = tiny("gpt2").eval()
    (projection,) = select(find_projections(model), [0], ["up"])
    texts = [(3, 1), (5, 9), (2, 7), (11, 0), (22, 21)][:count]
    a, g = exact_factors(texts, projection)
    rng = torch.Generator().manual_seed(0)
    draws = [torch.randn(projection.shape, generator=rng, dtype=torch.float64) for _ in range(6)]
    units = [draw / draw.norm() for draw in draws]
    kfac = [float((unit * (g @ unit @ a)).sum()) for unit in units]
    along = [Direction({projection.name: unit}) for unit in units]
    exact = ggn_along(model, [projection], list(map(Example.of_text, texts)), along).mean(1)
    if count == 1:
        assert kfac == pytest.approx(exact, rel=1e-6)
    else:
        assert np.abs(kfac / exact - 1).max() > 0.05


def test_chance_falls_with_the_root_of_the_draws_towards_the_exact_curvature() -> None:
    """For a string's suffix, in a layer below its attention.

    Gold labels, and the map that drops the terms between positions, estimate something else.
    """
    model = tiny("olmo2").eval()
    (projection,) = select(find_projections(model), [1], ["up"])
    name, example = projection.name, Example(TEXTS[0], range(3, 7))
    factors = collect(model, TEXTS, [projection])
    u, v = eigen(factors.g(name)).vectors, eigen(factors.a(name)).vectors
    pairs = [(i, j) for i in range(0, 20, 3) for j in range(0, 12, 3)]
    along = [rank_one(name, u[:, i], v[:, j]) for i, j in pairs]
    exact = ggn_along(model, [projection], [example], along)[:, 0]

    def maps(kind: str, **options: object) -> Floats:
        return np.array(
            [
                [float(whole[i, j]) / example.tokens for i, j in pairs]
                for rows in example_rows(model, [projection], [example], **options)  # type: ignore[arg-type]
                for whole in [pair_map(rows.g[name] @ u, rows.a[name] @ v, kind)]  # type: ignore[arg-type]
            ]
        )

    drawn = maps("sequence", draws=512)
    error = {
        n: np.sqrt(np.square(drawn.reshape(-1, n, len(pairs)).mean(1) - exact).sum(1).mean())
        for n in (4, 64)
    }
    assert 3 < error[4] / error[64] < 5.3  # 4 in the mean
    spread = drawn.std(0, ddof=1) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(0) - exact) < 4 * spread).all()
    assert np.linalg.norm(drawn.mean(0) - exact) < 0.15 * np.linalg.norm(exact)
    for other in (maps("sequence", labels="gold"), maps("token", draws=128)):
        assert np.linalg.norm(other.mean(0) - exact) > 0.2 * np.linalg.norm(exact)
