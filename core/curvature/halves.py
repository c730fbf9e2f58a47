"""The texts that findings are measured on: one half to choose on, the other to report on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from core.curvature.examples import Example, Examples
from core.errors import HillshadeError
from core.items import Item, Split, highest_class

FEWEST = 10  # texts of a kind


@dataclass(frozen=True)
class Half:
    """One half: strings of the class repeated most (also as items), all repeated, fresh, probes."""

    items: tuple[Item, ...]
    repeated: tuple[Example, ...]
    strings: tuple[Example, ...]
    fresh: tuple[Example, ...]
    probes: tuple[Example, ...]

    @property
    def groups(self) -> dict[str, Examples]:
        """The three kinds of text that are compared, by name."""
        return {"memorized": self.strings, "fresh": self.fresh, "probes": self.probes}


def half_of(
    memorized: Sequence[Item],
    fresh: Sequence[Sequence[int]],
    probes: Sequence[Item],
    split: Split,
    most: int,
) -> Half:
    """At most `most` texts of a kind of this split.

    Strings are of the class repeated most. Fresh texts are cut to their shape, as many tokens to
    start with and as many that count; shorter ones are left out. Probes are taken from all
    abilities in turn. Raises HillshadeError for fewer than 10 of a kind.
    """
    top = highest_class(memorized)
    mine = [item for item in memorized if item.split == split]
    items = tuple(item for item in mine if (item.group, item.repeats) == top)[:most]
    shapes = Counter((len(item.prompt_ids), item.length) for item in items)
    (prompt, length), _ = shapes.most_common(1)[0] if shapes else ((0, 0), 0)
    cut = [tuple(ids[:length]) for ids in fresh if len(ids) >= length]
    by_group: dict[str, list[Item]] = {}
    for item in probes:
        if item.split == split:
            by_group.setdefault(item.group, []).append(item)
    deepest = max(map(len, by_group.values()), default=0)
    mixed = [group[n] for n in range(deepest) for group in by_group.values() if n < len(group)]
    for name, texts in (("strings", items), ("fresh texts", cut), ("probes", mixed)):
        if len(texts) < FEWEST:
            raise HillshadeError(
                f"The {split} half has {len(texts)} {name} that can be used; "
                f"give at least {FEWEST}, fresh texts as long as the strings."
            )
    return Half(
        items,
        tuple(Example.of_item(item) for item in mine if item.repeats != 0),
        tuple(Example.of_item(item) for item in items),
        tuple(Example(ids, range(prompt - 1, length - 1)) for ids in cut[:most]),
        tuple(Example.of_item(item) for item in mixed[:most]),
    )
