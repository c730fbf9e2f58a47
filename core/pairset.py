"""Which pairs of directions (i, j) of one projection stay, small enough to keep and to store.

A set cut off at one place of a ranking, or with a band cut out of it. Where the ranking is a
product of one number a row and one a column the set is a staircase: one number a row says it all.
Any other ranking needs the pairs themselves, stored as one bit each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import HillshadeError
from core.staircase import staircase_mask

Ints = NDArray[np.int64]
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class PairSet(ABC):
    """The pairs kept of a p x q grid.

    ``mass`` is the share of the ranking's total score that they hold, ``cutoff`` the smallest score
    before the cut (infinite where it comes first), ``step`` that score as a share of the total.
    """

    shape: tuple[int, int]
    count: int
    mass: float
    cutoff: float
    step: float

    @property
    def pairs(self) -> int:
        """p·q."""
        return self.shape[0] * self.shape[1]

    @property
    def whole(self) -> bool:
        """Whether every pair stays, those of score 0 too: no edit, W itself."""
        return self.count == self.pairs

    @abstractmethod
    def mask(self) -> NDArray[np.bool_]:
        """The kept pairs as a bool[p, q]."""

    @abstractmethod
    def resumed(self, outer: PairSet) -> PairSet:
        """This set and all that comes after `outer`, a larger set of the same ranking.

        What lies between the two, a band of the ranking, is what is cut.
        """

    @abstractmethod
    def arrays(self) -> Arrays:
        """What must be stored beside shape, count, mass, cutoff and step; `from_arrays` undoes."""

    def _joined(self, outer: PairSet) -> dict[str, Any]:
        return {
            "count": self.count + self.pairs - outer.count,
            "mass": self.mass + 1.0 - outer.mass,
        }


@dataclass(frozen=True, eq=False)
class Stairs(PairSet):
    """Row i keeps its first ``k[i]`` columns, and those from ``resume[i]`` on where given.

    ``rows`` and ``columns`` are the orders (best first) in which the ranking takes rows and columns
    where these are not the basis's own.
    """

    k: Ints
    resume: Ints | None = None
    rows: Ints | None = None
    columns: Ints | None = None

    def mask(self) -> NDArray[np.bool_]:
        """The kept pairs as a bool[p, q]."""
        width = self.shape[1]
        mask = staircase_mask(self.k, width)
        if self.resume is not None:
            mask |= ~staircase_mask(self.resume, width)
        if self.rows is not None and self.columns is not None:
            sorted_mask, mask = mask, np.empty_like(mask)
            mask[np.ix_(self.rows, self.columns)] = sorted_mask
        return mask

    def resumed(self, outer: PairSet) -> PairSet:
        """This set and all that comes after `outer`, a larger set of the same ranking."""
        assert isinstance(outer, Stairs)
        return replace(self, resume=outer.k, **self._joined(outer))

    def arrays(self) -> Arrays:
        """The numbers a row, and the orders where the ranking has its own."""
        parts = {"k": self.k, "resume": self.resume, "rows": self.rows, "columns": self.columns}
        return {name: part.astype(np.int32) for name, part in parts.items() if part is not None}


@dataclass(frozen=True, eq=False)
class Listed(PairSet):
    """The pairs by their place i·q + j in the row-major grid, in any order."""

    places: NDArray[Any]

    def mask(self) -> NDArray[np.bool_]:
        """The kept pairs as a bool[p, q]."""
        mask = np.zeros(self.pairs, dtype=np.bool_)
        mask[self.places] = True
        return mask.reshape(self.shape)

    def resumed(self, outer: PairSet) -> PairSet:
        """This set and all that comes after `outer`, a larger set of the same ranking."""
        places = np.flatnonzero(self.mask() | ~outer.mask())
        return replace(self, places=places, **self._joined(outer))

    def arrays(self) -> Arrays:
        """One bit a pair, row-major, the first pair in the highest bit."""
        return {"bits": np.packbits(self.mask())}


def from_arrays(
    shape: tuple[int, int], mass: float, cutoff: float, step: float, arrays: Mapping[str, Any]
) -> PairSet:
    """The set that `PairSet.arrays` described; HillshadeError where it does not fit the shape."""
    p, q = shape
    parts = {name: np.asarray(part) for name, part in arrays.items()}
    if parts.keys() == {"bits"} and parts["bits"].shape == ((p * q + 7) // 8,):
        places = np.flatnonzero(np.unpackbits(parts["bits"], count=p * q))
        return Listed(shape, len(places), mass, cutoff, step, places)
    lengths = {"k": p, "resume": p, "rows": p, "columns": q}
    ints = {name: part.astype(np.int64) for name, part in parts.items()}
    fits = "k" in ints and all(
        name in lengths and part.shape == (lengths[name],) for name, part in ints.items()
    )
    if fits and _in_range(ints, p, q):
        k, resume = ints["k"], ints.get("resume")
        count = int(k.sum()) + (0 if resume is None else p * q - int(resume.sum()))
        return Stairs(
            shape, count, mass, cutoff, step, k, resume, ints.get("rows"), ints.get("columns")
        )
    raise HillshadeError(
        f"A stored set of pairs does not fit a {p}x{q} projection; save the recipe again."
    )


def _in_range(ints: Mapping[str, Ints], p: int, q: int) -> bool:
    """Steps within 0..q, a band not before its start, orders that are permutations."""
    k, resume = ints["k"], ints.get("resume", np.full(p, q))
    if not bool(((k >= 0) & (k <= resume) & (resume <= q)).all()):
        return False
    if ("rows" in ints) != ("columns" in ints):
        return False
    return all(
        np.array_equal(np.sort(ints[name]), np.arange(size))
        for name, size in (("rows", p), ("columns", q))
        if name in ints
    )
