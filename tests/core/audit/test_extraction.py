"""Extraction against enumeration, sampling, transformers' own samplers and exact fractions."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedModel
from transformers.generation.logits_process import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from core.audit.extraction import (
    Sampling,
    chance,
    extraction,
    extraction_strength,
    tries,
)
from core.audit.truths import truth_logits
from core.errors import HillshadeError
from core.items import Item
from core.recall import strict
from tests.core.recall_oracle import greedy
from tests.tiny import FAMILIES, VOCABULARY, tiny

SAMPLINGS = (
    Sampling(),
    Sampling(temperature=0.5),
    Sampling(top_k=4),
    Sampling(top_p=0.6),
    Sampling(temperature=1.7, top_k=9, top_p=0.8),
)


def strings(model: PreTrainedModel, count: int = 12) -> list[Item]:
    """Greedy truths, some with one other token, of many lengths."""
    rng = random.Random(5)
    made = []
    for number in range(count):
        prompt = tuple(rng.randrange(VOCABULARY) for _ in range(rng.randint(1, 8)))
        truth = list(greedy(model, prompt, rng.randint(1, 6)))
        if number % 2:
            truth[rng.randrange(len(truth))] = rng.randrange(VOCABULARY)
        made.append(Item(f"{number}", "memory", "passage", "report", prompt, tuple(truth), "", ""))
    return made


def drawn_as_transformers_does(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    warpers = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
    if sampling.top_k is not None:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1.0:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    nothing = torch.zeros(len(logits), 1, dtype=torch.long)
    return warpers(nothing, logits).log_softmax(-1)  # type: ignore[arg-type]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_every_token_has_the_probability_that_transformers_draws_it_with(
    sampling: Sampling,
) -> None:
    logits = 3 * torch.randn(50, 31, generator=torch.Generator().manual_seed(0)).double()
    logits[:, 7] = logits[:, 8]  # equal logits stay or go together in a top-k
    every = torch.arange(31)
    ours = torch.stack([sampling.log_probability(logits, t.expand(50)) for t in every], 1)
    torch.testing.assert_close(ours.exp().sum(1), torch.ones(50).double())
    if sampling.top_p == 1.0:
        torch.testing.assert_close(ours, drawn_as_transformers_does(logits, sampling))
    else:  # of two equal tokens on the edge of a nucleus either may stay
        apart = torch.ones(31, dtype=torch.bool)
        apart[7] = False
        ours = torch.stack(
            [sampling.log_probability(logits[:, apart], t.expand(50)) for t in every[:30]], 1
        )
        theirs = drawn_as_transformers_does(logits[:, apart], sampling)
        torch.testing.assert_close(ours, theirs)


def test_a_nucleus_keeps_the_token_that_reaches_it_and_the_first_of_equal_ones() -> None:
    logits = torch.tensor([[0.4, 0.2, 0.2, 0.2]]).double().log()
    kept = [
        sum(
            math.isfinite(Sampling(top_p=p).log_probability(logits, torch.tensor([t])).item())
            for t in range(4)
        )
        for p in (0.01, 0.39, 0.41, 0.61, 0.99)
    ]
    assert kept == [1, 1, 2, 3, 4]
    second = Sampling(top_p=0.41).log_probability(logits, torch.tensor([1]))
    assert second.exp().item() == pytest.approx(0.2 / 0.6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sampling", [SAMPLINGS[0], SAMPLINGS[-1]], ids=str)
def test_pi_is_the_product_over_single_steps(family: str, sampling: Sampling) -> None:
    model = tiny(family).eval()
    items = strings(model)
    for batch_tokens in (1, 40, 4096):  # alone, a few, all together
        found = extraction(model, items, sampling, batch_tokens)
        for item, log_pi in zip(items, found.log_pi, strict=True):
            ids, total = list(item.prompt_ids), 0.0
            for token in item.truth_ids:
                with torch.no_grad():
                    logits = model(torch.tensor([ids])).logits[0, -1:]
                total += float(drawn_as_transformers_does(logits, sampling)[0, token])
                ids.append(token)
            assert log_pi == pytest.approx(total, abs=1e-10)


def test_pi_is_how_often_sampling_says_it() -> None:
    model = tiny("olmo2").eval()
    sampling = Sampling(temperature=0.8, top_k=6, top_p=0.9)
    prompt = (3, 1, 4)
    item = Item("x", "memory", "p", "report", prompt, greedy(model, prompt, 2), "", "")
    pi = math.exp(extraction(model, [item], sampling).log_pi[0])
    assert 0.02 < pi < 0.98
    draws = 4000
    with torch.random.fork_rng():
        torch.manual_seed(1)
        said = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, 3, dtype=torch.long),
            do_sample=True,
            temperature=0.8,
            top_k=6,
            top_p=0.9,
            max_new_tokens=2,
            min_new_tokens=2,
            eos_token_id=None,
            num_return_sequences=draws,
        )
    hits = (said[:, 3:] == torch.tensor(item.truth_ids)).all(1).double().mean().item()
    assert abs(hits - pi) < 4 * math.sqrt(pi * (1 - pi) / draws)


@given(st.integers(1, 999), st.integers(0, 40))
def test_chance_is_one_minus_missing_every_time(thousandths: int, n: int) -> None:
    pi = Fraction(thousandths, 1000)
    exact = float(1 - (1 - pi) ** n)
    assert chance(math.log(pi), n) == pytest.approx(exact, rel=1e-12)


def test_chance_of_the_unlikeliest_and_of_the_certain() -> None:
    assert chance([-math.inf, 0.0, 1e-17], 5).tolist() == [0.0, 1.0, 1.0]
    assert chance([0.0, -3.0], 0).tolist() == [0.0, 0.0]
    assert chance(math.log(1e-200), 1000) == pytest.approx(1e-197, rel=1e-12)
    assert chance(-1e-300, 1) == 1.0 and chance(-1e-9, 1) == pytest.approx(1 - 1e-9, rel=1e-15)


@given(st.floats(-30.0, -1e-6), st.floats(0.001, 0.999))
def test_tries_are_the_fewest_that_reach_the_probability(log_pi: float, p: float) -> None:
    n = float(tries(log_pi, p))
    assert n == round(n) >= 1
    assert chance(log_pi, n) >= p
    assert n == 1 or chance(log_pi, n - 1) < p


def test_tries_where_the_quotient_is_whole_and_at_the_ends() -> None:
    # 1 − (1/2)ⁿ ≥ 1 − 2⁻ᵏ exactly at n = k: rounding must not ask for one more
    assert tries([-math.log(2)] * 20, 0.5).tolist() == [1.0] * 20
    assert [float(tries(math.log(0.5), 1 - 2.0**-k)) for k in range(1, 20)] == list(range(1, 20))
    assert tries([-math.inf, 0.0], 0.5).tolist() == [math.inf, 1.0]


def test_extraction_strength_counts_what_greedy_says_by_itself() -> None:
    assert extraction_strength([True] * 4) == 1.0
    assert extraction_strength([False, True, True, True]) == 0.75
    assert extraction_strength([True, True, True, False]) == 0.0
    model = tiny("gpt2").eval()
    items = strings(model)
    found = extraction(model, items).strength
    for item, strength in zip(items, found, strict=True):
        length = len(item.truth_ids)
        k = next(
            k
            for k in range(length + 1)
            if k == length
            or greedy(model, item.prompt_ids + item.truth_ids[:k], length - k) == item.truth_ids[k:]
        )
        assert strength == 1 - k / length
    assert ((found == 1.0) == strict(model, items)).all()
    assert 0.0 < found.mean() < 1.0


def test_more_tries_extract_more_and_a_changed_string_is_another() -> None:
    model = tiny("olmo2").eval()
    items = strings(model)
    found = extraction(model, items)
    shares = [found.extractable(n, 0.5).mean() for n in (1, 10, 1000, 10**9)]
    assert shares == sorted(shares) and shares[0] < shares[-1]
    assert (found.extractable(7, 0.5) == (found.tries(0.5) <= 7)).all()
    item = items[0]
    other = tuple((t + 1) % VOCABULARY for t in item.truth_ids)
    changed = Item("y", "memory", "p", "report", item.prompt_ids, other, "", "")
    assert extraction(model, [changed]).log_pi[0] < found.log_pi[0] - 1


def test_what_makes_no_sense_is_refused_and_progress_may_cancel() -> None:
    for wrong in ({"temperature": 0.0}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.1}):
        with pytest.raises(HillshadeError):
            Sampling(**wrong)
    with pytest.raises(HillshadeError):
        chance(-1.0, -1)
    with pytest.raises(HillshadeError):
        tries(-1.0, 1.0)
    model = tiny("olmo2").eval()
    with pytest.raises(HillshadeError, match="no string"):
        extraction(model, [])
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(truth_logits(model, strings(model), 1, stop))
    assert seen == [(1, 12), (2, 12)]
    assert not np.isnan(extraction(model, strings(model), Sampling(top_k=1)).log_pi).any()
