"""Derivatives and top eigenvectors against dense matrices that plain autograd builds."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from core.curvature.examples import Example
from core.errors import HillshadeError
from core.landscape.lanczos import Matrix, sharpest
from core.landscape.restricted import RestrictedLoss
from core.landscape.texts import Texts
from core.projection import Projection, find_projections, select, weight_digest
from tests.tiny import TEXTS, tiny

COUNTED = Texts(
    tuple("abcde"),
    ("x",) * 5,
    tuple(map(Example, TEXTS, (range(4, 7), range(2), range(1, 3), range(1), range(5)))),
)


class Dense:
    """Loss and logits of COUNTED as functions of one projection's flat W, one text at a time."""

    def __init__(self, family: str) -> None:
        self.model: PreTrainedModel = tiny(family).eval()
        (self.projection,) = select(find_projections(self.model), [1], ["up"])
        self.w = self.projection.weight(self.model).detach().clone()

    @property
    def projections(self) -> list[Projection]:
        return [self.projection]

    def logits(self, flat: Tensor) -> Tensor:
        w = flat.view_as(self.w)
        weights = {f"{self.projection.name}.weight": w.T if self.projection.transposed else w}
        rows = []
        for one in COUNTED.examples:
            assert isinstance(one, Example)
            out: Any = functional_call(self.model, weights, (torch.tensor([one.ids]),))
            rows.append(out.logits[0, list(one.counted)])
        return torch.cat(rows)

    def loss(self, flat: Tensor) -> Tensor:
        texts = [one for one in COUNTED.examples if isinstance(one, Example)]
        targets = torch.tensor([one.ids[t + 1] for one in texts for t in one.counted])
        return cross_entropy(self.logits(flat), targets)

    @cache  # noqa: B019  two models, as long as the module's tests run
    def matrix(self, which: str) -> NDArray[np.float64]:
        flat = self.w.flatten()
        with sdpa_kernel(SDPBackend.MATH):
            if which == "hessian":
                made: Any = torch.autograd.functional.hessian(self.loss, flat)
                return made.numpy()
            jacobian: Any = torch.autograd.functional.jacobian(self.logits, flat)
            p = self.logits(flat).detach().softmax(-1)
        middle = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
        return torch.einsum("tca,tcd,tdb->ab", jacobian, middle, jacobian).numpy() / len(p)


@pytest.fixture(scope="module", params=["olmo2", "gpt2"])
def dense(request: pytest.FixtureRequest) -> Dense:
    return Dense(request.param)


# Olmo2's norm rounds to float32 even in a float64 model, so its derivatives agree to that only.
TOLERANCE = {"Olmo2ForCausalLM": 1e-6, "GPT2LMHeadModel": 1e-12}


@pytest.mark.parametrize("which", ["hessian", "ggn"])
def test_products_and_eigenvectors_equal_the_dense_matrix(dense: Dense, which: Matrix) -> None:
    """Padded batches, W stored transposed (gpt2), only some positions counted."""
    before = weight_digest(dense.model)
    tolerance = TOLERANCE[type(dense.model).__name__]
    whole = dense.matrix(which)
    loss = RestrictedLoss(dense.model, dense.projections, COUNTED)
    vector = np.random.default_rng(1).standard_normal(loss.size)
    product = loss.hessian(vector) if which == "hessian" else loss.ggn(vector)
    exact = whole @ vector
    assert np.linalg.norm(product - exact) < tolerance * np.linalg.norm(exact)

    seen: list[tuple[int, int]] = []
    top = sharpest(
        dense.model,
        dense.projections,
        COUNTED,
        which,
        k=3,
        tolerance=1e-9,
        progress=lambda *state: seen.append(state),
    )
    values, vectors = np.linalg.eigh(whole)
    assert top.converged and top.products == len(seen)
    np.testing.assert_allclose(top.values, values[:-4:-1], rtol=tolerance)
    assert top.residuals.max() < 10 * max(tolerance, 1e-9)
    for rank, ray in enumerate(top.rays):
        mine = loss.vector(ray.direction)
        assert abs(mine @ vectors[:, -1 - rank]) == pytest.approx(1, abs=1e-5)
        assert ray.direction.norm == pytest.approx(1, abs=1e-12)
    assert weight_digest(dense.model) == before


def test_hessian_and_ggn_differ_and_the_ggn_is_positive(dense: Dense) -> None:
    """Negative control: were one taken for the other, the tests above would not see it."""
    hessian, ggn = dense.matrix("hessian"), dense.matrix("ggn")
    assert np.linalg.norm(hessian - ggn) > 0.05 * np.linalg.norm(ggn)
    assert np.linalg.eigvalsh(hessian)[0] < -1e-3 * np.linalg.eigvalsh(hessian)[-1]
    assert np.linalg.eigvalsh(ggn)[0] > -1e-7 * np.linalg.eigvalsh(ggn)[-1]


def test_what_did_not_converge_is_left_out(dense: Dense) -> None:
    few = sharpest(
        dense.model, dense.projections, COUNTED, "hessian", k=12, tolerance=1e-9, restarts=1
    )
    assert not few.converged and 0 < len(few.values) == len(few.rays) < 12
    assert few.residuals.max() < 1e-6
    with pytest.raises(HillshadeError, match="0 eigenvalues"):
        sharpest(dense.model, dense.projections, COUNTED, "ggn", k=0)

    def stop(done: int, most: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sharpest(dense.model, dense.projections, COUNTED, "ggn", progress=stop)
