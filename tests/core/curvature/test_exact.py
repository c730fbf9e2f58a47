"""GGN and Hessian along directions against explicit derivatives, and never below zero."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from core.curvature.exact import ggn_along, hessian_along, replayed
from core.curvature.examples import Example
from core.direction import Direction, rank_one
from core.errors import HillshadeError
from core.projection import Projection, find_projections, select, weight_digest
from core.replay import Step
from tests.tiny import TEXTS, tiny

EXAMPLES = [Example(TEXTS[0], range(3, 7)), Example.of_text(TEXTS[4])]


def directions(projection: Projection, dtype: torch.dtype) -> list[Direction]:
    rng = torch.Generator().manual_seed(1)
    u, v = (torch.randn(size, generator=rng, dtype=dtype) for size in projection.shape)
    dense = torch.randn(projection.shape, generator=rng, dtype=dtype)
    return [rank_one(projection.name, u, v), Direction({projection.name: dense}).scaled(3.0)]


def logits_of(
    model: PreTrainedModel, projection: Projection, example: Example
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Logits at the counted positions as a function of W (p × q), and W."""

    def logits(weight: Tensor) -> Tensor:
        stored = weight.T if projection.transposed else weight
        parameters = {f"{projection.name}.weight": stored}
        out = functional_call(model, parameters, torch.tensor([example.ids]))
        return out.logits[0, list(example.counted)]

    return logits, projection.weight(model).detach().clone().requires_grad_()


def autograd_ggn(
    model: PreTrainedModel, projection: Projection, example: Example, along: Sequence[Direction]
) -> list[float]:
    """(1/T) Σ_t (J D)ᵀ (diag p − p pᵀ) (J D), J entry by entry."""
    logits, weight = logits_of(model, projection, example)
    z = logits(weight)
    rows = [torch.autograd.grad(entry, weight, retain_graph=True)[0] for entry in z.flatten()]
    jacobian, p = torch.stack(rows).reshape(*z.shape, -1), z.detach().softmax(-1)
    found = []
    for direction in along:
        dz = jacobian @ direction.unit().dense(projection.name).flatten()
        middle = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
        found.append(float(torch.einsum("tc,tcd,td->", dz, middle, dz)) / len(z))
    return found


def autograd_hessian(
    model: PreTrainedModel, projection: Projection, example: Example, along: Sequence[Direction]
) -> list[float]:
    logits, weight = logits_of(model, projection, example)
    targets = torch.tensor(example.ids)[[t + 1 for t in example.counted]]
    loss = cross_entropy(logits(weight), targets)
    (slope,) = torch.autograd.grad(loss, weight, create_graph=True)
    found = []
    for direction in along:
        d = direction.unit().dense(projection.name)
        (product,) = torch.autograd.grad((slope * d).sum(), weight, retain_graph=True)
        found.append(float((product * d).sum()))
    return found


@pytest.mark.parametrize("kind", ["up", "down"])
@pytest.mark.parametrize("family", ["gpt2", "olmo2"])
def test_equal_to_autograd(family: str, kind: str) -> None:
    """In a lower layer; OLMo-2's norms narrow to float32 on their own, which would ruin both."""
    model = tiny(family).eval()
    model.set_attn_implementation("eager")  # fused attention has no second derivative
    (projection,) = select(find_projections(model), [0], [kind])
    along = directions(projection, torch.float64)
    digest = weight_digest(model)
    ggn, hessian = (of(model, [projection], EXAMPLES, along) for of in (ggn_along, hessian_along))
    assert weight_digest(model) == digest and model.dtype == torch.float64
    for number, example in enumerate(EXAMPLES):
        truth = autograd_ggn(model, projection, example, along)
        assert ggn[:, number] == pytest.approx(truth, rel=1e-6)
        bent = autograd_hessian(model, projection, example, along)
        assert hessian[:, number] == pytest.approx(bent, rel=1e-5)
        assert np.abs(np.array(bent) / truth - 1).max() > 0.01  # they are two different things


def test_never_negative_where_the_model_is_certain() -> None:
    """In float32; the form E[δz²] − E[δz]² goes below zero on the same logits."""
    model = tiny("olmo2", torch.float32).eval()
    (projection,) = select(find_projections(model), [1], ["up"])
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(60)
    rng = torch.Generator().manual_seed(2)
    draws = [torch.randn(projection.shape, generator=rng) for _ in range(20)]
    along = [Direction({projection.name: draw}).unit() for draw in draws]
    texts = [Example.of_text(ids) for ids in TEXTS]
    kappa = ggn_along(model, [projection], texts, along)
    certain: list[bool] = []

    def plain_variance(logits_3rv: Tensor, targets_r: Tensor) -> Tensor:
        p = logits_3rv[0].softmax(-1)
        dz = (logits_3rv[1] - logits_3rv[2]) / 2e-2
        certain.extend((p.amax(1) > 0.999).tolist())
        return ((p * dz.square()).sum(-1) - (p * dz).sum(-1).square())[None]

    steps: list[Step] = [s for d in along for s in ((), ((d, 1e-2),), ((d, -1e-2),))]
    naive = replayed(model, [projection], texts).map(steps, plain_variance, group=3)
    assert np.mean(certain) > 0.8
    assert (kappa >= 0).all() and np.isfinite(kappa).all() and kappa.max() > 0
    assert naive.min() < 0


def test_float32_agrees_with_float64() -> None:
    wide = tiny("olmo2").eval()
    (projection,) = select(find_projections(wide), [2], ["gate"])
    along = directions(projection, torch.float64)
    truth = ggn_along(wide, [projection], EXAMPLES, along)
    narrow = tiny("olmo2", torch.float32).eval()
    ours = ggn_along(narrow, [projection], EXAMPLES, along)
    assert np.abs(ours / truth - 1).max() < 0.01
    hessian = [hessian_along(m, [projection], EXAMPLES, along) for m in (wide, narrow)]
    assert np.abs(hessian[1] / hessian[0] - 1).max() < 1e-3  # computed in float64 for both


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_of_too_few_digits_is_refused(dtype: torch.dtype) -> None:
    model = tiny("olmo2", dtype).eval()
    (projection,) = select(find_projections(model), [2], ["gate"])
    along = directions(projection, torch.float32)
    with pytest.raises(HillshadeError, match="load the model in float32"):
        ggn_along(model, [projection], EXAMPLES, along)


def test_a_step_that_measures_nothing_is_refused() -> None:
    model = tiny("gpt2").eval()
    (projection,) = select(find_projections(model), [0], ["up"])
    along = directions(projection, torch.float64)
    with pytest.raises(HillshadeError, match="positive"):
        ggn_along(model, [projection], EXAMPLES, along, epsilon=0.0)
    with pytest.raises(HillshadeError, match="points nowhere"):
        hessian_along(model, [projection], EXAMPLES, [along[0].scaled(0.0)])
