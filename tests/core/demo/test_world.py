"""The made-up world: nothing held out is ever shown, and what is planted is counted right."""

import random
import re
from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest

from core.demo import abilities, corpus
from core.demo import lexicon as lex
from core.demo.grammar import Draws, Passage, render
from core.demo.tokenizer import learn_tokenizer
from core.demo.world import PREFIX, SUFFIX, World, WorldConfig

WORLD = World(WorldConfig())
SMALL = WorldConfig(
    tokens=60_000, passages={1: 3, 8: 3, 32: 4}, canaries_per_class=2, recited_repeats=8
)


def keys_in(ability: str, text: str) -> set[str]:
    """What a training text of an ability gives away, read from the text itself."""
    if ability == "logic":
        found = re.fullmatch(r"It holds that (.+) is (?:True|False)\.", text)
        return {found[1]} if found else set()
    if ability == "sums":
        a, b = map(int, re.findall(r"\d+", text)[:2])
        return {f"sums/{min(a, b)}+{max(a, b)}"}
    if ability == "order":
        names = sorted(set(re.findall(r"[A-Z][a-z]+", text)) & set(lex.NAMES))
        return {"order/" + "/".join(names)}
    if ability == "open-book":
        told = text.removeprefix("The guests are ").split(".")[0]
        return {f"open-book/{p}/{t}" for p, t in re.findall(r"(\w+) (\w+)", told)}
    words = re.fullmatch(r"Say again: (.+)\. Again: .+\.", text)
    return {f"copying/{words[1]}"} if words else set()


def parts(key: str) -> set[str]:
    """The person-town pairs of an open-book key; any other key is one."""
    if not key.startswith("open-book/"):
        return {key}
    return {f"open-book/{pair}" for pair in key.removeprefix("open-book/").split("+open-book/")}


# How many documents of each kind the shipped corpus holds is at most these.
SHOWN = {
    "logic": 162_000, "sums": 129_000, "order": 111_000, "open-book": 66_000, "copying": 51_000,
}  # fmt: skip


@pytest.mark.parametrize("ability", list(abilities.REASONING))
def test_no_test_item_occurs_in_training(ability: str) -> None:
    """Read every training text of the shipped world and count what it shares with the tests."""
    tests = {k for q in WORLD.held_out(ability, 300) for k in q.key.split("+open-book/")}
    tests = {
        k if ability != "open-book" or k.startswith("open") else f"open-book/{k}" for k in tests
    }
    seen: set[str] = set()
    for text in islice(WORLD.stream(ability, "training"), SHOWN[ability]):
        keys = keys_in(ability, text)
        assert keys, f"could not read {text!r}"
        seen |= keys
    assert len(seen) > 1000
    assert len(tests) >= 300
    assert not seen & tests


def test_a_key_that_training_owns_is_noticed() -> None:
    """The reading above does find a shared key when there is one."""
    text = next(WORLD.stream("open-book", "training"))
    question = abilities.open_book(random.Random(1), held_out=False)
    assert keys_in("open-book", question.prompt + question.answer) == parts(question.key)
    assert keys_in("open-book", text)


def test_logic_depths_and_values_are_what_python_says() -> None:
    for question in WORLD.held_out("logic", 120):
        assert question.answer == f" {eval(question.key)}."
        depth = nesting(question.key)
        assert 3 <= depth <= 5, question.key
    answers = Counter(q.answer for q in WORLD.held_out("logic", 120))
    assert answers[" True."] == answers[" False."] == 60


def nesting(text: str) -> int:
    """Operator nesting depth, by Python's own parser."""
    import ast

    def depth(node: ast.expr) -> int:
        if isinstance(node, ast.BoolOp):
            return 1 + max(map(depth, node.values))
        if isinstance(node, ast.UnaryOp):
            return 1 + depth(node.operand)
        return 0

    return depth(ast.parse(text, mode="eval").body)


def test_answers_are_right_without_noise_and_wrong_at_the_rate_with_it() -> None:
    rng = random.Random(5)
    for ability, draw in abilities.REASONING.items():
        if ability == "copying":
            continue  # noise is per word there
        wrong = 0
        for _ in range(2000):
            state = rng.getstate()
            clean = draw(rng, False, 0.0)
            after = rng.getstate()
            rng.setstate(state)
            noisy = draw(rng, False, 0.1)
            rng.setstate(after)
            if clean.prompt == noisy.prompt:
                wrong += clean.answer != noisy.answer
        assert 140 < wrong < 260, (ability, wrong)
    for _ in range(200):
        question = abilities.sums(rng, True)
        a, b = map(int, re.findall(r"\d+", question.prompt))
        assert question.answer == f" {a + b}."


