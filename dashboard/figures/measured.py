"""Reading a study's tables: the values of one measure over the ticks of one recipe.

Methods drawn with several seeds (random pairs, noise) are shown by their mean; their interval
spans the intervals of all seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from core.images import RIGHT, WRONG
from core.intervals import wilson
from core.items import PROBE_GROUPS
from core.manifest import StoredRecipe
from core.tables import IMAGE
from dashboard.figures.describe import Axis, numbers
from dashboard.figures.words import NBSP

ANOTHER = "another"  # measure: neither the wrong label nor the true one is said
SPLIT = "report"  # settings are chosen on the other half; only this half is ever shown


class Results(Protocol):
    """What the figures need of a study."""

    @property
    def recipes(self) -> tuple[StoredRecipe, ...]: ...
    @property
    def items(self) -> pd.DataFrame: ...
    @property
    def points(self) -> pd.DataFrame: ...
    @property
    def scores(self) -> pd.DataFrame: ...


@dataclass(frozen=True)
class Track:
    """A measure over the ticks: value, interval, and how many items it is counted on."""

    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int

    @property
    def known(self) -> bool:
        return any(value == value for value in self.value)


class Measured:
    """The tables of a study, sorted once into tracks; read by every figure, changed by none."""

    def __init__(self, study: Results) -> None:
        self.recipes = study.recipes
        self.items = study.items
        self.probes = probe_groups(self.items)
        self.memory = memory_group(self.items)
        self.images = bool((self.items["kind"] == IMAGE).any())  # else a study of texts
        self._classes = {g: repeat_classes(self.items, g) for g in set(self.items["group"])}
        self._copies = _copies_seen(self.items)
        self._counts = {recipe.id: len(recipe.ticks) for recipe in study.recipes}
        scores = study.scores
        self._scores = self._sorted_scores(with_another(scores) if self.images else scores)
        self._points = self._sorted_points(study.points)

    def score(
        self, recipe: StoredRecipe, group: str, measure: str, repeats: int | None = None
    ) -> Track:
        """One measure of one group (and repeat class) on the reporting half.

        Without a repeat class: of the group's only class, as for probes and recited works.
        """
        classes = self._scores.get((recipe.id, group, measure), {})
        if repeats is None and len(classes) == 1:
            return next(iter(classes.values()))
        return classes.get(repeats) or self._unknown(recipe)

    def classes(self, group: str) -> tuple[int, ...]:
        """The repeat counts of a group, ascending."""
        return self._classes.get(group, ())

    def exact_copies(self, group: str, repeats: int) -> tuple[int, int] | None:
        """The least and the most exact copies seen of a string of one class; None if unknown."""
        return self._copies.get((group, repeats))

    def ratio(self, recipe: StoredRecipe) -> Track:
        """Perplexity of fresh text, edited over original, on the reporting half."""
        columns = self._points.get(recipe.id)
        if columns is None:
            return self._unknown(recipe)
        return Track(
            numbers(columns["ratio_report"]),
            numbers(columns["ratio_low"]),
            numbers(columns["ratio_high"]),
            0,
        )

    def cost(self, recipe: StoredRecipe) -> Track:
        """What an edit costs, 1 where nothing is lost: `ratio`, for images as `core.image_exam`.

        There it is 1 + accuracy lost on rightly labelled ones.
        """
        if not self.images:
            return self.ratio(recipe)
        clean = self.score(recipe, RIGHT, "accuracy")
        before = 1.0 + clean.value[0]
        return Track(
            numbers(before - value for value in clean.value),
            numbers(before - value for value in clean.high),
            numbers(before - value for value in clean.low),
            clean.n,
        )

    def point(self, recipe: StoredRecipe, column: str) -> tuple[float, ...]:
        """One column of the points over the ticks, the mean over seeds; NaN where unknown."""
        columns = self._points.get(recipe.id)
        return self._unknown(recipe).value if columns is None else tuple(columns[column])

    def _unknown(self, recipe: StoredRecipe) -> Track:
        nothing = (math.nan,) * len(recipe.ticks)
        return Track(nothing, nothing, nothing, 0)

    def _sorted_scores(
        self, scores: pd.DataFrame
    ) -> dict[tuple[str, str, str], dict[int | None, Track]]:
        keys = ["recipe", "group", "measure", "repeats"]
        rows = scores[scores["split"] == SPLIT]
        joined = rows.groupby([*keys, "tick"], dropna=False, observed=True, sort=False).agg(
            value=("value", "mean"), low=("low", "min"), high=("high", "max"), n=("n", "max")
        )
        found: dict[tuple[str, str, str], dict[int | None, Track]] = {}
        grouped = joined.reset_index().groupby(keys, dropna=False, observed=True, sort=False)
        for (recipe, group, measure, repeats), part in grouped:
            count = self._counts.get(str(recipe), 0)
            part = part.set_index("tick").reindex(range(count))
            value, low, high = (
                numbers(part[name].astype(float)) for name in ("value", "low", "high")
            )
            track = Track(value, low, high, int(part["n"].max(skipna=True)))
            classes = found.setdefault((str(recipe), str(group), str(measure)), {})
            classes[None if pd.isna(repeats) else int(repeats)] = track
        return found

    def _sorted_points(self, points: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
        """Means over seeds; the interval of the ratio spans all of theirs."""
        columns = [name for name in points.columns if name not in ("recipe", "tick", "seed")]
        how = dict.fromkeys(columns, "mean") | {"ratio_low": "min", "ratio_high": "max"}
        numeric = points.astype(dict.fromkeys(columns, "float64"))
        found = {}
        for recipe, part in numeric.groupby("recipe", observed=True, sort=False):
            by_tick = part.groupby("tick").agg(how).reindex(range(self._counts.get(str(recipe), 0)))
            found[str(recipe)] = {name: by_tick[name].tolist() for name in columns}
        return found


def with_another(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores with a third share of the wrongly labelled images: those of which neither is said.

    Measure "another", Wilson's interval; of every draw of an edit its own.
    """
    keys = ["recipe", "tick", "seed", "split"]
    wrong = scores[scores["group"] == WRONG]
    wide = wrong.pivot(index=[*keys, "n"], columns="measure", values="value").dropna()
    rows = []
    for index, said in wide.iterrows():
        n = int(index[-1])
        left = max(
            n - round(n * float(said["reproduced"])) - round(n * float(said["recovered"])), 0
        )
        low, high = wilson(left, n)
        rows.append(
            dict(zip(keys, index[:-1], strict=True))
            | {"group": WRONG, "measure": ANOTHER, "repeats": None}
            | {"n": n, "value": left / n, "low": low, "high": high}
        )
    more = pd.DataFrame(rows, columns=scores.columns)
    return pd.concat([scores, more.astype(scores.dtypes.to_dict())], ignore_index=True)


