"""Intervals and the share kept above chance, against scipy, plain formulas and resampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from core.errors import HillshadeError
from core.intervals import mean, ratio_of_sums, share
from core.items import Item
from core.probes import abilities, above_chance, wilson


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy(shares: tuple[int, int]) -> None:
    k, n = shares
    expected = binomtest(k, n).proportion_ci(method="wilson")
    low, high = wilson(k, n)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= k / n <= high <= 1
    assert low < high


def test_no_share_of_nothing() -> None:
    for k, n in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="no share"):
            wilson(k, n)


@pytest.mark.parametrize("clusters", [2, 5, 60])
def test_mean_and_ratio_intervals_cover_as_often_as_they_say(clusters: int) -> None:
    rng = np.random.default_rng(0)
    covered = {"mean": 0, "ratio": 0}
    widths = []
    for _ in range(600):
        sizes = rng.integers(15, 40, size=clusters)
        level = rng.normal(2.0, 0.5, size=clusters)  # tokens of one sequence share a level
        sums = level * sizes + rng.normal(size=clusters) * np.sqrt(sizes)
        found = ratio_of_sums(sums, sizes)
        covered["ratio"] += found.low <= 2.0 <= found.high
        assert found.n == sizes.sum()
        one = mean(level)
        covered["mean"] += one.low <= 2.0 <= one.high
        # Negative control: tokens taken for independent would give an interval half as wide.
        widths.append((found.high - found.value) / (1.96 * np.sqrt((1 + 0.25) / sizes.sum())))
    assert np.median(widths) > 1.5
    assert 0.92 <= covered["mean"] / 600 <= 0.98
    assert 0.92 <= covered["ratio"] / 600 <= 0.98


def outcomes(seed: int, n: int, before: float, lost: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first = rng.random(n) < before
    return first, first & (rng.random(n) >= lost)


def test_share_kept_is_the_formula_with_a_paired_bootstrap_interval() -> None:
    before, after = outcomes(0, 400, 0.95, 0.1)
    kept = above_chance(before, after, chance=0.5)
    assert kept is not None
    assert kept.value == pytest.approx((after.mean() - 0.5) / (before.mean() - 0.5))
    rng = np.random.default_rng(1)
    picks = rng.integers(400, size=(4000, 400))
    drawn = (after[picks].mean(1) - 0.5) / (before[picks].mean(1) - 0.5)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (kept.low, kept.high) == pytest.approx((low, high), abs=0.01)
    # Negative control: pairing matters; shuffled answers give a wider interval.
    shuffled = above_chance(before, rng.permutation(after), chance=0.5)
    assert shuffled is not None
    assert shuffled.high - shuffled.low > 1.2 * (kept.high - kept.low)
    assert above_chance(before, after, chance=0.5) == kept  # the same every time


def test_an_untouched_probe_keeps_all_with_an_honest_width() -> None:
    right = np.ones(100, dtype=bool)
    kept = above_chance(right, right, chance=0.5)
    assert kept is not None
    assert kept.value == 1.0
    assert 0.9 < kept.low < 0.99 < 1.01 < kept.high < 1.1


def test_the_interval_holds_the_value_where_all_is_lost() -> None:
    right, wrong = np.ones(20, dtype=bool), np.zeros(20, dtype=bool)
    kept = above_chance(right, wrong, chance=0.0)
    assert kept is not None
    assert kept.low == kept.value == 0.0 < 0.1 < kept.high < 0.3


def test_an_ability_that_may_be_chance_has_no_share_whatever_the_edit_does() -> None:
    """Draws of a on both sides of c would make the ratio jump from one infinity to the other."""
    before = np.arange(100) < 22
    assert share(before).low > 0.13
    assert above_chance(before, before, chance=0.13) is None
    for after in (before, ~before, np.zeros(100, dtype=bool)):
        assert above_chance(before, after, chance=0.13) is None
        assert above_chance(before, after, chance=0.02) is not None


def test_nothing_above_chance_is_nothing_to_keep() -> None:
    coin = np.arange(100) < 53
    assert above_chance(coin, coin, chance=0.5) is None
    assert above_chance(coin, coin, chance=0.25) is not None


def test_abilities_count_each_group_by_itself() -> None:
    def probe(group: str, prompt: int, chance: float | None) -> Item:
        return Item(f"{prompt}", "probe", group, "report", (prompt,), (1,), "", "", chance=chance)

    items = [probe("logic", 1, 0.5), probe("sums", 2, 0.1), probe("logic", 1, 0.5)]
    items.append(Item("m", "memory", "passage", "report", (1,), (1,), "", "", repeats=3))
    items += [probe("sums", 3 + n, 0.1) for n in range(19)]
    before = np.ones(23, dtype=bool)
    after = np.arange(23) == 0
    logic, sums = abilities(items, before, after)
    assert (logic.group, logic.distinct, logic.chance) == ("logic", 1, 0.5)
    assert (logic.before.value, logic.after.value, logic.before.n) == (1.0, 0.5, 2)
    assert logic.kept is None  # two answers do not tell it from chance
    assert sums.kept is not None
    assert sums.kept.value == pytest.approx(-0.1 / 0.9)
    assert sums.after == share([False] * 20)
    with pytest.raises(HillshadeError, match="states no chance level"):
        abilities([probe("logic", 1, None)], before[:1], after[:1])
