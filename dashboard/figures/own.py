"""Strings of one's own, asked of the original and of the edited model: rows, rates, and a finding.

Both answers are of the same strings, so what the edit took is counted string by string.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from core.intervals import share
from core.items import Item
from dashboard.figures.findings import Finding
from dashboard.figures.rows import MEMORY_HEADS, MEMORY_SIZE
from dashboard.figures.texts import Row, Texts, page
from dashboard.figures.words import percent, setting

if TYPE_CHECKING:
    from core.recall import Outcome

AFTER = 1  # of the two texts of a row: before is 0


@dataclass(frozen=True)
class Asked:
    """n strings with what both models made of them, and at which cut.

    before, after  strict, loose, distance by string; said_before, said_after the same as texts
    """

    items: tuple[Item, ...]
    before: Outcome
    after: Outcome
    said_before: tuple[str, ...]
    said_after: tuple[str, ...]
    recipe: str
    title: str
    setting: float

    @property
    def pages(self) -> int:
        return max(1, -(-len(self.items) // MEMORY_SIZE))


def finding(asked: Asked) -> Finding:
    """What the edit took of those that came back word for word, and how near the rest come."""
    before, after = asked.before, asked.after
    n, kept = len(asked.items), int((before.strict & after.strict).sum())
    known, won = int(before.strict.sum()), int((after.strict & ~before.strict).sum())
    rest = "Nothing is cut at this setting; move the slider and ask again. " * (asked.setting == 1)
    if won:
        rest += f"{_come(won)} word for word only after it. "
    rest += (
        "Loosely, with at most a quarter of the tokens to be edited, "
        f"{_come(int(before.loose.sum()))} before the cut and {int(after.loose.sum())} after it."
    )
    if known == 0:
        head = f"{_none(n)} back word for word from the original model"
        return Finding(head + (", so the cut has nothing to take." if not won else "."), rest)
    head = "Your string came" if n == 1 else f"Of your {n} strings {known} came"
    head += " back word for word before the cut, "
    if n == 1:
        return Finding(head + ("and still does." if kept else "and no longer does after it."), rest)
    if kept == known:
        return Finding(head + ("and it still does." if kept == 1 else "and all still do."), rest)
    return Finding(head + f"and {kept or 'none'} of them after it.", rest)


def rates(asked: Asked) -> pd.DataFrame:
    """Strict and loose recall and distance before and after, with 95 % intervals of the shares."""
    measures: list[dict[str, str]] = []
    for name, key in (("word for word", "strict"), ("loosely", "loose")):
        row = {"Recited": name}
        for head, outcome in (("Before", asked.before), ("After", asked.after)):
            found = share(getattr(outcome, key))
            row[head] = f"{percent(found.value)} ({percent(found.low)} to {percent(found.high)})"
        measures.append(row)
    return pd.DataFrame(measures)


def rows(asked: Asked, number: int) -> Texts:
    """One page of the strings, in the order they were given."""
    chosen: Sequence[int] = page(range(len(asked.items)), number, MEMORY_SIZE)
    return Texts(
        id="own",
        recipe="own",  # no recipe on the bar: these texts do not follow the thumb
        heads=(*MEMORY_HEADS[:3], f"After the cut, {setting(asked.setting)} kept"),
        rows=tuple(
            Row(
                asked.items[i].id,
                f"Line {line(asked.items[i])}",
                asked.items[i].prompt.strip(),
                asked.items[i].truth.strip(),
                (asked.said_before[i], asked.said_after[i]),
                (bool(asked.before.strict[i]), bool(asked.after.strict[i])),
            )
            for i in chosen
        ),
        said={"yes": "recited", "no": "not word for word"},
    )


def line(item: Item) -> int:
    """The line of the list or file that a string stands in."""
    return int(item.id.rpartition("-")[2])


def table(asked: Asked) -> pd.DataFrame:
    """Everything, a row a string; distances are edits of tokens over the length of the truth."""
    columns: dict[str, object] = {
        "line": [line(item) for item in asked.items],
        "prompt": [item.prompt for item in asked.items],
        "truth": [item.truth for item in asked.items],
        "before": asked.said_before,
        "after": asked.said_after,
    }
    for when, outcome in (("before", asked.before), ("after", asked.after)):
        columns |= {
            f"strict_{when}": outcome.strict,
            f"loose_{when}": outcome.loose,
            f"distance_{when}": outcome.distance,
        }
    return pd.DataFrame(columns | {"recipe": asked.recipe, "setting": asked.setting})


def _come(n: int) -> str:
    return "1 comes back" if n == 1 else f"{n} come back"


def _none(n: int) -> str:
    return "Your string does not come" if n == 1 else f"None of your {n} strings comes"