# A rise of perplexity is drawn on a log axis between these, in percent; what is smaller (or a
# fall) lies on the lower edge, what is larger on the upper.
RISE_FLOOR, RISE_CEILING = 0.05, 1000.0
RISE_TICKS = tuple(
    (value, f"{name}{NBSP}%")
    for value, name in (
        (0.05, "≤ 0.05"),
        (1.0, "+1"),
        (10.0, "+10"),
        (100.0, "+100"),
        (1000.0, "≥ +1000"),
    )
)


def rises(ratios: Sequence[float]) -> tuple[float, ...]:
    """Perplexity ratios as rises in percent, brought between the edges of their axis."""
    return numbers(
        value if math.isnan(value) else min(max(100.0 * (value - 1.0), RISE_FLOOR), RISE_CEILING)
        for value in ratios
    )


def axis_of(recipe: StoredRecipe) -> Axis:
    """The slider of a stored recipe."""
    return Axis(recipe.id, recipe.axis.label, recipe.ticks, recipe.chosen)


def repeat_classes(items: pd.DataFrame, group: str = "passage") -> tuple[int, ...]:
    """The repeat counts of a group, ascending; those shown at least once."""
    rows = items[(items["group"] == group) & items["repeats"].notna()]
    return tuple(sorted({int(value) for value in rows["repeats"] if value > 0}))


def _copies_seen(items: pd.DataFrame) -> dict[tuple[str, int], tuple[int, int]]:
    known = items[items["repeats"].notna() & items["exact_copies"].notna()]
    seen = known.groupby(["group", "repeats"], observed=True)["exact_copies"].agg(["min", "max"])
    return {
        (str(group), int(repeats)): (int(low), int(high))
        for (group, repeats), low, high in zip(seen.index, seen["min"], seen["max"], strict=True)
    }


def memory_group(items: pd.DataFrame) -> tuple[str, int | None]:
    """The class whose recall is the headline, as `core.items.highest_class` names it."""
    rows = items[(items["kind"] == "memory") & (items["repeats"].fillna(1) > 0)]
    counts = rows["repeats"].fillna(0)  # of those shown at least once, 0 stands for unknown
    sizes = rows.groupby([counts, "group"], observed=True).size()
    if sizes.empty:
        return "passage", None
    repeats, group = max(sizes.index, key=lambda key: (key[0], sizes[key], key[1]))
    return str(group), int(repeats) or None


def probe_groups(items: pd.DataFrame) -> tuple[str, ...]:
    """The abilities of this study: the known ones in the paper's order, then any others."""
    present = list(items.loc[items["kind"] == "probe", "group"].unique())
    order = ("sums", "facts", "open-book", "logic", "order", "copying")
    assert set(order) == set(PROBE_GROUPS)
    return tuple([g for g in order if g in present] + [g for g in present if g not in order])
