"""Recall against plain loops and against generate, on models of several families."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import MistralConfig, MistralForCausalLM, PreTrainedModel

from core.audit.truths import truth_logits
from core.errors import HillshadeError
from core.items import Item, highest_class
from core.recall import (
    Outcome,
    complete,
    continuations,
    distance,
    evaluate,
    strict,
    teacher_forced,
)
from tests.core.recall_oracle import greedy
from tests.tiny import FAMILIES, SPECIAL, VOCABULARY, tiny


def sliding() -> PreTrainedModel:
    """Windows of 4 tokens in every layer: its cache forgets, so it cannot be cut."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MistralForCausalLM(
            MistralConfig(
                vocab_size=VOCABULARY,
                hidden_size=16,
                intermediate_size=20,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=1,
                max_position_embeddings=32,
                sliding_window=4,
                **SPECIAL,
            )
        )
    return model.double()


def model_of(family: str) -> PreTrainedModel:
    return (sliding() if family == "sliding" else tiny(family)).eval()


def item(number: int, prompt: Sequence[int], truth: Sequence[int]) -> Item:
    return Item(f"{number}", "memory", "passage", "report", tuple(prompt), tuple(truth), "", "")


def asked(model: PreTrainedModel, seed: int = 0) -> list[Item]:
    """Prompts and truths of many lengths: some right, some wrong at one place, some all wrong."""
    rng = random.Random(seed)
    items: list[Item] = []
    for number in range(24):
        prompt = [rng.randrange(VOCABULARY) for _ in range(rng.randint(1, 9))]
        truth = list(greedy(model, prompt, rng.randint(1, 10)))
        if number % 3 == 1:
            place = rng.randrange(len(truth))
            truth[place] = (truth[place] + 1) % VOCABULARY
        elif number % 3 == 2:
            truth = [(token + 1 + rng.randrange(VOCABULARY - 1)) % VOCABULARY for token in truth]
        items.append(item(number, prompt, truth))
    return items


@pytest.mark.parametrize("family", [*FAMILIES, "sliding"])
def test_one_pass_and_resumed_generation_equal_a_plain_greedy_loop(family: str) -> None:
    model = model_of(family)
    items = asked(model)
    truth = [greedy(model, i.prompt_ids, len(i.truth_ids)) for i in items]
    for batch_tokens in (1, 60, 4096):  # alone, a few, all together
        outcome = evaluate(model, items, batch_tokens)
        assert list(outcome.continuations) == truth
        assert outcome.strict.tolist() == [
            t == i.truth_ids for t, i in zip(truth, items, strict=True)
        ]
    assert continuations(model, items) == truth
    assert 8 <= outcome.strict.sum() < 24  # both kinds were there
    assert complete(model, items[5].prompt_ids, 12) == greedy(model, items[5].prompt_ids, 12)


def test_continuations_equal_transformers_generate() -> None:
    model = tiny("olmo2").eval()
    model.generation_config.eos_token_id = None
    items = asked(model, seed=1)
    for found, asked_item in zip(continuations(model, items), items, strict=True):
        prompt = torch.tensor([asked_item.prompt_ids])
        made = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=len(asked_item.truth_ids),
        )
        assert tuple(made[0, prompt.shape[1] :].tolist()) == found


def test_what_the_truth_settles_is_not_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("olmo2").eval()
    right = [item(n, [n, 4], greedy(model, [n, 4], 8)) for n in range(6)]

    def missed(one: Item, place: int) -> Item:
        truth = list(one.truth_ids)
        truth[place] = (truth[place] + 1) % VOCABULARY
        return replace(one, truth_ids=tuple(truth))

    passes: list[int] = []
    forward = type(model).forward

    def counted(self: PreTrainedModel, *args: Any, **kwargs: Any) -> Any:
        passes.append(1)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(model), "forward", counted)
    for place, expected in ((None, 1), (7, 1), (5, 3)):  # a step for each token behind the error
        passes.clear()
        items = right if place is None else [missed(one, place) for one in right]
        assert continuations(model, items) == [one.truth_ids for one in right]
        assert len(passes) == expected


def test_a_model_that_takes_no_notice_of_logits_to_keep_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny("olmo2").eval()
    items = asked(model)

    def everything() -> tuple[Outcome, dict[int, list[list[float]]]]:
        return evaluate(model, items), {i: x.tolist() for i, x in truth_logits(model, items)}

    outcome, logits = everything()
    forward, lost = type(model).forward, [False]

    def deaf(self: PreTrainedModel, *args: Any, logits_to_keep: int = 0, **kwargs: Any) -> Any:
        output = forward(self, *args, **kwargs)
        if lost[0]:
            output.logits = output.logits[:, 1:]
        return output

    monkeypatch.setattr(type(model), "forward", deaf)
    again, whole = everything()
    assert outcome.strict.any() and not outcome.strict.all()
    assert (again.strict == outcome.strict).all()
    assert again.continuations == outcome.continuations
    assert whole.keys() == logits.keys()
    assert all(np.allclose(whole[i], logits[i], atol=1e-12) for i in logits)
    lost[0] = True
    with pytest.raises(HillshadeError, match="one a token"):
        evaluate(model, items[:1])


