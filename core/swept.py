"""A finished sweep as the tables of a study: points, scores, outputs (columns: core.tables)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from core.exam import Answers
from core.intervals import Estimate, mean, share
from core.items import Item
from core.measures import ratio
from core.probes import above_chance
from core.sweep import Given, Point, Swept
from core.tables import COLUMNS

Decode = Callable[[Sequence[int]], str]
Row = dict[str, Any]


def points_table(recipe: str, swept: Swept[Answers]) -> pd.DataFrame:
    """Perplexity of either half, with intervals, and what the edit kept; a row a seed and tick.

    tf_accuracy is the share of teacher-forced argmax tokens on the reporting half of the group
    "unseen" (NaN where there is no such group).
    """
    return pd.DataFrame([_point(recipe, swept, point) for point in swept.points])


def scores_table(recipe: str, swept: Swept[Answers]) -> pd.DataFrame:
    """Recall by class and probes by ability, of either half; a row a seed, tick and measure.

    strict, loose and accuracy: shares with Wilson's intervals; distance: mean ± t se;
    above_chance: share kept, only where the original is above chance (`core.probes`).
    """
    return scores_of(recipe, swept, lambda answers: _scores(swept.original, answers))


def scores_of(
    recipe: str, swept: Swept[Given], scores: Callable[[Given], Iterable[Row]]
) -> pd.DataFrame:
    """What `scores` (`score_row`) says of every point's answers, as the table."""
    rows: list[Row] = []
    for point in swept.points:
        place = {"recipe": recipe, "tick": swept.ticks.index(point.setting), "seed": point.seed}
        rows += [{**place, **score} for score in scores(point.answers)]
    table = pd.DataFrame(rows, columns=COLUMNS["scores"].names)
    table["repeats"] = table["repeats"].astype("Int32")
    return table


def outputs_table(recipe: str, swept: Swept[Answers], decode: Decode) -> pd.DataFrame:
    """Every continuation as text, of the first seed; a row a tick and item."""
    read = cache(decode)
    rows: list[Row] = []
    for point in swept.points:
        if point.seed != swept.points[0].seed:
            continue
        outcome = point.answers.outcome
        for i, item in enumerate(point.answers.items):
            strict = bool(outcome.strict[i])
            rows.append(
                {
                    "recipe": recipe,
                    "tick": swept.ticks.index(point.setting),
                    "item": item.id,
                    "output": item.truth if strict else read(outcome.continuations[i]),
                    "strict": strict,
                    "distance": outcome.distance[i],
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS["outputs"].names)


def edit_row(recipe: str, swept: Swept[Given], point: Point[Given]) -> Row:
    """Of a row of the points: where it lies, and what the edit kept."""
    return {
        "recipe": recipe,
        "tick": swept.ticks.index(point.setting),
        "seed": point.seed,
        "setting": point.setting,
        "directions_kept": point.edit.directions_kept,
        "directions_total": point.edit.directions_total,
        "weight_kept": point.edit.weight_kept,
    }


def score_row(split: str, group: str, repeats: int | None, measure: str, value: Estimate) -> Row:
    """Of a row of the scores: what was measured on whom, with its interval."""
    return {
        "split": split,
        "group": group,
        "repeats": repeats,
        "measure": measure,
        "n": value.n,
        "value": value.value,
        "low": value.low,
        "high": value.high,
    }


def _point(recipe: str, swept: Swept[Answers], point: Point[Answers]) -> Row:
    answers = point.answers
    report = answers.report.perplexity
    relative = ratio(swept.original.report, answers.report)
    return {
        **edit_row(recipe, swept, point),
        "ppl_choose": answers.choose.perplexity.value,
        "ppl_report": report.value,
        "ppl_report_low": report.low,
        "ppl_report_high": report.high,
        "ratio_report": relative.value,
        "ratio_low": relative.low,
        "ratio_high": relative.high,
        "tf_accuracy": _unseen_accuracy(answers),
    }


def _unseen_accuracy(answers: Answers) -> float:
    unseen = [
        i
        for i, item in enumerate(answers.items)
        if item.group == "unseen" and item.split == "report"
    ]
    tokens = sum(len(answers.items[i].truth_ids) for i in unseen)
    return float(answers.outcome.right[unseen].sum()) / tokens if tokens else float("nan")


def _scores(original: Answers, answers: Answers) -> Iterator[Row]:
    before = dict(zip((item.id for item in original.items), original.outcome.strict, strict=True))
    classes: dict[tuple[str, str, int | None], list[int]] = {}
    for i, item in enumerate(answers.items):
        repeats = item.repeats if item.kind == "memory" else None
        classes.setdefault((item.split, item.group, repeats), []).append(i)
    for (split, group, repeats), members in classes.items():
        items = [answers.items[i] for i in members]
        for measure, estimate in _estimates(items, members, before, answers):
            yield score_row(split, group, repeats, measure, estimate)


def _estimates(
    items: Sequence[Item], members: Sequence[int], before: dict[str, np.bool_], answers: Answers
) -> Iterator[tuple[str, Estimate]]:
    outcome = answers.outcome
    strict = outcome.strict[members]
    if items[0].kind == "memory":
        yield "strict", share(strict)
        yield "loose", share(outcome.loose[members])
        yield "distance", mean(outcome.distance[members])
        return
    yield "accuracy", share(strict)
    chance = float(np.mean([item.chance or 0.0 for item in items]))
    kept = above_chance(np.array([before[item.id] for item in items]), strict, chance)
    if kept is not None:
        yield "above_chance", kept
