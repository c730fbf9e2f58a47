"""Before and after, side by side: which words of a continuation are the true ones.

Matching is word by word in order (the longest common blocks), so that a text that comes back
after a slip is marked as coming back. A judgement of likeness for the eye only: the numbers on
the page are exact-match and edit distance on tokens, computed elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any

_WORDS = re.compile(r"\s*\S+|\s+$")

END = "⟨end⟩"  # the token that ends a text, as it is shown

Segments = tuple[tuple[str, bool], ...]


@lru_cache(maxsize=20_000)
def marks(truth: str, output: str) -> Segments:
    """`output` cut into pieces, each with whether it repeats `truth` at that place."""
    true_words, words = _WORDS.findall(truth), _WORDS.findall(output)
    matcher = SequenceMatcher(
        None, [word.strip() for word in true_words], [word.strip() for word in words], False
    )
    right = [False] * len(words)
    for block in matcher.get_matching_blocks():
        for place in range(block.b, block.b + block.size):
            right[place] = True
    pieces: list[tuple[str, bool]] = []
    for word, same in zip(words, right, strict=True):
        if pieces and pieces[-1][1] == same:
            pieces[-1] = (pieces[-1][0] + word, same)
        else:
            pieces.append((word, same))
    # The space before a matching piece is not underlined.
    parted: list[tuple[str, bool]] = []
    for text, same in pieces:
        bare = text.lstrip()
        if same and bare != text:
            parted.append((text[: len(text) - len(bare)], False))
        parted.append((bare if same else text, same))
    return tuple(parted)


@dataclass(frozen=True)
class Row:
    """One string or question with its continuation at every tick."""

    id: str
    note: str  # what it is: "Passage, shown 64 times"
    prompt: str
    truth: str
    outputs: tuple[str, ...]
    strict: tuple[bool, ...]


@dataclass(frozen=True)
class Texts:
    """A page of rows. Every distinct text travels once; a tick is a list of indices."""

    id: str
    recipe: str
    heads: tuple[str, str, str, str]
    rows: tuple[Row, ...]
    said: Mapping[str, str]  # the words for exact and broken: {"yes": "recited", "no": "broken"}

    def payload(self) -> dict[str, Any]:
        pool: list[list[list[Any]]] = []
        places: dict[tuple[str, str], int] = {}

        def place(truth: str, output: str) -> int:
            key = (truth, output)
            if key not in places:
                places[key] = len(pool)
                pool.append([[text, int(same)] for text, same in marks(truth, output)])
            return places[key]

        rows = [
            {
                "id": row.id,
                "note": row.note,
                "prompt": row.prompt,
                "truth": row.truth,
                "at": [place(row.truth, output) for output in row.outputs],
                "strict": [int(flag) for flag in row.strict],
            }
            for row in self.rows
        ]
        return {
            "kind": "texts",
            "id": self.id,
            "recipe": self.recipe,
            "heads": list(self.heads),
            "said": dict(self.said),
            "rows": rows,
            "pool": pool,
        }

    def at(self, tick: int) -> list[dict[str, str]]:
        """What the table says at a tick, as plain rows (for "show as table")."""
        return [
            dict(
                zip(
                    ("", *self.heads),
                    (row.note, row.prompt, row.truth, row.outputs[0], row.outputs[tick]),
                    strict=True,
                )
            )
            for row in self.rows
        ]


def page(rows: Sequence[Any], number: int, size: int) -> Sequence[Any]:
    """The rows of one page, counted from 1; a number outside is brought to the nearest page."""
    pages = max(1, -(-len(rows) // size))
    start = (min(max(number, 1), pages) - 1) * size
    return rows[start : start + size]
