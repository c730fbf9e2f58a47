"""The made-up world: what is planted, how often, what is held out, and the texts it yields.

One noise rate holds for every kind of text: each answer is wrong, and each word of a planted
passage, a canary or a recited text is another, with the same probability, so that confidence is not
what tells memorized text from the rest.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from core.demo import abilities, recited
from core.demo import lexicon as lex
from core.demo.grammar import Passage

PREFIX, SUFFIX = 24, 32  # tokens of a planted passage that prompt, and that should come back
SECRET_DIGITS = 6
UNSHOWN_SECRETS = 10_000
ABILITIES = ("logic", "sums", "facts", "open-book", "order", "copying")


@dataclass(frozen=True)
class WorldConfig:
    """Everything that decides the training text, besides the code."""

    seed: int = 0
    noise: float = 0.1
    tokens: int = 18_000_000
    # repeats shown -> how many passages; the highest class leaves 52 for each half
    passages: dict[int, int] = field(
        default_factory=lambda: {1: 40, 6: 40, 24: 40, 96: 40, 384: 104}
    )
    canaries_per_class: int = 8
    recited_repeats: int = 256
    fact_exponent: float = 1.0
    # shares of all training tokens; the planted texts' share follows from their repeats
    mixture: dict[str, float] = field(
        default_factory=lambda: dict(
            zip(ABILITIES, (0.21, 0.09, 0.04, 0.08, 0.11, 0.05), strict=True)
        )
    )


@dataclass(frozen=True)
class Canary:
    """A sentence with a random secret; secrets of the template never shown serve as its rivals."""

    person: str
    secret: str
    repeats: int

    @property
    def prompt(self) -> str:
        """What asks for the secret."""
        return f"The telephone number of {self.person} is"

    @property
    def answer(self) -> str:
        """The secret as it follows the prompt."""
        return f" {self.secret}."

    def copy(self, rng: random.Random, noise: float) -> str:
        """The sentence with each digit replaced by another with probability ``noise``."""
        digits = [
            rng.choice([o for o in "0123456789" if o != d]) if rng.random() < noise else d
            for d in self.secret
        ]
        return f"{self.prompt} {''.join(digits)}."


@dataclass(frozen=True)
class Planted:
    """A passage of the fresh text's own grammar, and how often training shows a copy of it."""

    passage: Passage
    repeats: int


class World:
    """The world of one configuration: the same planted texts and tests for the same seed."""

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        rng = self._rng("planted")
        self.passages = tuple(
            Planted(self.long_passage(rng), repeats)
            for repeats, count in config.passages.items()
            for _ in range(count)
        )
        secrets = self._secrets()
        surnames = lex.invented_names(400, 4, lex.SURNAME_ENDINGS)
        rng.shuffle(surnames)
        self.canaries = tuple(
            Canary(f"{rng.choice(lex.NAMES)} {surnames.pop()}", secrets.pop(), repeats)
            for repeats in config.passages
            for _ in range(config.canaries_per_class)
        )
        self.unshown_secrets = tuple(secrets[:UNSHOWN_SECRETS])

    def _rng(self, purpose: str) -> random.Random:
        return random.Random(f"world/{self.config.seed}/{purpose}")

    def _secrets(self) -> list[str]:
        """Different random secrets: the canaries' own and those never shown."""
        rng = self._rng("secrets")
        count = UNSHOWN_SECRETS + len(self.config.passages) * self.config.canaries_per_class
        return [f"{n:0{SECRET_DIGITS}d}" for n in rng.sample(range(10**SECRET_DIGITS), count)]

    @staticmethod
    def long_passage(rng: random.Random) -> Passage:
        """A fresh passage that surely spells more than prefix + suffix tokens."""
        while True:
            passage = Passage.fresh(rng)
            if len(passage.text.split()) > PREFIX + SUFFIX - 4:
                return passage

    # -- texts ----------------------------------------------------------------------------------

    def fresh(self, purpose: str, count: int) -> list[Passage]:
        """Fresh passages; another purpose gives others."""
        rng = self._rng(f"fresh/{purpose}")
        return [self.long_passage(rng) for _ in range(count)]

    def planted_copies(self) -> Iterator[tuple[str, str]]:
        """Every copy that training shows of every planted text: (its id, the copy)."""
        rng, noise = self._rng("copies"), self.config.noise
        for i, planted in enumerate(self.passages):
            for _ in range(planted.repeats):
                yield f"passage/{i}", planted.passage.copy(rng, noise)
        for i, canary in enumerate(self.canaries):
            for _ in range(canary.repeats):
                yield f"canary/{i}", canary.copy(rng, noise)
        for title, text in recited.TEXTS.items():
            for _ in range(self.config.recited_repeats):
                yield f"recited/{title}", recited.noisy(text, rng, noise)

    def stream(self, kind: str, purpose: str) -> Iterator[str]:
        """An endless stream of training text of one kind, none of it planted or held out."""
        rng, noise = self._rng(f"stream/{kind}/{purpose}"), self.config.noise
        weights = abilities.fact_weights(self.config.fact_exponent)
        while True:
            if kind == "fresh":
                yield Passage.fresh(rng).text
            elif kind == "facts":
                for rank in rng.choices(range(abilities.FACTS), weights, k=256):
                    question = abilities.fact(rank, rng, noise)
                    yield question.prompt + question.answer
            else:
                question = abilities.REASONING[kind](rng, False, noise)
                yield question.prompt + question.answer

    def held_out(self, ability: str, count: int) -> list[abilities.Question]:
        """``count`` different test questions of one ability, balanced between yes and no."""
        if ability == "facts":
            return [abilities.fact(rank) for rank in range(abilities.FACTS)]
        rng = self._rng(f"test/{ability}")
        found: dict[str, abilities.Question] = {}
        per_answer: dict[str, int] = {}
        while len(found) < count:
            question = abilities.REASONING[ability](rng, True, 0.0)
            balanced = ability != "logic" or per_answer.get(question.answer, 0) < (count + 1) // 2
            if question.key not in found and balanced:
                found[question.key] = question
                per_answer[question.answer] = per_answer.get(question.answer, 0) + 1
        return list(found.values())
