"""KL and nDCG@10 against plain loops and closed forms; methods compared at equal perplexity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.basis import bases
from core.divergence import divergence, ndcg_at_10
from core.edit import Editor
from core.errors import HillshadeError
from core.factors import collect
from core.matched import at_equal_perplexity
from core.measures import ratio, read
from core.projection import find_projections
from tests.tiny import FAMILIES, TEXTS, VOCABULARY, tiny
from tests.trained import trained


def plain_ndcg(before: Tensor, after: Tensor) -> float:
    """From sorted lists, as the definition reads."""
    first = before.argsort(descending=True).tolist()[:10]
    then = after.argsort(descending=True).tolist()[:10]
    gain = [(11 - r) / math.log2(r + 1) for r in range(1, 11)]
    return sum(gain[r] for r in range(10) if then[r] in first) / sum(gain)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_equal_a_plain_loop_however_they_are_batched(family: str) -> None:
    before, after = tiny(family).eval(), tiny(family, seed=1).eval()
    kl, ndcg = np.zeros(len(TEXTS)), np.zeros(len(TEXTS))
    for number, text in enumerate(TEXTS):
        for t in range(1, len(text)):
            ids = torch.tensor([text[:t]])
            with torch.no_grad():
                z, y = (model(ids).logits[0, -1] for model in (before, after))
            p, q = z.softmax(0), y.softmax(0)
            kl[number] += float((p * (p / q).log()).sum())
            ndcg[number] += plain_ndcg(z, y)
    for batch_tokens in (1, 12, 4096):
        found = divergence(before, after, TEXTS, batch_tokens)
        assert found.kl == pytest.approx(kl, rel=1e-9)
        assert found.ndcg == pytest.approx(ndcg, rel=1e-9)
    tokens = sum(len(text) - 1 for text in TEXTS)
    assert found.kl_per_token.value == pytest.approx(kl.sum() / tokens, rel=1e-9)
    assert found.kl_per_token.low >= 0.0
    assert found.kl_per_token.n == found.ndcg_at_10.n == tokens
    assert 0.0 <= found.ndcg_at_10.low < found.ndcg_at_10.value < found.ndcg_at_10.high <= 1.0
    same = divergence(before, before, TEXTS)
    assert same.kl.tolist() == [0.0] * len(TEXTS)
    assert same.ndcg_at_10.value == same.ndcg_at_10.low == 1.0


def test_ndcg_asks_for_the_same_ten_in_any_order_and_weighs_by_rank() -> None:
    z = torch.arange(40.0)[None]
    shuffled = z.clone()
    shuffled[0, 30:] = shuffled[0, 30:].flip(0)
    assert float(ndcg_at_10(z, shuffled)) == 1.0
    assert float(ndcg_at_10(z, -z)) == 0.0
    first, last = z.clone(), z.clone()
    first[0, 0] = 99.0  # a stranger comes first and the tenth falls out
    last[0, 0] = 30.5  # a stranger takes the tenth place
    gain = [(11 - r) / math.log2(r + 1) for r in range(1, 11)]
    assert float(ndcg_at_10(z, first)) == pytest.approx(1 - gain[0] / sum(gain))
    assert float(ndcg_at_10(z, last)) == pytest.approx(1 - gain[9] / sum(gain))
    assert float(ndcg_at_10(z[:, :3], -z[:, :3])) == 1.0  # three tokens: always the same set


def test_kl_of_a_small_change_is_half_the_variance_of_the_logits() -> None:
    """KL = ½ Var_p(δz) + O(δ³); in float32 logits too, where differences of losses drown."""
    model: Any = tiny("olmo2", torch.float32).eval()
    other: Any = tiny("olmo2", torch.float32).eval()
    with torch.no_grad():
        other.get_output_embeddings().weight.mul_(1 + 1e-3)
        ids = torch.tensor([TEXTS[0]])
        z, y = (m(ids).logits[0, :-1].double() for m in (model, other))
    p, dz = z.softmax(1), y - z
    expected = float(0.5 * ((p * dz**2).sum(1) - (p * dz).sum(1) ** 2).sum())
    found = divergence(model, other, TEXTS[:1]).kl[0]
    assert 0.0 < found == pytest.approx(expected, rel=5e-3)


def test_unusable_texts_and_models_get_a_sentence() -> None:
    model = tiny("olmo2").eval()
    for texts, sentence in (
        ([], "no text"),
        ([(1,)], "one token"),
        ([(1, VOCABULARY)], "outside the model's vocabulary"),
    ):
        with pytest.raises(HillshadeError, match=sentence):
            divergence(model, model, texts)
    damaged: Any = tiny("olmo2").eval()
    with torch.no_grad():
        damaged.get_output_embeddings().weight[0, 0] = math.nan
    with pytest.raises(HillshadeError, match="not finite"):
        divergence(model, damaged, TEXTS)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        divergence(model, model, TEXTS, progress=stop)


def test_methods_meet_at_the_tolerated_perplexity_of_the_choosing_half() -> None:
    world = trained()
    original = world.exam.ask(world.model)
    chosen = world.projections[-3:]
    factors = collect(world.model, world.exam.fresh_report, chosen)
    made = bases(factors, find_projections(world.model)[-3:])
    editors = {
        "kfac": [Editor(world.model, made, chosen, "kfac")],
        "random pairs": [Editor(world.model, made, chosen, "random", seed) for seed in (0, 1)],
    }
    seen: list[tuple[int, int]] = []
    exam = world.exam.narrowed()
    found = at_equal_perplexity(editors, exam, original, 0.02, lambda *state: seen.append(state))
    assert [method.method for method in found] == list(editors)
    assert seen == [(1, 2), (2, 2)]
    for method, seeds in zip(found, editors.values(), strict=True):
        assert method.setting is not None
        logs = []
        for number, editor in enumerate(seeds):
            model, report = editor.at(method.setting)
            again = ratio(original.choose, read(model, exam.fresh_choose))
            assert (again, report) == (method.choose[number], method.edits[number])
            assert method.answers[number].outcome.strict.shape == (len(exam.items),)
            assert method.report[number] != method.choose[number]
            logs.append(math.log(again.value))
        # Random pairs of so small a model move perplexity in jumps, and that is said.
        assert method.reached == (abs(math.exp(sum(logs) / len(logs)) / 1.02 - 1) <= 1e-3)
    assert found[0].reached
    nothing = Editor(world.model, None, chosen, "svd")
    (never,) = at_equal_perplexity({"svd": [nothing]}, exam, original, 9.9)
    assert (never.setting, never.reached, never.answers) == (None, False, ())
