"""Short connected passages from a grammar, and noisy copies of one passage.

A passage is a derivation: every random decision has a name, and the passage is the map from names
to draws. Some decisions shape a sentence (its clauses, whether a noun has an adjective), the others
are its words. A *noisy copy* redraws each word with probability ``noise`` and keeps the shape.
Fresh text is a derivation drawn once, so that planted and fresh passages differ in repetition
alone. Hardly a word follows surely from those before it, as in real text: a person or thing of the
passage comes again, or another does; a determiner, preposition or conjunction has its rivals.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from core.demo import lexicon as lex
from core.demo.lexicon import article

SENTENCES: Final = 7
AGAIN: Final = 0.5  # of the people and things named, the share that the passage is about


@dataclass
class Draws:
    """Named decisions: replays those recorded, redrawing each word with probability ``noise``."""

    rng: random.Random
    recorded: dict[str, float] = field(default_factory=dict)
    noise: float = 0.0
    taken: dict[str, float] = field(default_factory=dict)

    def shape(self, name: str) -> float:
        """A draw in [0, 1) that a copy keeps."""
        draw = self.recorded.get(name)
        if draw is None:
            draw = self.rng.random()
        self.taken[name] = draw
        return draw

    def word(self, name: str) -> float:
        """A draw in [0, 1) that a copy redraws with probability ``noise``."""
        draw = self.recorded.get(name)
        if draw is None or (self.noise and self.rng.random() < self.noise):
            draw = self.rng.random()
        self.taken[name] = draw
        return draw

    def pick(self, name: str, options: Sequence[str]) -> str:
        """The word that the decision ``name`` falls on."""
        return options[int(self.word(name) * len(options))]

    def one_of(self, name: str, shares: Sequence[float]) -> int:
        """Which of several shapes, whose shares sum to 1."""
        left = self.shape(name)
        for i, share in enumerate(shares):
            left -= share
            if left < 0:
                return i
        return len(shares) - 1


@dataclass(frozen=True)
class _Telling:
    """One passage being told: its draws, its hero and its thing."""

    draws: Draws
    hero: str
    thing: str

    def person(self, at: str) -> str:
        """A person by name: the hero as often as all others together."""
        draw = self.draws.word(f"{at}.person")
        if draw < AGAIN:
            return self.hero
        return lex.NAMES[int((draw - AGAIN) / (1 - AGAIN) * len(lex.NAMES))]

    def noun_phrase(self, at: str, noun: str, adjective: float) -> str:
        """A determiner, perhaps an adjective, and the noun."""
        determiner = self.draws.pick(f"{at}.determiner", lex.DETERMINERS)
        if self.draws.shape(f"{at}.plain") < adjective:
            noun = f"{self.draws.pick(f'{at}.adjective', lex.ADJECTIVES)} {noun}"
        return article(noun) if determiner == "a" else f"{determiner} {noun}"

    def object(self, at: str) -> str:
        """A thing: the passage's own as often as all others together."""
        draw = self.draws.word(f"{at}.thing")
        if draw < AGAIN:
            noun = self.thing
        else:
            noun = lex.THINGS[int((draw - AGAIN) / (1 - AGAIN) * len(lex.THINGS))]
        return self.noun_phrase(at, noun, 0.4)

    def place(self, at: str) -> str:
        """Where: a preposition and a place."""
        place = self.noun_phrase(f"{at}.place", self.draws.pick(f"{at}.where", lex.PLACES), 0.25)
        return f"{self.draws.pick(f'{at}.near', lex.NEAR)} {place}"

    def subject(self, at: str) -> str:
        """Somebody: a name, a pronoun or a trade."""
        kind = self.draws.one_of(f"{at}.subject", (0.4, 0.25, 0.35))
        if kind == 0:
            return self.person(at)
        if kind == 1:
            return "she" if self.hero in lex.WOMEN else "he"
        return self.noun_phrase(at, self.draws.pick(f"{at}.trade", lex.TRADES), 0.4)

    def clause(self, at: str) -> str:
        """Somebody did something, somewhere, somehow; or something was somewhere."""
        pick = self.draws.pick
        kind = self.draws.one_of(f"{at}.clause", (0.42, 0.22, 0.16, 0.20))
        if kind == 3:
            noun = self.object(f"{at}.it")
            return f"{noun} {pick(f'{at}.state', lex.STATES)} {self.place(at)}"
        who = self.subject(f"{at}.who")
        if kind == 2:
            return f"{who} {pick(f'{at}.seem', lex.SEEMING)} {pick(f'{at}.mood', lex.MOODS)}"
        if kind == 0:
            told = f"{who} {pick(f'{at}.took', lex.TAKING)} {self.object(f'{at}.what')}"
        else:
            told = f"{who} {pick(f'{at}.spoke', lex.SPEAKING)}"
        end = self.draws.one_of(f"{at}.end", (0.35, 0.35, 0.3))
        if end == 0:
            return told
        if end == 1:
            return f"{told} {self.place(at)}"
        return f"{told} {pick(f'{at}.manner', lex.MANNERS)}"

    def sentence(self, at: str) -> str:
        """One or two clauses, perhaps with a time before them."""
        kind = self.draws.one_of(f"{at}.sentence", (0.35, 0.4, 0.25))
        told = self.clause(f"{at}.1")
        if kind == 1:
            told += f"{self.draws.pick(f'{at}.joint', lex.JOINTS)} {self.clause(f'{at}.2')}"
        if kind == 2:
            told = f"{self.draws.pick(f'{at}.time', lex.TIMES)} {told}"
        return told[0].upper() + told[1:] + self.draws.pick(f"{at}.stop", lex.STOPS)


def render(draws: Draws) -> str:
    """The passage that the draws spell, about one person and one thing."""
    names, things = draws.shape("hero"), draws.shape("thing")
    telling = _Telling(
        draws,
        lex.NAMES[int(names * len(lex.NAMES))],
        lex.THINGS[int(things * len(lex.THINGS))],
    )
    return " ".join(telling.sentence(str(i)) for i in range(SENTENCES))


@dataclass(frozen=True)
class Passage:
    """A derivation that can be spelled exactly or copied with noise."""

    text: str
    decisions: dict[str, float]

    @classmethod
    def fresh(cls, rng: random.Random) -> "Passage":
        """A new derivation."""
        draws = Draws(rng)
        return cls(render(draws), draws.taken)

    def copy(self, rng: random.Random, noise: float) -> str:
        """The text with each word redrawn with probability ``noise``."""
        return render(Draws(rng, self.decisions, noise))
