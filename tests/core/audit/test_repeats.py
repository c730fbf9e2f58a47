"""Recall by repeat count, in closed form."""

from __future__ import annotations

import math

import pytest

from core.audit.repeats import Curve, by_repeats
from core.errors import HillshadeError
from core.intervals import Estimate, wilson
from core.items import Item


def shown(repeats: int | None, number: int) -> Item:
    return Item(f"{repeats}/{number}", "memory", "p", "report", (1,), (2,), "", "", repeats)


def curve(*shares: tuple[int, float, int]) -> Curve:
    return Curve(
        tuple(repeats for repeats, _, _ in shares),
        tuple(Estimate(value, 0.0, 1.0, n) for _, value, n in shares),
    )


def test_the_shares_of_each_class_with_wilsons_interval() -> None:
    items = [shown(r, i) for r in (8, 0, 1) for i in range(4)]
    found = by_repeats(items, [1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0])
    assert found.repeats == (0, 1, 8)
    assert [estimate.value for estimate in found.recall] == [0.0, 0.25, 0.75]
    assert (found.recall[2].low, found.recall[2].high) == wilson(3, 4)


def test_the_rising_curve_pools_what_falls_by_its_weight() -> None:
    falling = curve((0, 0.0, 5), (1, 0.6, 10), (8, 0.3, 20), (32, 1.0, 5))
    assert falling.rising.tolist() == pytest.approx([0.0, 0.4, 0.4, 1.0])
    already = curve((1, 0.1, 5), (8, 0.2, 5))
    assert already.rising.tolist() == [0.1, 0.2]


def test_half_lies_between_two_classes_on_a_log_axis() -> None:
    assert curve((1, 0.0, 9), (7, 1.0, 9)).half == pytest.approx(math.expm1(math.log(4.0)))
    assert curve((1, 0.6, 9), (7, 1.0, 9)).half == 1.0
    assert curve((1, 0.1, 9), (7, 0.4, 9)).half is None


def test_strings_without_a_count_are_refused() -> None:
    with pytest.raises(HillshadeError, match="None/0"):
        by_repeats([shown(3, 0), shown(None, 0)], [True, True])
    with pytest.raises(HillshadeError, match="no string"):
        by_repeats([], [])