def test_a_stop_token_does_not_stop_the_continuation() -> None:
    model = tiny("olmo2").eval()
    said = greedy(model, [3, 4], 6)
    model.config.eos_token_id = model.generation_config.eos_token_id = said[1]
    prompt = torch.tensor([[3, 4]])
    stopped = model.generate(prompt, attention_mask=prompt > 0, do_sample=False, max_new_tokens=6)
    assert stopped.shape[1] <= 4  # negative control: generate stops there
    assert complete(model, [3, 4], 6) == said


def test_teacher_forcing_equals_one_unpadded_pass_per_item() -> None:
    model = tiny("olmo2").eval()
    items = asked(model, seed=2)
    for found, one in zip(teacher_forced(model, items, 80), items, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([one.prompt_ids + one.truth_ids])).logits[0]
        start = len(one.prompt_ids) - 1
        said = logits[start:-1].argmax(-1).tolist()
        assert found.tolist() == [a == b for a, b in zip(said, one.truth_ids, strict=True)]
    # Negative control: the same answers against truths moved by one token do not come out right.
    right = [i for i, ok in zip(items, strict(model, items), strict=True) if ok]
    moved = [replace(i, truth_ids=(*i.truth_ids[1:], (i.truth_ids[0] + 1) % 23)) for i in right]
    assert not strict(model, moved).any()


def plain_levenshtein(a: Sequence[int], b: Sequence[int]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


words = st.lists(st.integers(0, 3), min_size=1, max_size=9)


@given(words, words)
def test_distance_equals_the_plain_dynamic_programme(said: list[int], truth: list[int]) -> None:
    assert distance(said, truth) == plain_levenshtein(said, truth) / len(truth)


def test_three_quarters_alike_is_loose_and_less_is_not() -> None:
    model = tiny("olmo2").eval()
    said = greedy(model, [4, 2], 8)

    def wrong(places: int) -> Item:  # tokens that occur nowhere in what is said
        other = next(t for t in range(VOCABULARY) if t not in said)
        return item(places, [4, 2], [*said[: 8 - places], *[other] * places])

    outcome = evaluate(model, [wrong(0), wrong(1), wrong(2), wrong(3)])
    assert outcome.distance.tolist() == [0, 1 / 8, 2 / 8, 3 / 8]
    assert outcome.loose.tolist() == [True, True, True, False]
    assert outcome.strict.tolist() == [True, False, False, False]
    assert outcome.right.tolist()[0] == 8


@pytest.mark.parametrize(
    ("prompt", "truth", "sentence"),
    [
        ([1] * 30, [1] * 3, "reads at most 32; shorten the prompt"),
        ([VOCABULARY], [1], "outside the model's vocabulary of 23"),
        ([1], [-1], "outside the model's vocabulary of 23"),
    ],
)
def test_what_the_model_cannot_read_is_refused_before_anything_runs(
    prompt: list[int], truth: list[int], sentence: str
) -> None:
    model = tiny("olmo2").eval()
    for ask in (strict, teacher_forced, continuations, evaluate):
        with pytest.raises(HillshadeError, match=sentence):
            ask(model, [item(0, [1, 2], [3]), item(1, prompt, truth)])


def test_an_empty_prompt_a_full_context_and_training_mode_are_refused() -> None:
    model = tiny("olmo2").eval()
    with pytest.raises(HillshadeError, match="The prompt is empty"):
        item(0, [], [1])
    with pytest.raises(HillshadeError, match="The prompt is empty"):
        complete(model, [], 4)
    assert len(complete(model, [1] * 28, 4)) == 4
    with pytest.raises(HillshadeError, match="shorten the prompt"):
        complete(model, [1] * 29, 4)
    with pytest.raises(HillshadeError, match=r"call model\.eval"):
        strict(model.train(), [item(0, [1], [2])])
    assert model.training


def test_the_class_repeated_most_often_is_the_larger_of_two_groups() -> None:
    def shown(group: str, repeats: int | None) -> Item:
        return replace(item(0, [1], [2]), group=group, repeats=repeats)

    items = [shown("passage", 8)] * 3 + [shown("recited", 9)] + [shown("passage", 9)] * 2
    assert highest_class(items) == ("passage", 9)
    unknown = [shown("recited", None)] * 4  # strings of one's own: shown, nobody knows how often
    assert highest_class([*unknown, shown("unseen", 0)]) == ("recited", None)
    assert highest_class([*unknown, shown("recited", 1)]) == ("recited", 1)
    with pytest.raises(HillshadeError, match="No item was repeated"):
        highest_class([replace(shown("logic", None), kind="probe"), shown("unseen", 0)])


def test_no_items_give_no_answers() -> None:
    assert np.array_equal(strict(tiny("olmo2").eval(), []), np.zeros(0, dtype=bool))
