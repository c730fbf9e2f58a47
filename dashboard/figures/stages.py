"""How spikes grow as training goes on, as a description read from a study's curvature.json."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.intervals import Estimate
from dashboard.figures.estimates import (
    Line,
    Lines,
    Panel,
    Scale,
    log_scale,
    multiple,
    stored,
    times,
)
from dashboard.figures.examples import ALONG, RISE, Document, verdicts
from dashboard.figures.kinds import TEXTS
from dashboard.figures.spectrum import short
from dashboard.figures.words import count, percent


def growth(document: Document) -> Lines | None:
    """The same rises, and strict recall, after so many steps of training; None where not stored."""
    stages: Sequence[Document] = document["stages"]
    if len(stages) < 2:  # one stage shows no growth
        return None
    projection = str(document["findings"]["chosen"])
    at = tuple(float(stage["step"]) for stage in stages)
    series = {
        key: tuple(stored(stage["rises"]["medians"][key]) for stage in stages)
        for key in ALONG["memorized"]
    }
    recall = tuple(stored(stage["recall"]) for stage in stages)
    return Lines(
        id="growth",
        title=f"As training goes on, {short(projection)}",
        x=Scale("training step", (0.0, at[-1]), ticks=training_ticks(at[-1])),
        panels=(
            Panel(
                log_scale(RISE, [e for line in series.values() for e in line]),
                tuple(
                    Line(key, key, TEXTS.name(key), at, series[key], band=True) for key in series
                ),
                0.68,
            ),
            Panel(
                Scale("recited (share)", (0.0, 1.0), ticks=((0, "0"), (0.5, ".5"), (1, "1"))),
                (Line("recall", "memory", "Recited word for word", at, recall, band=True),),
                0.42,
            ),
        ),
        how=(
            "The upper panel is the chart of a memorized string's own direction, measured again "
            f"in stored weights of the training run, in the chosen projection, always at "
            f"{float(stages[0]['rises']['fraction']):g} ‖W‖ of the weights of that time. Below: "
            "the share of these strings that come back word for word. Marks are stored weights, "
            "lines only join them; bands are 95 % intervals."
        ),
        alt=_growth_alt(stages, recall),
    )


def training_ticks(last: float) -> tuple[tuple[float, str], ...]:
    step = 10.0 ** math.floor(math.log10(max(last, 1.0)))
    step = next((part for part in (step, step / 2, step / 5) if last / part >= 3), step / 5)
    return tuple((step * n, count(step * n)) for n in range(int(last // step) + 1))


def _growth_alt(stages: Sequence[Document], recall: Sequence[Estimate]) -> str:
    ratios = [verdicts(stage["rises"])[1].measured for stage in stages]
    last = ratios[-1]
    end = (
        f"At the end of training {percent(recall[-1].value)} of the strings come back word for "
        f"word, and own is {multiple(last, 'the rise of the other memorized strings')}."
    )
    finite = [n for n, ratio in enumerate(ratios) if math.isfinite(ratio.value)]
    if not finite:
        return end
    peak = max(finite, key=lambda n: ratios[n].value)
    if peak == len(ratios) - 1:
        return f"{end} Spikes stand out most at the end."
    when = f"after {count(stages[peak]['step'])} steps, {times(ratios[peak])}"
    if ratios[peak].low > last.high:
        return f"{end} They stood out more before: {when}, recall {percent(recall[peak].value)}."
    return f"{end} The largest ratio, {when}, is not told apart from it by the intervals."
