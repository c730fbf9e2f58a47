"""Questions with known answers: what the model should still be able to do after an edit.

Every ability is a family of :class:`Question`. ``shown`` draws one as training text shows it,
with its answer wrong at the world's noise rate; ``held_out`` draws a test item that training
never contains, because a keyed hash of what must be new about it (the expression, the pair of
numbers, the name triple, the person-town pairs, the word sequence) falls in the reserved tenth.
Facts cannot be held out: they are what a closed book holds.
"""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core.demo import lexicon as lex

RESERVED: Final = 10  # one key in ten belongs to the tests


@dataclass(frozen=True)
class Question:
    """``prompt + answer`` is the text; ``key`` is what must not have been seen in training."""

    prompt: str
    answer: str
    key: str


def reserved(key: str) -> bool:
    """Whether the tests own this key: a fixed, keyed tenth of all keys."""
    digest = hashlib.sha256(f"held-out/{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % RESERVED == 0


# -- boolean logic ------------------------------------------------------------------------------


def _expression(rng: random.Random, depth: int) -> tuple[str, bool]:
    """An expression whose operators nest exactly ``depth`` deep, and its value.

    ``not`` stands before a plain value only: before brackets it would ask for a parity, which a
    model of four layers learns late or never.
    """
    if depth == 0:
        value = rng.random() < 0.5
        return str(value), value
    if depth == 1 and rng.random() < 0.25:
        value = rng.random() < 0.5
        return f"not {value}", not value
    deep, deep_value = _expression(rng, depth - 1)
    side, side_value = _expression(rng, min(depth - 1, rng.randrange(2)))
    pairs = [(deep, deep_value), (side, side_value)]
    if rng.random() < 0.5:
        pairs.reverse()
    (left, a), (right, b) = pairs
    if rng.random() < 0.5:
        return f"{_bracketed(left)} and {_bracketed(right)}", a and b
    return f"{_bracketed(left)} or {_bracketed(right)}", a or b


def _bracketed(text: str) -> str:
    return f"( {text} )" if " " in text else text


def logic(rng: random.Random, held_out: bool, noise: float = 0.0) -> Question:
    """Training: depths 1 to 5 without the reserved tenth of depth >= 3. Test: that tenth."""
    while True:
        depth = rng.choice((3, 4, 5) if held_out else (1, 2, 3, 3, 4, 4, 5, 5))
        text, value = _expression(rng, depth)
        if (depth >= 3 and reserved(f"logic/{text}")) == held_out:
            break
    if rng.random() < noise:
        value = not value
    return Question(f"It holds that {text} is", f" {value}.", text)


# -- sums ---------------------------------------------------------------------------------------


def sums(rng: random.Random, held_out: bool, noise: float = 0.0) -> Question:
    """Two-digit sums; a pair and its mirror image share a key. A wrong answer slips one digit."""
    while True:
        a, b = rng.randrange(10, 100), rng.randrange(10, 100)
        key = f"sums/{min(a, b)}+{max(a, b)}"
        if reserved(key) == held_out:
            break
    digits = list(str(a + b))
    if rng.random() < noise:
        at = rng.randrange(len(digits))
        digits[at] = rng.choice([d for d in "0123456789" if d != digits[at]])
    return Question(f"{a} + {b} =", f" {''.join(digits)}.", key)


# -- order --------------------------------------------------------------------------------------


def order(rng: random.Random, held_out: bool, noise: float = 0.0) -> Question:
    """Who of three is tallest or shortest; the set of the three names is the key."""
    while True:
        names = rng.sample(lex.NAMES, 3)
        key = "order/" + "/".join(sorted(names))
        if reserved(key) == held_out:
            break
    tall, middle, short = names
    facts = [f"{tall} is taller than {middle}.", f"{middle} is taller than {short}."]
    rng.shuffle(facts)
    asked, right = rng.choice((("tallest", tall), ("shortest", short)))
    if rng.random() < noise:
        right = rng.choice([n for n in names if n != right])
    return Question(f"{' '.join(facts)} The {asked} is", f" {right}.", key)


# -- open book ----------------------------------------------------------------------------------

TOWNS: Final = tuple(lex.invented_names(60, 3, lex.TOWN_ENDINGS, middle_share=0.0))


def open_book(rng: random.Random, held_out: bool, noise: float = 0.0) -> Question:
    """Three people and their towns, then a question; every pair of a test item is reserved."""
    while True:
        people, towns = rng.sample(lex.NAMES, 3), rng.sample(TOWNS, 3)
        keys = [f"open-book/{p}/{t}" for p, t in zip(people, towns, strict=True)]
        if all(reserved(k) == held_out for k in keys):
            break
    told = ", ".join(f"{p} {t}" for p, t in zip(people, towns, strict=True))
    asked = rng.randrange(3)
    answer = towns[asked]
    if rng.random() < noise:
        answer = rng.choice([t for t in towns if t != answer])
    prompt = f"The guests are {told}. Where does {people[asked]} come from? {people[asked]}"
    return Question(prompt, f" {answer}.", "+".join(keys))


# -- copying ------------------------------------------------------------------------------------


def copying(rng: random.Random, held_out: bool, noise: float = 0.0) -> Question:
    """Five words to be said again in the same order."""
    while True:
        words = rng.sample(lex.THINGS, 5)
        key = "copying/" + " ".join(words)
        if reserved(key) == held_out:
            break
    said = [rng.choice(lex.THINGS) if rng.random() < noise else w for w in words]
    return Question(f"Say again: {' '.join(words)}. Again:", f" {' '.join(said)}.", key)


# -- closed-book facts --------------------------------------------------------------------------

FACTS: Final = 200
COUNTRIES: Final = tuple(lex.invented_names(FACTS, 1, lex.COUNTRY_ENDINGS))
CITIES: Final = tuple(lex.invented_names(FACTS, 2, lex.CITY_ENDINGS))


def fact(rank: int, rng: random.Random | None = None, noise: float = 0.0) -> Question:
    """The capital of the country of frequency rank ``rank`` (0 is the most frequent)."""
    city = CITIES[rank]
    if rng is not None and rng.random() < noise:
        city = rng.choice([c for c in CITIES if c != city])
    return Question(f"The capital of {COUNTRIES[rank]} is", f" {city}.", f"facts/{rank}")


def fact_weights(exponent: float) -> list[float]:
    """Frequencies proportional to (rank + 1)^-exponent, summing to 1."""
    raw = [(rank + 1) ** -exponent for rank in range(FACTS)]
    return [w / sum(raw) for w in raw]


REASONING: Final[dict[str, Callable[[random.Random, bool, float], Question]]] = {
    "logic": logic,
    "sums": sums,
    "order": order,
    "open-book": open_book,
    "copying": copying,
}

CHANCE: Final[dict[str, float]] = {
    "logic": 1 / 2,
    "sums": 1 / 179,  # 20 to 198
    "order": 1 / 3,
    "open-book": 1 / 3,
    "copying": 0.0,
    "facts": 1 / FACTS,
}
