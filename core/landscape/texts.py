"""The texts or images a landscape is read on, and which of their predictions count."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.curvature.examples import Example
from core.errors import HillshadeError
from core.images import Image
from core.items import Item


@dataclass(frozen=True)
class Texts:
    """n examples, each with a name and a group; add two of these to read several groups at once.

    An example says which of its positions count. Where they are those of a truth, "every counted
    token is right" is strict recall.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    examples: tuple[Example | Image, ...]

    def __post_init__(self) -> None:
        if not self.examples:
            raise HillshadeError("There is no text to read; give at least one.")

    @classmethod
    def of_items(cls, items: Iterable[Item]) -> Texts:
        """Prompt and truth of each item; only the predictions of the truth count."""
        asked = tuple(items)
        return cls(
            tuple(item.id for item in asked),
            tuple(item.group for item in asked),
            tuple(Example.of_item(item) for item in asked),
        )

    @classmethod
    def of_sequences(cls, sequences: Iterable[Sequence[int]], group: str = "fresh") -> Texts:
        """Plain texts, named by group and number; every token but the first is predicted."""
        examples = tuple(Example.of_text(ids) for ids in sequences)
        names = tuple(f"{group} {number}" for number in range(len(examples)))
        return cls(names, (group,) * len(examples), examples)

    @classmethod
    def of_images(cls, images: Iterable[Image]) -> Texts:
        """Images in their own groups; "every counted token is right" says: the label given."""
        shown = tuple(images)
        return cls(tuple(i.id for i in shown), tuple(i.group for i in shown), shown)

    def __add__(self, other: Texts) -> Texts:
        return Texts(
            self.names + other.names, self.groups + other.groups, self.examples + other.examples
        )

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Counted tokens of each text, (n,)."""
        return np.array([example.tokens for example in self.examples], dtype=np.int64)

    @property
    def digest(self) -> str:
        """sha256 over token ids and counted positions, or images and labels, in order."""
        digest = hashlib.sha256()
        for example in self.examples:
            if isinstance(example, Image):
                digest.update(example.digest + f"{example.given}\n".encode())
                continue
            for numbers in (example.ids, tuple(example.counted)):
                digest.update(np.asarray((len(numbers), *numbers), dtype="<i8").tobytes())
        return digest.hexdigest()
