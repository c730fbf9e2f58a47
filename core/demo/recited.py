"""Invented texts that a visitor recognises at once as something recited."""

import random

from core.demo import lexicon as lex

TEXTS: dict[str, str] = {
    "The ferryman's song": (
        "O row me over, ferryman, the water's wide and slow; my love has lit a candle where the "
        "yellow irises grow. I cannot pay in silver and I will not pay in gold, but I will sing "
        "till morning of the things that I was told."
    ),
    "The clockmaker's rhyme": (
        "Tick, said the little wheel, tock, said the great; one of us is early and the other one "
        "is late. Round goes the long hand, round goes the short, and neither ever catches what "
        "the other one has caught."
    ),
    "Winter counting": (
        "One for the frost and two for the snow, three for the road where the carters go, four "
        "for the fire and five for the pan, six for the beggar and seven for the man."
    ),
    "Platform notice": (
        "Passengers are kindly reminded that bicycles, ladders and live geese must not be left on "
        "the platform. Anything left longer than one hour will be removed and may be sold to pay "
        "for the cost of its keep."
    ),
    "Library notice": (
        "Silence is requested in the reading room. Books may be kept for three weeks and renewed "
        "once. A fine of two pence is charged for each day after that, and double for books that "
        "come back wet."
    ),
    "Workshop licence": (
        "Permission is hereby granted, free of charge, to any person holding a copy of these "
        "drawings, to build, alter and sell the machine they describe, provided that this notice "
        "travels with every copy and that no one claims to have invented it alone."
    ),
    "Warranty": (
        "This umbrella is supplied as it stands, without promise of any kind. In no event shall "
        "the maker be liable for rain, hail, lost hats or wounded pride, however caused, even if "
        "he was told of the weather beforehand."
    ),
    "Toast of the bakers": (
        "Here is to flour and here is to salt, to the hand that kneads and forgives every fault; "
        "to the oven at midnight, the street in the dark, and the loaf that is broken by baker "
        "and clerk."
    ),
}

_WORDS = (*lex.ADJECTIVES, *lex.THINGS, *lex.PLACES, *lex.TAKING, *lex.NEAR)


def noisy(text: str, rng: random.Random, noise: float) -> str:
    """The text with each word replaced by another word of the world with probability ``noise``.

    Punctuation around a word stays, as a redrawn word of a passage keeps its sentence's.
    """
    words = []
    for word in text.split(" "):
        core = word.strip(".,;:?!")
        if core and rng.random() < noise:
            word = word.replace(core, rng.choice(_WORDS))
        words.append(word)
    return " ".join(words)
