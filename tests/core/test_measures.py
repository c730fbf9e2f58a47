"""Perplexity and token accuracy against a plain loop, and what the pairing is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from core.errors import HillshadeError
from core.measures import Reading, perplexity, ratio, read
from tests.tiny import FAMILIES, TEXTS, VOCABULARY, tiny


def plain(model: PreTrainedModel, sequence: tuple[int, ...]) -> tuple[float, int]:
    """Summed loss and right tokens of one sequence, token by token."""
    loss, right = 0.0, 0
    for t in range(1, len(sequence)):
        with torch.no_grad():
            logits = model(torch.tensor([sequence[:t]])).logits[0, -1].double()
        loss -= float(torch.log_softmax(logits, 0)[sequence[t]])
        right += int(logits.argmax()) == sequence[t]
    return loss, right


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_equal_a_plain_loop_however_they_are_batched(family: str) -> None:
    model = tiny(family).eval()
    expected = [plain(model, text) for text in TEXTS]
    for batch_tokens in (1, 12, 4096):
        reading = read(model, TEXTS, batch_tokens)
        assert reading.loss == pytest.approx([loss for loss, _ in expected], rel=1e-6)
        assert reading.right.tolist() == [right for _, right in expected]
    tokens = sum(len(text) - 1 for text in TEXTS)
    mean = sum(loss for loss, _ in expected) / tokens
    assert perplexity(model, TEXTS).value == pytest.approx(math.exp(mean), rel=1e-6)
    assert reading.perplexity.n == reading.accuracy.n == tokens
    assert reading.accuracy.value == sum(right for _, right in expected) / tokens


def test_the_ratio_is_paired_and_its_interval_is_that_of_resampled_sequences() -> None:
    rng = np.random.default_rng(0)
    texts = [tuple(rng.integers(VOCABULARY, size=rng.integers(4, 24)).tolist()) for _ in range(80)]
    model, other = tiny("olmo2").eval(), tiny("olmo2").eval()
    with torch.no_grad():
        other.get_output_embeddings().weight.mul_(0.97)
    before, after = read(model, texts), read(other, texts)
    found = ratio(before, after)
    assert found.value == pytest.approx(after.perplexity.value / before.perplexity.value)
    picks = rng.integers(80, size=(4000, 80))
    change = (after.loss - before.loss)[picks].sum(1) / before.tokens[picks].sum(1)
    low, high = np.exp(np.quantile(change, [0.025, 0.975]))
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.1 * (high - low))
    # Unpaired, the width would be that of the two perplexities.
    alone = before.perplexity
    assert (found.high - found.low) < 0.5 * (alone.high - alone.low) / alone.value
    assert ratio(before, before).low == ratio(before, before).high == 1.0


def test_an_interval_beyond_float64_ends_in_infinity() -> None:
    tokens = np.array([50, 50])
    before = Reading(np.array([100.0, 100.0]), np.array([1, 1]), tokens)
    after = Reading(np.array([100.0, 6e4]), np.array([1, 1]), tokens)
    found = ratio(before, after)
    assert found.value == pytest.approx(math.exp(599))
    assert found.low < 1.0 and found.high == math.inf


def test_unusable_texts_and_damaged_weights_get_a_sentence() -> None:
    model = tiny("olmo2").eval()
    for texts, sentence in (
        ([(1, 2), (3,)], "one token predicts nothing"),
        ([], "no text to measure"),
        ([()], "empty"),
        ([(1,) * 33], "reads at most 32"),
        ([(1, VOCABULARY)], "outside the model's vocabulary"),
    ):
        with pytest.raises(HillshadeError, match=sentence):
            read(model, texts)
    with pytest.raises(HillshadeError, match="the same sequences"):
        ratio(read(model, [(1, 2)]), read(model, [(1, 2, 3)]))
    with torch.no_grad():
        next(model.parameters())[0, 0] = math.nan
    with pytest.raises(HillshadeError, match="not finite"):
        read(model, [(0, 1, 2)])
