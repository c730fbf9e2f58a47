"""What must not change the edit, and what must change it along: in float64, to 1e-12.

Gold labels and keyed sampled ones; the whole way from texts to edited weights.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel
from transformers.models.olmo2.modeling_olmo2 import Olmo2MLP

from core.basis import Basis, bases
from core.edit import Editor
from core.ekfac import collect_ekfac
from core.factors import Factors, collect
from core.projection import Projection, find_projections, select
from tests.tiny import VOCABULARY, tiny

SCORES = ("kfac", "kfac_c2", "ekfac_token", "ekfac_sequence", "marginal_sequence")
MASS = 0.9
RNG = np.random.default_rng(0)
TEXTS = [tuple(RNG.integers(VOCABULARY, size=size).tolist()) for size in range(6, 30, 3)]
LABELS = pytest.mark.parametrize("labels", ["gold", "sampled"])
FAMILY = pytest.mark.parametrize("family", ["olmo2", "gpt2"])


class Run:
    """From texts to edited weights of the last layer, for every score."""

    def __init__(
        self,
        model: PreTrainedModel,
        labels: Any,
        texts: Sequence[Sequence[int]] = TEXTS,
        batch_size: int = 8,
    ) -> None:
        there = find_projections(model)
        self.projections: tuple[Projection, ...] = select(there, [there[-1].layer])
        options: dict[str, Any] = {"labels": labels, "seed": 2, "batch_size": batch_size}
        self.factors: Factors = collect(model, texts, self.projections, **options)
        self.bases: dict[str, Basis] = bases(self.factors, self.projections)
        ekfac = collect_ekfac(model, texts, self.bases, self.projections, **options)
        self.weights: dict[tuple[str, str], Tensor] = {}
        self.masks: dict[tuple[str, str], Any] = {}
        for score in SCORES:
            editor = Editor(model, self.bases, self.projections, score, ekfac=ekfac)
            edited, _ = editor.at(MASS)
            for p in self.projections:
                self.weights[score, p.kind] = p.weight(edited).detach()
            for name, kept in editor.kept(MASS).items():
                self.masks[score, name] = kept.mask().tolist()


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-12) -> None:
    assert float((ours - theirs).norm()) <= tolerance * float(theirs.norm())


@LABELS
@FAMILY
def test_scaling_the_loss_changes_nothing(
    family: str, labels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a power of two: kept pairs and edited weights are identical, not close."""
    model = tiny(family).eval()
    before = Run(model, labels)
    with monkeypatch.context() as patch:
        patch.setattr(
            "core.head.cross_entropy", lambda *args, **kwargs: cross_entropy(*args, **kwargs) / 64
        )
        after = Run(model, labels)
    name = before.projections[0].name
    assert torch.equal(after.factors.g(name) * 4096, before.factors.g(name))
    assert after.masks == before.masks
    for key, weight in before.weights.items():
        assert torch.equal(after.weights[key], weight), key


@LABELS
@FAMILY
def test_repeating_permuting_padding_and_batching_change_nothing(family: str, labels: Any) -> None:
    model = tiny(family).eval()
    before = Run(model, labels)
    for texts, size in ((TEXTS[3:] * 2 + TEXTS[:3] * 2, 16), (TEXTS[::-1], 1)):
        after = Run(model, labels, texts, size)
        assert after.masks == before.masks
        for key, weight in before.weights.items():
            assert_close(after.weights[key], weight)


@LABELS
@FAMILY
def test_permuting_the_hidden_units_permutes_the_edit(family: str, labels: Any) -> None:
    model, permuted = tiny(family).eval(), tiny(family).eval()
    projections = find_projections(model)
    last = select(projections, [projections[-1].layer])
    order = torch.randperm(last[-1].in_features, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for p in last:
            w = p.weight(permuted)
            w.copy_(w[:, order] if p.kind == "down" else w[order])
            bias = getattr(permuted.get_submodule(p.name), "bias", None)
            if bias is not None and p.kind != "down":
                bias.copy_(bias[order])
    before, after = Run(model, labels), Run(permuted, labels)
    for (score, kind), weight in before.weights.items():
        moved = weight[:, order] if kind == "down" else weight[order]
        assert_close(after.weights[score, kind], moved)


def orthogonal(size: int, seed: int) -> Tensor:
    noise = torch.randn(
        size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return torch.linalg.qr(noise).Q


def rotated(r: Tensor, q: Tensor) -> Callable[[PreTrainedModel], PreTrainedModel]:
    """The model whose last down projection reads R a and answers Q y, undone right after it."""

    class Rotated(Olmo2MLP):
        def forward(self, x: Tensor) -> Tensor:
            inner = self.act_fn(self.gate_proj(x)) * self.up_proj(x)
            out: Tensor = self.down_proj(inner @ r.T) @ q
            return out

    def change(model: PreTrainedModel) -> PreTrainedModel:
        mlp: Any = model.get_submodule("model.layers.2.mlp")
        with torch.no_grad():
            mlp.down_proj.weight.copy_(q @ mlp.down_proj.weight @ r.T)
        mlp.__class__ = Rotated
        return model

    return change


@LABELS
def test_an_orthogonal_change_of_input_and_output_turns_factors_and_edit_along(labels: Any) -> None:
    r, q = orthogonal(20, 1), orthogonal(12, 2)
    before = Run(tiny("olmo2").eval(), labels)
    after = Run(rotated(r, q)(tiny("olmo2").eval()), labels)
    (down,) = (p.name for p in before.projections if p.kind == "down")
    assert_close(after.factors.a(down), r @ before.factors.a(down) @ r.T)
    assert_close(after.factors.g(down), q @ before.factors.g(down) @ q.T)
    assert float((after.factors.a(down) - before.factors.a(down)).norm()) > 0.1
    for (score, kind), weight in before.weights.items():
        turned = q @ weight @ r.T if kind == "down" else weight
        assert_close(after.weights[score, kind], turned)


def test_what_should_change_the_edit_does() -> None:
    """Negative control: other labels, fewer texts, and magnitude under a rotation."""
    model = tiny("olmo2").eval()
    gold, sampled, fewer = Run(model, "gold"), Run(model, "sampled"), Run(model, "gold", TEXTS[:4])
    for other in (sampled, fewer):
        for key, weight in gold.weights.items():
            assert float((other.weights[key] - weight).norm()) > 1e-3 * float(weight.norm())
    r, q = orthogonal(20, 1), orthogonal(12, 2)
    turned_model = rotated(r, q)(tiny("olmo2").eval())
    (down,) = (p for p in gold.projections if p.kind == "down")
    cut, turned = (
        down.weight(Editor(m, None, [down], "magnitude").at(0.5)[0]).detach()
        for m in (model, turned_model)
    )
    assert float((turned - q @ cut @ r.T).norm()) > 0.1 * float(cut.norm())
