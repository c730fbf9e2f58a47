"""Recall against how often training showed a string: the curve, and where it rises.

Memory grows with repetition (Carlini et al. 2023, arXiv 2202.07646), so what an edit leaves is
told class by class, and against the strings never shown, which stand at the left end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression

from core.errors import HillshadeError
from core.intervals import Estimate, share
from core.items import Item

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Recall by repeat count, ascending.

    repeats  the counts that occur
    recall   the share recalled of each, with Wilson's interval
    """

    repeats: tuple[int, ...]
    recall: tuple[Estimate, ...]

    @property
    def rising(self) -> Floats:
        """The nearest curve that never falls, weighted by the number of strings: isotonic (K,).

        The maximum likelihood estimate where more repeats never mean less recall.
        """
        shares = [estimate.value for estimate in self.recall]
        counts = [estimate.n for estimate in self.recall]
        fitted = IsotonicRegression().fit_transform(self.repeats, shares, sample_weight=counts)
        return np.asarray(fitted, dtype=np.float64)

    @property
    def half(self) -> float | None:
        """Repeats at which the rising curve first reaches one half; None where it never does.

        Between two classes linear in log(1 + repeats).
        """
        rising = self.rising
        above = np.flatnonzero(rising >= 0.5)
        if not len(above):
            return None
        k = int(above[0])
        if k == 0:
            return float(self.repeats[0])
        left, right = (math.log1p(self.repeats[i]) for i in (k - 1, k))
        part = (0.5 - rising[k - 1]) / (rising[k] - rising[k - 1])
        return math.expm1(left + part * (right - left))


def by_repeats(items: Sequence[Item], recalled: ArrayLike) -> Curve:
    """The curve of one kind of strings.

    items: memorized strings, those never shown among them with repeats 0; recalled: bool (S,).
    Raises HillshadeError when there is none, or one without a repeat count.
    """
    hits = np.asarray(recalled, dtype=bool)
    if not items:
        raise HillshadeError("There is no string to audit; give at least one.")
    counts = [item.repeats for item in items]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        unknown = items[counts.index(None)].id
        raise HillshadeError(
            f'Nobody knows how often "{unknown}" was shown; leave out strings without a count.'
        )
    there = np.array(known)
    classes = sorted(set(known))
    return Curve(tuple(classes), tuple(share(hits[there == count]) for count in classes))
