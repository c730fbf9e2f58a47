"""K-FAC against the controls at equal accuracy on rightly labelled images, as descriptions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from core.manifest import StoredRecipe
from dashboard.figures.compare import with_interval
from dashboard.figures.estimates import Line, Lines, Panel, Scale
from dashboard.figures.labels import MEASURES, estimate_at, tracks
from dashboard.figures.measured import Measured
from dashboard.figures.palette import style
from dashboard.figures.recall import SHARES
from dashboard.figures.words import NBSP, listing, percent, setting

FLOOR, CEILING = 0.05, 100.0  # points of accuracy lost: what is less lies on the lower edge
_TICKS = (
    (0.05, f"≤{NBSP}0.05"), (0.3, "0.3"), (1.0, "1"), (3.0, "3"), (10.0, "10"), (30.0, "30"),
    (100.0, "100"),
)  # fmt: skip

Named = Sequence[tuple[StoredRecipe, str]]


def frontier(study: Measured, recipes: Named, wanted: float) -> Lines:
    """Wrong labels said against accuracy lost, one line a method; `wanted` is the cost in view."""
    lines, at_cost = [], []
    for recipe, name in recipes:
        cost, wrong = study.cost(recipe), tracks(study, recipe)["reproduced"]
        if not (cost.known and wrong.known):
            continue
        ticks = [t for t, value in enumerate(cost.value) if math.isfinite(value + wrong.value[t])]
        lines.append(
            Line(
                recipe.id,
                recipe.id,
                name,
                tuple(lost(cost.value[t]) for t in ticks),
                tuple(estimate_at(wrong, t) for t in ticks),
                band=True,
            )
        )
        at_cost.append(f"{name} {percent(wrong.value[strongest(cost.value, wanted)])}")
    return Lines(
        id="frontier",
        title="Is it the curvature? The same loss of accuracy, other cuts",
        x=Scale(
            "accuracy lost on rightly labelled images (percentage points, log axis)",
            (FLOOR, CEILING),
            log=True,
            ticks=_TICKS,
        ),
        panels=(Panel(Scale("wrong labels said (share)", (0.0, 1.0), ticks=SHARES), tuple(lines)),),
        cut=lost(wanted),
        how=(
            "Right is dearer: more of the rightly labelled training images are lost. Down is fewer "
            "wrong labels: a good cut falls early. Each mark is a stored setting of one method on "
            "its own axis, whose layers were chosen on the choosing half; bands are 95 % "
            "intervals. The dashed line is the loss in view; gains lie on the left edge."
        ),
        alt=(
            "Wrong labels still said at each method's strongest cut that loses no more accuracy "
            f"than the one in view ({percent(max(wanted - 1.0, 0.0))}): {listing(at_cost)}."
        ),
    )


def strongest(costs: Sequence[float], most: float) -> int:
    """The last tick that costs no more."""
    return max((t for t, cost in enumerate(costs) if cost <= most), default=0)


def lost(cost: float) -> float:
    """A cost as percentage points of accuracy lost, where the axis has it."""
    return min(max(100.0 * (cost - 1.0), FLOOR), CEILING)


def at_equal_loss(
    study: Measured, recipes: Sequence[tuple[StoredRecipe, str, int]]
) -> pd.DataFrame:
    """One row a method at its tick: its setting, and every measure with its interval."""
    rows = []
    for recipe, name, tick in recipes:
        found = tracks(study, recipe)
        row: dict[str, object] = {"edit": name, "kept": setting(recipe.ticks[tick])}
        rows.append(row | {style(k).name: with_interval(found[k], tick) for k in MEASURES})
    return pd.DataFrame(rows)
