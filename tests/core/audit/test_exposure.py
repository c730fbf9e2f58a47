"""Exposure against sorting, losses against reading every secret whole."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from core.audit.exposure import Exposure, beyond_chance, continuation_losses, exposure, rank
from core.errors import HillshadeError
from core.items import Item
from tests.core.test_recall import model_of
from tests.tiny import FAMILIES, VOCABULARY, tiny

PROMPT = (3, 1, 4, 1, 5, 9)


def secrets(count: int, seed: int = 0) -> list[tuple[int, ...]]:
    rng = random.Random(seed)
    made: dict[tuple[int, ...], None] = {}
    while len(made) < count:
        made[tuple(rng.randrange(VOCABULARY) for _ in range(rng.randint(1, 4)))] = None
    return list(made)


def canary(secret: tuple[int, ...]) -> Item:
    return Item("canary/0", "memory", "canary", "report", PROMPT, secret, "", "")


def whole_losses(model: torch.nn.Module, continuations: list[tuple[int, ...]]) -> list[float]:
    losses = []
    for ids in continuations:
        with torch.no_grad():
            logits = model(torch.tensor([PROMPT + ids])).logits[0, len(PROMPT) - 1 : -1]
        losses.append(float(cross_entropy(logits, torch.tensor(ids), reduction="sum")))
    return losses


@pytest.mark.parametrize("family", [*FAMILIES, "sliding"])
def test_a_prompt_read_once_gives_the_losses_of_whole_texts(family: str) -> None:
    model = model_of(family)
    continuations = secrets(40)
    expected = whole_losses(model, continuations)
    for batch_tokens in (1, 60, 4096):
        found = continuation_losses(model, PROMPT, continuations, batch_tokens)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_exposure_is_the_place_in_the_sorted_losses() -> None:
    model = tiny("gpt2").eval()
    everything = secrets(301)
    losses = whole_losses(model, everything)
    for number in (0, 17, 200):
        rivals = [s for i, s in enumerate(everything) if i != number]
        found = exposure(model, canary(everything[number]), rivals)
        place = sorted(losses).index(losses[number]) + 1
        assert (found.rank, found.rivals) == (place, 300)
        assert found.loss == pytest.approx(losses[number], abs=1e-10)
        assert found.bits.value == pytest.approx(math.log2(300) - math.log2(place))
        assert found.bits.low <= found.bits.value <= found.bits.high


def test_equal_losses_share_their_ranks() -> None:
    assert rank(2.0, np.array([1.0, 2.0, 2.0, 3.0])) == 3.0
    assert rank(0.0, np.array([1.0, 2.0])) == 1.0
    assert rank(9.0, np.array([1.0, 2.0])) == 3.0


def test_the_first_of_ten_thousand_is_at_the_limit_and_has_no_upper_end() -> None:
    first = Exposure("c", 0.1, 1.0, 10_000)
    assert first.bits.value == first.limit == pytest.approx(13.2877, abs=1e-4)
    assert first.bits.high == math.inf and 11 < first.bits.low < 12
    last = Exposure("c", 9.0, 10_001.0, 10_000).bits
    assert last.low <= last.value < 0.0 <= last.high


def test_of_a_canary_of_which_nothing_is_left_exposure_is_that_of_chance() -> None:
    count = 4096
    bits = np.array([Exposure("c", 0.0, r, count).bits.value for r in range(1, count + 2)])
    assert bits.mean() == pytest.approx(1 / math.log(2), abs=0.01)
    for b in (1, 3, 6):
        assert (bits >= b).mean() <= 2.0**-b
    rng = random.Random(0)
    taken = sum(
        beyond_chance([Exposure("c", 0.0, rng.randint(1, 1001), 1000) for _ in range(20)]).any()
        for _ in range(200)
    )
    assert taken / 200 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 200)


def test_a_planted_canary_stands_out_and_too_few_rivals_are_refused() -> None:
    ranks = [1.0, 500.0, 40.0, 900.0]
    exposures = [Exposure("c", 0.0, r, 1000) for r in ranks]
    assert beyond_chance(exposures).tolist() == [True, False, False, False]
    assert beyond_chance([]).tolist() == []
    with pytest.raises(HillshadeError, match="at least 80"):
        beyond_chance([Exposure("c", 0.0, 1.0, 79)] * 4)


def test_rivals_must_be_others_and_different() -> None:
    model = tiny("olmo2").eval()
    for rivals in ([], [(1, 2), (1, 2)], [(1, 2), (3, 4)]):
        with pytest.raises(HillshadeError):
            exposure(model, canary((3, 4)), rivals)
