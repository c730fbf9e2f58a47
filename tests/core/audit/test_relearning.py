"""Training again against a plain loop, and what it must leave alone."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from core.audit.relearning import Relearned, Training, relearn
from core.errors import HillshadeError
from core.items import Item
from core.projection import find_projections, weight_digest
from core.recall import strict
from core.twin import twin
from tests.core.recall_oracle import greedy
from tests.tiny import VOCABULARY, tiny

RNG = random.Random(4)
UNRELATED = [tuple(RNG.randrange(VOCABULARY) for _ in range(RNG.randint(2, 9))) for _ in range(5)]
PLAN = Training(steps=(0, 1, 3), learning_rate=0.01, batch=2, seed=7)


def strings(model: PreTrainedModel, count: int = 6) -> list[Item]:
    rng = random.Random(1)
    prompts = [tuple(rng.randrange(VOCABULARY) for _ in range(4)) for _ in range(count)]
    return [
        Item(f"{n}", "memory", "p", "report", prompt, greedy(model, prompt, 5), "", "")
        for n, prompt in enumerate(prompts)
    ]


def plainly(model: PreTrainedModel, items: list[Item]) -> tuple[list[np.ndarray], list[float]]:
    """One text at a time, unpadded; the order of texts by the same key."""
    model = copy.deepcopy(model).requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PLAN.learning_rate, weight_decay=0.0)
    rng = np.random.Generator(np.random.Philox(key=PLAN.seed))
    order = [int(i) for _ in range(3) for i in rng.permutation(len(UNRELATED))]
    recalled, losses = [], []
    for step in range(PLAN.steps[-1] + 1):
        texts = [UNRELATED[i] for i in order[2 * step : 2 * step + 2]]
        parts = [
            cross_entropy(
                model(torch.tensor([t])).logits[0, :-1], torch.tensor(t[1:]), reduction="sum"
            )
            for t in texts
        ]
        loss = torch.stack(parts).sum() / sum(len(t) - 1 for t in texts)
        if step in PLAN.steps:
            recalled.append(strict(model, items))
            losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return recalled, losses


@pytest.mark.parametrize("family", ["olmo2", "gpt2"])
def test_it_is_adamw_on_the_mean_loss_a_token(family: str) -> None:
    model = tiny(family).eval().requires_grad_(False)
    items = strings(model)
    found = relearn({"edited": model}, items, UNRELATED, PLAN)["edited"]
    recalled, losses = plainly(model, items)
    assert (found.strict == recalled).all()
    np.testing.assert_allclose(found.loss, losses, rtol=1e-9)
    assert found.strict[0].all() and not found.strict[-1].all()  # training moved something


def test_nothing_but_the_copies_changes_and_runs_repeat_bit_for_bit() -> None:
    original = tiny("olmo2").eval().requires_grad_(False)
    parameter = find_projections(original)[0].parameter(original)
    edited = twin(original, {parameter: parameter.detach() * 0.5})
    items = strings(original)
    digests = weight_digest(original), weight_digest(edited)
    torch.manual_seed(11)
    state = torch.get_rng_state()
    models = {"edited": edited, "original": original}
    with torch.inference_mode():  # as a caller may have it
        first = relearn(models, items, UNRELATED, PLAN)
    second = relearn(models, items, UNRELATED, PLAN)
    for name in models:
        assert (first[name].loss == second[name].loss).all()
        assert (first[name].strict == second[name].strict).all()
        assert (first[name].loose == second[name].loose).all()
    assert (first["edited"].loss != first["original"].loss).all()
    assert (weight_digest(original), weight_digest(edited)) == digests
    assert not any(p.requires_grad or p.grad is not None for p in original.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    other = relearn(models, items, UNRELATED, Training((0, 1, 3), 0.01, 2, seed=8))
    assert (other["original"].loss != first["original"].loss).any()


def test_progress_counts_all_models_and_may_cancel() -> None:
    model = tiny("olmo2").eval()
    digest = weight_digest(model)
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        relearn({"a": model, "b": model}, strings(model), UNRELATED, PLAN, stop)
    assert seen == [(1, 6), (2, 6), (3, 6), (4, 6)]
    assert weight_digest(model) == digest


def test_a_text_that_holds_a_string_is_refused() -> None:
    model = tiny("olmo2").eval()
    item = Item("told", "memory", "p", "report", (1, 2), (7, 8, 9, 10), "", "")
    with pytest.raises(HillshadeError, match="told"):
        relearn({"m": model}, [item], [(3, 4), (5, 7, 8, 9, 10, 6)], PLAN)
    relearn({"m": model}, [item], [(7, 8, 9), (10, 5, 7, 8)], Training((0,)))
    # 2⁸ and 1 lie in memory like 1 and 2⁸ shifted by a byte: no string is there
    shifted = Item("bytes", "memory", "p", "report", (1,), (256, 256, 256, 256), "", "")
    wide = tiny("olmo2").eval()
    wide.resize_token_embeddings(300)
    relearn({"m": wide}, [shifted], [(1, 1, 1, 1, 1, 1)], Training((0,)))


def test_what_makes_no_plan_is_refused() -> None:
    for wrong in ({"steps": ()}, {"steps": (1, 2)}, {"steps": (0, 2, 2)}, {"batch": 0}):
        with pytest.raises(HillshadeError):
            Training(**wrong)
    model = tiny("olmo2").eval()
    with pytest.raises(HillshadeError, match="smaller learning rate"):
        relearn({"m": model}, strings(model), UNRELATED, Training((0, 3), 1e200, 2))
    with pytest.raises(HillshadeError, match="no string"):
        relearn({"m": model}, [], UNRELATED, PLAN)


def test_returned_are_those_that_were_gone() -> None:
    strict = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], dtype=bool)
    curve = Relearned((0, 1, 2), strict, strict, np.zeros(3))
    assert curve.returned.tolist() == [False, True, True, False]
    assert [estimate.value for estimate in curve.strict_share] == [0.25] * 3
