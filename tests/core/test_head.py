"""The loss in chunks of the logits is the loss of all of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from core import head
from core.factors import collect
from core.projection import find_projections
from core.rows import Tap, batches
from tests.families import made
from tests.tiny import TEXTS, VOCABULARY, tiny


@pytest.mark.parametrize("family", ["olmo2", "gpt2", "gemma2", "cohere", "granite"])
@pytest.mark.parametrize("labels", ["gold", "sampled"])
def test_chunks_change_nothing(family: str, labels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gemma 2 caps its logits behind the head; Cohere and Granite scale them."""
    model = made(family) if family != "olmo2" else tiny(family)
    if family == "granite":
        model.config.logits_scaling = 3.0
        model.logits_scaling = 3.0  # type: ignore[assignment]
    projections = find_projections(model)
    whole = collect(model, TEXTS, projections, labels=labels, seed=1)  # type: ignore[arg-type]
    monkeypatch.setattr(head, "CHUNK", 4 * VOCABULARY)
    seen: list[int] = []

    def watched(logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        seen.append(len(logits))
        return cross_entropy(logits, target, **options)

    monkeypatch.setattr(head, "cross_entropy", watched)
    parts = collect(model, TEXTS, projections, labels=labels, seed=1)  # type: ignore[arg-type]
    assert max(seen) == 4 and sum(seen) == whole.count
    for p in projections:
        error = float((parts.g(p.name) - whole.g(p.name)).norm())
        assert error <= 1e-12 * float(whole.g(p.name).norm())


def test_a_cap_is_seen_behind_a_token_whose_embedding_is_zero() -> None:
    """A cap leaves zero as it is, so what the model makes of one token must not decide."""
    model = made("gemma2")
    embedding: Any = model.get_input_embeddings()
    with torch.no_grad():
        embedding.weight[0] = 0.0
    assert Tap(model, find_projections(model))._head._module is None


@pytest.mark.parametrize(("family", "aside"), [("llama", True), ("gemma2", False)])
def test_all_logits_stand_at_once_only_behind_a_head_that_is_not_the_last(
    family: str, aside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(family)
    projections = find_projections(model)
    tap = Tap(model, projections)
    rows: list[int] = []
    its_head: Any = tap._head._model.get_submodule("lm_head")
    its_head.register_forward_hook(
        lambda module, args, y: rows.append(y.shape[-1] * y[..., 0].numel())
    )
    monkeypatch.setattr(head, "CHUNK", 4 * VOCABULARY)
    (batch,) = batches(TEXTS, 8)
    tap.run(batch, TEXTS, lambda key, a: None, lambda name, g: None)
    # (the forward pass itself calls the head, which then hands on hidden states of width 12)
    largest = max(size for size in rows if size != batch.positions * 12)
    assert largest == (4 if aside else batch.positions) * VOCABULARY


def test_several_sets_of_labels_share_the_logits() -> None:
    model = tiny("olmo2")
    projections = find_projections(model)
    tap = Tap(model, projections)
    (batch,) = batches(TEXTS, 8)
    other = (batch.gold + 1) % VOCABULARY
    both: list[Tensor] = []
    one: list[Tensor] = []

    def ignore(key: str, rows: Tensor) -> None: ...

    tap.run(batch, TEXTS, ignore, lambda _, g: both.append(g), golds=[batch.gold, other])
    for golds in (batch.gold, other):
        tap.run(batch, TEXTS, ignore, lambda _, g: one.append(g), golds=[golds])
    assert len(both) == len(one) == 2 * len(projections)
    assert all(torch.allclose(a, b, rtol=1e-12, atol=1e-14) for a, b in zip(both, one, strict=True))
