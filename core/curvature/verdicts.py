"""Whether a measured number bears out a hypothesis, by its interval; and results as plain values.

A hypothesis holds where the whole interval lies inside what it claims, fails where the whole
interval lies outside, and is undecided in between.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from core.intervals import Estimate

DIGITS = 4  # significant, of every number of a large table


@dataclass(frozen=True)
class Verdict:
    """The claim that a measured value lies between ``at_least`` and ``at_most``."""

    claim: str
    measured: Estimate
    at_least: float = -math.inf
    at_most: float = math.inf

    @property
    def holds(self) -> bool | None:
        """True, False, or None for undecided."""
        if self.at_least <= self.measured.low and self.measured.high <= self.at_most:
            return True
        if self.measured.high < self.at_least or self.measured.low > self.at_most:
            return False
        return None


def plain(result: object) -> Any:
    """A frozen result as dicts, lists, strings, numbers, booleans and None, ready for JSON.

    Dataclasses become dicts of their fields, a `Verdict` with ``holds`` besides; an infinite
    number, which JSON cannot say, becomes None.
    """
    if isinstance(result, Verdict):
        return {**_fields(result), "holds": result.holds}
    if is_dataclass(result) and not isinstance(result, type):
        return _fields(result)
    if isinstance(result, Mapping):
        return {str(key): plain(value) for key, value in result.items()}
    if isinstance(result, Sequence) and not isinstance(result, str):
        return [plain(value) for value in result]
    if isinstance(result, float):
        return float(result) if math.isfinite(result) else None
    return result


def rounded(values: Any) -> Any:
    """An array as nested lists of numbers with a few significant digits; not finite is None."""
    if isinstance(values, np.ndarray):
        return [rounded(value) for value in values]
    return float(f"{float(values):.{DIGITS - 1}e}") if math.isfinite(values) else None


def _fields(result: Any) -> dict[str, Any]:
    return {field.name: plain(getattr(result, field.name)) for field in fields(result)}