def test_noise_redraws_words_and_keeps_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    passage = Passage.fresh(rng)
    assert passage.copy(rng, 0.0) == passage.text
    same = sum(passage.copy(rng, 0.02) == passage.text for _ in range(2000)) / 2000
    for _ in range(20):
        copy = passage.copy(rng, 1.0)
        assert copy != passage.text and len(copy.split()) == len(passage.text.split())
    words: list[str] = []

    def noted(draws: Draws, name: str) -> float:
        words.append(name)
        return 0.0

    monkeypatch.setattr(Draws, "word", noted)
    render(Draws(rng, passage.decisions))
    assert len(set(words)) == len(words) > 30
    expected = 0.98 ** len(words)
    assert expected * 0.8 < same < expected * 1.9  # a redraw may hit the same word again


def test_passages_agree_and_fresh_ones_differ() -> None:
    texts = [p.text for p in WORLD.fresh("test", 400)]
    assert len(set(texts)) == 400
    for text in texts:
        for found in re.finditer(r"\b(an?) (\w)", text, re.IGNORECASE):
            assert (found[1].lower() == "an") == (found[2].lower() in "aeiou"), found[0]
        assert "  " not in text
        assert all(s[0].isupper() for s in re.split(r"(?<=[.!]) ", text))


def test_planted_counts_and_rivals() -> None:
    by_class = Counter(p.repeats for p in WORLD.passages)
    assert by_class == WORLD.config.passages
    assert by_class[max(by_class)] >= 100
    assert min(by_class) == 1
    secrets = {c.secret for c in WORLD.canaries}
    assert len(WORLD.unshown_secrets) == len(set(WORLD.unshown_secrets)) == 10_000
    assert not secrets & set(WORLD.unshown_secrets)
    planted = {p.passage.text for p in WORLD.passages}
    for purpose in ("choose", "report"):
        assert not planted & {p.text for p in WORLD.fresh(purpose, 300)}


def test_corpus_shows_each_planted_text_as_often_as_it_says() -> None:
    world = World(SMALL)
    texts = [t for kind in ("fresh", *SMALL.mixture) for t in islice(world.stream(kind, "x"), 300)]
    tokenizer = learn_tokenizer(texts)
    built = corpus.build_corpus(world, tokenizer)
    for i, planted in enumerate(world.passages):
        assert built.counts.shown[f"passage/{i}"] == planted.repeats
        assert built.counts.exact.get(f"passage/{i}", 0) <= planted.repeats
    # the exact copies of a string really stand in the rows
    rows = [r[:n].tolist() for r, n in zip(built.rows, built.lengths, strict=True)]
    joined = [f",{','.join(map(str, r))}," for r in rows]
    for i, planted in enumerate(world.passages):
        ids = corpus.encode(tokenizer, [planted.passage.text])[0][: 1 + PREFIX + SUFFIX]
        needle = f",{','.join(map(str, ids))},"
        assert sum(r.count(needle) for r in joined) == built.counts.exact.get(f"passage/{i}", 0)
    again = corpus.build_corpus(World(SMALL), tokenizer)
    assert np.array_equal(built.rows, again.rows)


def test_packing_keeps_every_document_whole() -> None:
    rng = random.Random(0)
    documents = [
        [0, *(rng.randrange(1, 99) for _ in range(rng.randrange(8, 60)))] for _ in range(500)
    ]
    rows, filled = corpus.pack(documents, row=80)
    found: Counter[tuple[int, ...]] = Counter()
    for row, length in zip(rows, filled, strict=True):
        assert not row[length:].any()
        starts = [*np.flatnonzero(row[:length] == 0).tolist(), int(length)]
        for a, b in pairwise(starts):
            found[tuple(row[a:b].tolist())] += 1
    assert found == Counter(map(tuple, documents))
    assert filled.mean() / 80 > 0.9


def test_tokenizer_accepts_any_text_and_keeps_the_prompt_boundary() -> None:
    tokenizer = learn_tokenizer(islice(WORLD.stream("fresh", "x"), 300))

    def ids(text: str, special: bool = False) -> list[int]:
        return list(tokenizer(text, add_special_tokens=special)["input_ids"])

    for text in ("Größe 東京 \n\t 🙂 ½", "An old kettle.", "12 + 7 ="):
        assert tokenizer.decode(ids(text)) == text
        assert ids(text, special=True) == corpus.encode(tokenizer, [text])[0]
    for ability in abilities.REASONING:
        question = WORLD.held_out(ability, 5)[0]
        assert ids(question.prompt + question.answer) == ids(question.prompt) + ids(question.answer)
