"""Single examples one by one: a study's examples.json, read for one projection, and its tables.

(`core.curvature.portraits` says what the numbers are.) Sums of curvature over bands of the sorted
directions are shown in two ways: per direction, which compares examples with each other and with
λᵢμⱼ, and as shares of the example's own total, because a text that the model is sure of has little
curvature anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.curvature.verdicts import Verdict
from core.intervals import Estimate
from dashboard.figures.estimates import stored, stored_verdict
from dashboard.figures.palette import style
from dashboard.figures.rows import Said
from dashboard.figures.words import count, digits, percent

Floats = NDArray[np.float64]
Document = Mapping[str, Any]

MEMORIZED, FRESH = "memorized", "fresh"
# Group of an example -> its look in the palette.
LOOKS = {MEMORIZED: "memory", FRESH: "fresh own"}
NAMES = {MEMORIZED: "Memorized strings", FRESH: "Fresh text"}
ONE = {MEMORIZED: "Memorized string", FRESH: "Fresh text"}
TENTH = 0.1  # of the directions; the steep ones lie before the edge of a band nearest to it
PARTS = 4  # into which the bands are joined where two examples are compared in a small table


def look_of(group: str) -> str:
    """The palette's name of a group of examples."""
    return LOOKS.get(group, group)


def name_of(group: str) -> str:
    """What a group is called on a page."""
    return NAMES.get(group) or style(group).name


@dataclass(frozen=True)
class Subject:
    """One example: what it is. `id` is that of its item, or "fresh/…"."""

    id: str
    group: str
    prompt: str
    truth: str
    repeats: int | None
    tokens: int
    loss: float

    @property
    def kind(self) -> str:
        """What it is, in a few words: "Memorized string, shown 512×"."""
        name = ONE.get(self.group) or style(self.group).name
        if self.repeats is None:
            return name
        return f"{name}, shown {'once' if self.repeats == 1 else f'{self.repeats:,}×'}"


@dataclass(frozen=True, eq=False)
class Portraits:
    """All examples in one projection, n examples and b bands.

    ranks   the last rank of each band (b,)
    sums    curvature in each band, per counted token (n, b); errors: its standard error
    private, rises  private share, and own rise at `step` times ‖W‖ (n,)
    members, kappa, felt, verdict   the mean over examples, see `core.curvature.portraits.Averaged`
    """

    projection: str
    step: float
    draws: int
    subjects: tuple[Subject, ...]
    ranks: tuple[int, ...]
    sums: Floats
    errors: Floats
    private: Floats
    rises: Floats
    members: Mapping[str, tuple[int, ...]]
    kappa: Mapping[str, Floats]
    felt: Mapping[str, Estimate]
    verdict: Verdict

    @classmethod
    def read(cls, document: Document, projection: str) -> Portraits:
        """One projection of examples.json; KeyError and its like where it is of another form."""
        part = {str(one["projection"]): one for one in document["projections"]}[projection]
        averaged = part["averaged"]
        return cls(
            projection,
            float(document["step"]),
            int(document["draws"]),
            tuple(Subject(**entry) for entry in document["examples"]),
            tuple(int(rank) for rank in part["ranks"]),
            np.array(part["sums"], dtype=np.float64),
            np.array(part["errors"], dtype=np.float64),
            np.array(part["private"], dtype=np.float64),
            np.array(part["rises"], dtype=np.float64),
            {group: tuple(numbers) for group, numbers in averaged["members"].items()},
            {
                group: np.array(table, dtype=np.float64)
                for group, table in averaged["kappa"].items()
            },
            {group: stored(raw) for group, raw in averaged["felt"].items()},
            stored_verdict(averaged["verdict"]),
        )

    @cached_property
    def ids(self) -> tuple[str, ...]:
        return tuple(subject.id for subject in self.subjects)

    @cached_property
    def groups(self) -> dict[str, NDArray[np.int64]]:
        """The numbers of each group's examples, in stored order."""
        every = [subject.group for subject in self.subjects]
        return {
            group: np.flatnonzero([other == group for other in every])
            for group in dict.fromkeys(every)
        }

    @property
    def edges(self) -> tuple[float, ...]:
        """Where the bands begin and end on an axis of ranks (b + 1,)."""
        return (0.5, *(rank + 0.5 for rank in self.ranks))

    @property
    def centres(self) -> tuple[float, ...]:
        """The middle of each band on a log axis of ranks (b,)."""
        edges = np.array(self.edges)
        return tuple(np.sqrt(edges[:-1] * edges[1:]).tolist())

    @property
    def counts(self) -> Floats:
        """Directions in each band (b,)."""
        return np.diff(np.array([0, *self.ranks], dtype=np.float64))

    @cached_property
    def densities(self) -> Floats:
        """Curvature per direction in each band (n, b)."""
        return self.sums / self.counts

    @cached_property
    def shares(self) -> Floats:
        """Each band's share of the example's own curvature (n, b)."""
        return self.sums / self.sums.sum(1, keepdims=True)

    @property
    def steep(self) -> int:
        """How many bands are called steep: up to the edge nearest to a tenth of the directions."""
        wanted = np.log(TENTH * self.ranks[-1])
        return int(np.abs(np.log(self.ranks[:-1]) - wanted).argmin()) + 1

    @cached_property
    def flat(self) -> Floats:
        """The share of each example's curvature that lies beyond the steep bands (n,)."""
        return np.asarray(self.shares[:, self.steep :].sum(1))

    @property
    def beyond(self) -> str:
        """The flat bands in words: "beyond rank 10,321 (the flattest 84 %)"."""
        rank = self.ranks[self.steep - 1]
        rest = percent(round(1.0 - rank / self.ranks[-1], 2))
        return f"beyond rank {count(rank)} (the flattest {rest} of the directions)"


