"""Wrong words: what keeps a text, however often it is read, from being certain.

A *noisy copy* of a passage replaces each word, whatever its part in the sentence, by a random word
of the world with one probability. Fresh passages are shown with the same noise as planted ones, so
that repetition alone tells the two apart, and no word of either is certain.
"""

import random
from typing import Final

from core.demo import lexicon as lex

WORDS: Final = tuple(
    word
    for words in (lex.ADJECTIVES, lex.THINGS, lex.PLACES, lex.TAKING, lex.SPEAKING, lex.MANNERS)
    for word in words
)


def noisy(text: str, rng: random.Random, noise: float) -> str:
    """The text with each word replaced by one of `WORDS` with probability ``noise``.

    Punctuation around a word and its capital letter stay.
    """
    words = []
    for word in text.split(" "):
        core = word.strip('.,;:?!"')
        if core and rng.random() < noise:
            other = rng.choice(WORDS)
            word = word.replace(core, other.capitalize() if core[0].isupper() else other)
        words.append(word)
    return " ".join(words)
