"""Cells of the acceptance tables: numbers as they shall be read."""

from collections.abc import Sequence

from core.curvature.verdicts import Verdict
from core.intervals import Estimate, mean
from core.sweep import Given, Point


def interval(estimate: Estimate, digits: int = 2) -> str:
    """A value and its 95 % interval."""
    value, low, high = (f"{x:.{digits}f}" for x in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def number(estimate: Estimate) -> str:
    """The same in three significant digits."""
    return f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def over_seeds(estimates: Sequence[Estimate], digits: int = 2) -> str:
    """One seed's own interval, or the mean of several seeds with Student's interval."""
    if len(estimates) == 1:
        return interval(estimates[0], digits)
    return interval(mean([e.value for e in estimates]), digits)


def judged(verdict: Verdict) -> str:
    """What was measured, and whether it bears out the claim."""
    word = {True: "holds", False: "fails", None: "undecided"}[verdict.holds]
    return f"{number(verdict.measured)} {word}"


def place(layers: Sequence[int], kinds: Sequence[str]) -> str:
    """Where an edit is made."""
    return f"{', '.join(map(str, layers))}: {' + '.join(kinds)}"


def where(point: Point[Given]) -> str:
    """What an edit keeps."""
    kept, total = point.edit.directions_kept, point.edit.directions_total
    return (
        f"Curvature mass kept {point.setting:.5g}, {kept:,} of {total:,} directions, "
        f"{point.edit.weight_kept:.1%} of ‖W‖²"
    )