# -- tables ----------------------------------------------------------------------------------------


def listed(
    found: Portraits, said: Said, tick: int, pins: Mapping[str, str], search: str = ""
) -> pd.DataFrame:
    """One row an example, those whose text holds all words of `search`; the index are their ids."""
    words = search.casefold().split()
    rows = []
    for number, one in enumerate(found.subjects):
        text = f"{one.prompt.strip()} {one.truth.strip()}"
        if all(word in text.casefold() for word in words):
            rows.append(
                {
                    "id": one.id,
                    "pin": next((pin for pin, id_ in pins.items() if id_ == one.id), ""),
                    "text": text,
                    "what it is": one.kind.partition(",")[0],
                    "shown": one.repeats,
                    "before": _outcome(one, said, 0),
                    "after": _outcome(one, said, tick),
                    "loss": digits(one.loss, 3),
                    "curvature": digits(float(found.sums[number].sum()), 3),
                    "in flat directions": digits(float(found.flat[number]), 3),
                    "private share": digits(float(found.private[number]), 3),
                    "own rise": digits(float(found.rises[number]), 3),
                }
            )
    frame = pd.DataFrame(rows, columns=list(rows[0]) if rows else ["id"])
    if rows:
        frame["shown"] = frame["shown"].astype("Int64")
    return frame.set_index("id")


def _outcome(one: Subject, said: Said, tick: int) -> str:
    """Whether its continuation is the true one; "–" where no continuation is stored."""
    if one.id not in said:
        return "–"
    right = said[one.id][1][tick]
    if one.group == MEMORIZED:
        return "recited" if right else "broken"
    return "right" if right else "wrong"


def compared(found: Portraits, said: Said, tick: int, pins: Mapping[str, str]) -> pd.DataFrame:
    """The pinned examples side by side: one row a measure, one column a pin."""
    size = -(-len(found.ranks) // PARTS)
    columns: dict[str, dict[str, str]] = {}
    for pin, id_ in pins.items():
        number = found.ids.index(id_)
        one = found.subjects[number]
        rows = {
            "What it is": one.kind,
            "Prompt": one.prompt.strip(),
            "What truly follows": one.truth.strip(),
            "Before the cut": _outcome(one, said, 0),
            "After the cut in view": _outcome(one, said, tick),
            "Loss (nats a token)": f"{digits(one.loss, 3):g}",
            "Curvature in all": f"{digits(float(found.sums[number].sum()), 3):g}",
        }
        for first in range(0, len(found.ranks), size):
            last = min(first + size, len(found.ranks))
            start = found.ranks[first - 1] + 1 if first else 1
            name = f"Of it at ranks {count(start)} to {count(found.ranks[last - 1])}"
            rows[name] = percent(float(found.shares[number, first:last].sum()))
        rows["Private share"] = percent(float(found.private[number]))
        rows[f"Own rise at {found.step:g} ‖W‖ (nats a token)"] = (
            f"{digits(float(found.rises[number]), 3):g}"
        )
        columns[pin] = rows
    frame = pd.DataFrame(columns)
    frame.insert(0, "Measure", frame.index)
    return frame


def first_of(found: Portraits, groups: Sequence[str]) -> list[str]:
    """The first example of each group, in stored order: what is pinned before anyone clicks."""
    return [found.ids[int(found.groups[group][0])] for group in groups]
