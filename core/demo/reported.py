"""Numbers of the reporting half: what a chosen setting did, told on what did not choose it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic

import numpy as np

from core.choose import Choice
from core.exam import Answers
from core.intervals import Estimate, share
from core.items import Item, highest_class
from core.measures import ratio
from core.probes import Ability, abilities
from core.sweep import Given, Point, Swept


@dataclass(frozen=True)
class Finished(Generic[Given]):
    """One stored recipe of a shipped study: what was chosen and what the sweep saw."""

    title: str
    choice: Choice
    swept: Swept[Given]
    chosen: int  # tick
    pooled: bool = False  # one cut-off for all projections

    def at(self, tick: int) -> tuple[Point[Given], ...]:
        """The points of all seeds at a tick, the first seed first."""
        ticks = len(self.swept.ticks)
        return self.swept.points[tick::ticks]


def reported(answers: Answers) -> np.ndarray:
    """Which items are of the reporting half, bool (n,)."""
    return np.array([item.split == "report" for item in answers.items])


def of_group(items: Sequence[Item], group: str, repeats: int | None = None) -> np.ndarray:
    """Which items are of a group, and of a repeat class if one is given, bool (n,)."""
    return np.array([i.group == group and repeats in (None, i.repeats) for i in items])


def top_recall(answers: Answers) -> tuple[Estimate, Estimate, float]:
    """Strict and loose recall and mean distance of the class repeated most, reporting half."""
    group, repeats = highest_class(answers.items)
    which = reported(answers) & of_group(answers.items, group, repeats)
    outcome = answers.outcome
    return share(outcome.strict[which]), share(outcome.loose[which]), outcome.distance[which].mean()


def reported_abilities(before: Answers, after: Answers) -> tuple[Ability, ...]:
    """The table of abilities on the reporting half."""
    which = {i.id: bool(s) for i, s in zip(before.items, before.outcome.strict, strict=True)}
    half = [k for k, item in enumerate(after.items) if item.split == "report"]
    items = [after.items[k] for k in half]
    old = np.array([which[item.id] for item in items])
    return abilities(items, old, after.outcome.strict[half])


def chosen_edit(finished: Finished[Given]) -> dict[str, Any]:
    """Where a recipe cuts at its chosen setting, and what of the weights it keeps."""
    point = finished.at(finished.chosen)[0]
    return {
        "title": finished.title,
        "layers": finished.choice.best.layers,
        "kinds": finished.choice.best.kinds,
        "setting": point.setting,
        "directions_kept": point.edit.directions_kept,
        "directions_total": point.edit.directions_total,
        "weight_kept": point.edit.weight_kept,
    }


def summary(finished: Finished[Answers]) -> dict[str, Any]:
    """What a machine reads of one recipe at its chosen setting, reporting half."""
    original = finished.swept.original
    point = finished.at(finished.chosen)[0]
    strict, loose, distance = top_recall(point.answers)
    return {
        **chosen_edit(finished),
        "before": {
            "strict": asdict(top_recall(original)[0]),
            "perplexity": asdict(original.report.perplexity),
        },
        "strict": asdict(strict),
        "loose": asdict(loose),
        "distance": float(distance),
        "perplexity": asdict(point.answers.report.perplexity),
        "ratio": asdict(ratio(original.report, point.answers.report)),
        "token_accuracy": [
            original.report.accuracy.value,
            point.answers.report.accuracy.value,
        ],
        "abilities": [asdict(a) for a in reported_abilities(original, point.answers)],
    }
