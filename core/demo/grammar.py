"""Short connected passages from a grammar, and noisy copies of one passage.

A passage is a derivation: every random decision (which sentence pattern, which word) has a
name, and the passage is the map from names to draws. A *noisy copy* redraws each decision with
probability ``noise`` and keeps the others. Fresh text is a derivation drawn once, so that
planted and fresh passages differ in repetition alone: redrawing a fresh passage's decisions
gives a fresh passage again, and one noise rate holds for both.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.demo import lexicon as lex
from core.demo.lexicon import article


@dataclass
class Draws:
    """Named decisions: replays those recorded, redrawing each with probability ``noise``."""

    rng: random.Random
    recorded: dict[str, float] = field(default_factory=dict)
    noise: float = 0.0
    taken: dict[str, float] = field(default_factory=dict)

    def pick(self, name: str, options: Sequence[str]) -> str:
        """The option that the decision ``name`` falls on."""
        draw = self.recorded.get(name)
        if draw is None or (self.noise and self.rng.random() < self.noise):
            draw = self.rng.random()
        self.taken[name] = draw
        return options[int(draw * len(options))]


OPENINGS = (
    "{time}, {a_adj_trade} named {who} moved to the {adj2} {place}.",
    "In the {adj2} {place} there lived {a_adj_trade} called {who}.",
    "{who}, {a_adj_trade} from the {place}, owned {a_adj_thing}.",
    "Nobody in the {place} trusted {who} the {trade}, who had {took} {a_adj_thing}.",
    "{time}, {who} the {trade} {took} {a_adj_thing} {near} the {place}.",
    "They tell of {who}, {a_adj_trade}, and of {a_adj_thing} {near} the {place}.",
    "When {who} was {mood}, the {trade} {took} {a_adj_thing} {manner}.",
    "There was {a_adj_thing} in the {adj2} {place}, and {who} the {trade} {took} it.",
)
MIDDLES = (
    "{She} had {took} {a_adj_thing} {near} the {adj2} {place}.",
    "{time}, {other} the {trade} asked for the {thing}, but {who} {spoke} {manner}.",
    "The {thing} was {adj2}, and {other} {took} it {manner}.",
    '"Is it {adj2}?" asked {other}, and {she} {spoke}.',
    "{other} {took} the {thing} {near} the {place} because {she} was {mood}.",
    "Then {a_adj_trade} called {other} {spoke}, and {who} {took} the {thing}.",
    "{who} and {other} {spoke} {near} the {adj2} {place}.",
    "So {she} {took} {a_adj_thing} for {other}, who was {mood}.",
    "The {adj2} {place} stood {near} the {other_place}, where {other} {spoke} {manner}.",
    "{time} the {thing} fell {near} the {place}, and {who} {spoke}.",
)
CLOSINGS = (
    "{end}, the {thing} lay {near} the {adj2} {place} and {who} was {mood}.",
    "{end}, {who} {took} the {thing} and {spoke} {manner}.",
    "{end}, {other} was {mood}, but {who} {spoke} {near} the {place}.",
    "{end}, {a_adj_trade} {took} the {thing}, and {other} {spoke} {manner}.",
    "{end}, {she} {spoke} in the {adj2} {place}, {mood} and {adj}.",
    "{end}, no one {took} the {thing} {near} the {place}.",
)


def _sentence(draws: Draws, at: str, patterns: Sequence[str], who: str, thing: str) -> str:
    """One sentence; the hero ``who`` and the ``thing`` of the passage recur in all of them."""
    pattern = draws.pick(f"{at}.pattern", patterns)
    words: dict[str, str] = {"who": who, "thing": thing}
    she = "she" if who in lex.WOMEN else "he"
    words |= {"she": she, "She": she.capitalize()}
    slots = {
        "time": lex.TIMES, "end": lex.ENDS, "trade": lex.TRADES, "adj": lex.ADJECTIVES,
        "adj2": lex.ADJECTIVES, "place": lex.PLACES, "other_place": lex.PLACES, "near": lex.NEAR,
        "took": lex.TAKING, "spoke": lex.SPEAKING, "manner": lex.MANNERS, "mood": lex.MOODS,
        "other": lex.NAMES,
    }  # fmt: skip
    for slot, options in slots.items():
        asked = f"{{{slot}}}" in pattern or (slot in ("adj", "trade") and f"_{slot}" in pattern)
        if asked:
            words[slot] = draws.pick(f"{at}.{slot}", options)
    if "{a_adj_trade}" in pattern:
        words["a_adj_trade"] = article(f"{words['adj']} {words['trade']}")
    if "{a_adj_thing}" in pattern:
        words["adj"] = words.get("adj") or draws.pick(f"{at}.adj", lex.ADJECTIVES)
        words["a_adj_thing"] = article(f"{words['adj']} {thing}")
    return pattern.format_map(words)


def render(draws: Draws) -> str:
    """The passage of four sentences that the draws spell, about one person and one thing."""
    who = draws.pick("who", lex.NAMES)
    thing = draws.pick("thing", lex.THINGS)
    sentences = [_sentence(draws, "opening", OPENINGS, who, thing)]
    sentences += [_sentence(draws, f"middle{i}", MIDDLES, who, thing) for i in range(3)]
    sentences.append(_sentence(draws, "closing", CLOSINGS, who, thing))
    return " ".join(s[0].upper() + s[1:] for s in sentences)


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
        """The text with each decision redrawn with probability ``noise``."""
        return render(Draws(rng, self.decisions, noise))
