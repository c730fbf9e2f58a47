"""Other prompts for the same strings, in closed form and against asking one by one."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from core.audit.prompts import AS_IS, ask, lengthened, preceded, shifted, shortened, ways
from core.errors import HillshadeError
from core.items import Item
from core.recall import evaluate
from tests.core.recall_oracle import greedy
from tests.tiny import VOCABULARY, tiny

BOS = 99
STRING = Item("s", "memory", "p", "report", (BOS, 1, 2, 3, 4), (5, 6, 7, 8), "a", "b")


def tokens(item: Item | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    assert item is not None
    return item.prompt_ids, item.truth_ids


def test_each_prompt_is_another_part_of_the_string() -> None:
    assert tokens(shortened(STRING, 0.5, BOS)) == ((BOS, 3, 4), (5, 6, 7, 8))
    assert tokens(shortened(STRING, 0.4)) == ((3, 4), (5, 6, 7, 8))  # its first token is its own
    assert tokens(lengthened(STRING, 0.25)) == ((BOS, 1, 2, 3, 4, 5), (6, 7, 8))
    assert tokens(shifted(STRING, 0.5, BOS)) == ((BOS, 3, 4, 5, 6), (7, 8))
    assert tokens(preceded(STRING, [41, 42], BOS)) == ((BOS, 41, 42, 1, 2, 3, 4), (5, 6, 7, 8))


def test_a_string_too_short_for_a_prompt_is_not_asked() -> None:
    short = Item("s", "memory", "p", "report", (BOS, 1), (2,), "", "")
    assert shortened(short, 0.5, BOS) is None  # one token is the least, and all there is
    assert lengthened(short, 0.5) is None and shifted(short, 0.25, BOS) is None
    assert preceded(short, []) is None


def test_unrelated_text_is_cut_to_the_prompt_and_keeps_one_start() -> None:
    kinds = ways([(BOS, 11, 12, 13, 14, 15, 16)], BOS)
    assert tokens(kinds["unrelated text before, as long"](0, STRING)) == (
        (BOS, 12, 13, 14, 15, 16, 1, 2, 3, 4),
        STRING.truth_ids,
    )
    half = kinds["unrelated text before, half as long"](0, STRING)
    assert tokens(half)[0] == (BOS, 15, 16, 1, 2, 3, 4)
    assert ways([], BOS)["unrelated text before, as long"](0, STRING) is None


def test_recall_under_each_prompt_is_that_of_asking_one_by_one() -> None:
    model = tiny("olmo2").eval()
    rng = random.Random(2)
    items = []
    for number in range(10):
        prompt = tuple(rng.randrange(3, VOCABULARY) for _ in range(rng.randint(1, 8)))
        truth = list(greedy(model, prompt, rng.choice((1, 4, 6))))
        if number % 3 == 0:
            truth[0] = (truth[0] + 1) % VOCABULARY  # only a longer prompt can bring the rest
        items.append(Item(f"{number}", "memory", "p", "report", prompt, tuple(truth), "", ""))
    text = tuple(rng.randrange(3, VOCABULARY) for _ in range(9))
    kinds = ways([text])
    seen: list[tuple[int, int]] = []
    found = ask(model, items, kinds, progress=lambda *now: seen.append(now))
    assert [kind.name for kind in found.kinds] == list(kinds)
    assert seen == [(i, len(kinds)) for i in range(1, len(kinds) + 1)]
    for kind in found.kinds:
        for i, item in enumerate(items):
            changed = kinds[kind.name](i, item)
            assert kind.asked[i] == (changed is not None)
            if changed is None:
                assert not kind.strict[i] and not kind.loose[i]
                continue
            alone = evaluate(model, [changed])
            assert (kind.strict[i], kind.loose[i]) == (alone.strict[0], alone.loose[0])
        assert kind.strict_share.n == kind.asked.sum()
    own = found.kinds[0]
    assert own.name == AS_IS and (own.strict == [i % 3 != 0 for i in range(10)]).all()
    assert (found.any_strict >= own.strict).all()
    assert (found.any_strict & ~own.strict).any()


def test_kinds_that_fit_no_string_are_left_out_and_nothing_to_ask_is_refused() -> None:
    model = tiny("olmo2").eval()
    short = Item("s", "memory", "p", "report", (3,), (4,), "", "")
    assert [kind.name for kind in ask(model, [short], ways([])).kinds] == [AS_IS]
    with pytest.raises(HillshadeError, match="no string"):
        ask(model, [], ways([]))
    context = model.config.max_position_embeddings
    with pytest.raises(HillshadeError, match="shorten"):
        ask(model, [replace(short, prompt_ids=(3,) * context)], ways([]))


def test_a_prompt_longer_than_the_model_reads_is_not_asked_of_that_string_alone() -> None:
    model = tiny("olmo2").eval()
    context = model.config.max_position_embeddings
    short = Item("s", "memory", "p", "report", (3, 4, 5, 6), (7, 8, 9, 10), "", "")
    long = replace(short, prompt_ids=(3,) * (context - 4))
    kinds = ways([tuple(range(3, 22))])
    both, alone = ask(model, [short, long], kinds), ask(model, [short], kinds)
    assert [kind.name for kind in both.kinds] == list(kinds)
    unrelated = [kind.asked.tolist() for kind in both.kinds if "unrelated" in kind.name]
    assert unrelated == [[True, False]] * 2
    assert all(kind.asked.all() for kind in both.kinds if "unrelated" not in kind.name)
    for kind, known in zip(both.kinds, alone.kinds, strict=True):
        assert (kind.strict[0], kind.loose[0]) == (known.strict[0], known.loose[0])
    assert not alone.partly and len(both.partly) == 2
    assert all("unrelated" in line and "1 of 2 strings" in line for line in both.partly)
    assert ask(model, [long], kinds).unasked == tuple(k for k in kinds if "unrelated" in k)
