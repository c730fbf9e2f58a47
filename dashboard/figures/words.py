"""Numbers as a reader wants them: as many digits as mean something, never more."""

from __future__ import annotations

import math
from collections.abc import Sequence

NBSP = "\u00a0"  # a number and its sign stay on one line


def percent(value: float) -> str:
    """A share as a percentage; "100 %" and "0 %" only where they are exact to half a per mille."""
    if not math.isfinite(value):
        return "–"
    scaled = 100.0 * value
    if abs(scaled - round(scaled)) < 0.05:
        return f"{round(scaled)}{NBSP}%"
    return f"{scaled:.1f}{NBSP}%"


def setting(value: float) -> str:
    """A kept mass or share: two significant digits of what is cut away (0.99213 → "99.21 %")."""
    removed = 100.0 * (1.0 - value)
    if removed < 1e-7:
        return f"100{NBSP}%"
    decimals = min(max(1, 1 - math.floor(math.log10(round(removed, 9)))), 6)
    return f"{100.0 * value:.{decimals}f}{NBSP}%"


def change(ratio: float) -> str:
    """A ratio as a signed change: 1.0031 → "+0.31 %"."""
    if not math.isfinite(ratio):
        return "–"
    difference = 100.0 * (ratio - 1.0)
    if abs(difference) < 0.005:
        return f"±0{NBSP}%"
    digits = 2 if abs(difference) < 1 else 1 if abs(difference) < 100 else 0
    return f"{difference:+.{digits}f}{NBSP}%".replace("-", "−")


def count(value: int | float) -> str:
    """A whole number with thin groups: 196608 → "196,608"."""
    return f"{int(value):,}"


def scientific(value: float) -> str:
    """A positive number in powers of ten with two digits: 3.1e-6 → "3.1 × 10⁻⁶"."""
    if value == 0.0:
        return "0"
    if not math.isfinite(value):
        return "–"
    exponent = math.floor(math.log10(abs(value)))
    if -2 <= exponent <= 3:
        return f"{value:.3g}"
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{value / 10.0**exponent:.1f} × 10{raised}"


def listing(names: Sequence[str]) -> str:
    """Join names as English does: a; a and b; a, b and c."""
    if len(names) <= 1:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def digits(value: float, significant: int = 5) -> float:
    """Rounded to so many significant digits: what is drawn, sent and shown in tables alike."""
    if value == 0.0 or not math.isfinite(value):
        return value
    return round(value, significant - 1 - math.floor(math.log10(abs(value))))
