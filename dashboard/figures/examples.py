"""What single examples' curvature shows, as descriptions: spikes, their claims, and their growth.

Read from a study's curvature.json (`core.curvature.findings`). Every sentence is chosen by the
interval of what was measured, never by what is hoped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.curvature.verdicts import Verdict
from core.intervals import Estimate
from dashboard.figures.estimates import (
    Forest,
    Line,
    Lines,
    Mark,
    Panel,
    Row,
    Scale,
    counted,
    judged,
    log_scale,
    multiple,
    plain,
    stored,
    stored_verdict,
    ticked,
    times,
)
from dashboard.figures.palette import style
from dashboard.figures.spectrum import short
from dashboard.figures.words import count, percent

Document = Mapping[str, Any]

RISE = "rise of the loss (nats a token)"
STEP = "step along the direction, as a fraction of ‖W‖"
USUAL = 0.1  # the step at which the projection was chosen
ALONG: dict[str, tuple[str, ...]] = {
    "memorized": ("memorized own", "memorized others", "memorized to fresh"),
    "fresh": ("fresh own", "fresh others", "fresh to memorized"),
}
_SPIKES_HOW = (
    "Weights are moved along the one direction that is steepest for one text, and the loss is "
    "read: ½[L(+s) + L(−s)] − L(0), so that the slope cancels. Each mark is the median over all "
    "texts of the group whose directions these are; whiskers are 95 % intervals. Both axes are "
    "logarithmic: what is zero or negative lies on the lower edge. The larger marks are the step "
    "in view."
)
OWN_MEMORIZED = ("memorized own", "Memorized strings")
CLAIMS = (
    ("Own ÷ fresh text (claim: at least 10)", "at least 10× that of fresh text"),
    ("Own ÷ other memorized (claim: at least 3)", "at least 3× that of the other memorized"),
    ("Fresh text: own ÷ other fresh (claim: within 1.5)", "within 1.5× of the other fresh texts'"),
)


def measured_in(document: Document) -> list[str]:
    """The projections the findings were made in, in their order."""
    return [str(part["projection"]) for part in document["findings"]["projections"]]


def part_of(document: Document, projection: str) -> Document:
    """All that one projection shows."""
    parts: Sequence[Document] = document["findings"]["projections"]
    return {str(part["projection"]): part for part in parts}[projection]


def fractions(document: Document) -> tuple[float, ...]:
    """The steps measured, as fractions of ‖W‖."""
    return tuple(
        float(step["fraction"]) for step in document["findings"]["projections"][0]["steps"]
    )


def step_of(part: Document, fraction: float) -> Document:
    """What one projection shows at one step."""
    steps: Sequence[Document] = part["steps"]
    return {float(step["fraction"]): step for step in steps}[fraction]


def verdicts(step: Document) -> tuple[Verdict, ...]:
    """The three claims about rises at one step."""
    return tuple(stored_verdict(raw) for raw in step["verdicts"])


# -- spikes ----------------------------------------------------------------------------------------


def headline(document: Document, projection: str, fraction: float) -> str:
    """The answer of one projection at one step, before any chart."""
    fresh, others, _ = verdicts(step_of(part_of(document, projection), fraction))
    where = f"In {short(projection)}, at a step of {fraction:g} ‖W‖,"
    if fresh.holds and others.holds:
        return f"{where} yes: memorized strings have spikes of their own."
    if fresh.holds is False and others.holds is False:
        return f"{where} no: memorized strings show no spikes of the size that was claimed."
    if fresh.holds is False:
        return f"{where} not as claimed: fresh text feels a memorized string's direction too."
    if others.holds is False:
        return (
            f"{where} not as claimed: the other memorized strings feel a string's direction too, "
            f"and fresh text {'does not' if fresh.holds else 'may'}."
        )
    if fresh.holds:
        return (
            f"{where} in part: fresh text does not feel a memorized string's direction; whether "
            "the other memorized strings do stays undecided."
        )
    return f"{where} undecided: the intervals of what was claimed are too wide."


def spikes(document: Document, projection: str, fraction: float, of: str) -> Lines:
    """Median rises along the own directions of memorized strings, or of fresh texts."""
    part = part_of(document, projection)
    steps = fractions(document)
    everything = {
        key: tuple(stored(step_of(part, at)["medians"][key]) for at in steps)
        for keys in ALONG.values()
        for key in keys
    }
    scale = log_scale(RISE, [e for series in everything.values() for e in series])
    memorized = of == "memorized"
    return Lines(
        id=f"spikes-{of}",
        title="Along a memorized string's own direction"
        if memorized
        else "Along a fresh text's own direction",
        x=steps_scale(steps),
        panels=(
            Panel(
                scale,
                tuple(Line(key, key, style(key).name, steps, everything[key]) for key in ALONG[of]),
            ),
        ),
        marked=fraction,
        how=_SPIKES_HOW if memorized else "Read like the chart beside it, on the same scale.",
        alt=_spike_alt(step_of(part, fraction), of, projection, fraction),
    )


def steps_scale(steps: Sequence[float]) -> Scale:
    return Scale(
        STEP,
        (steps[0] / 1.25, steps[-1] * 1.25),
        log=True,
        ticks=tuple((at, f"{at:g}") for at in steps),
    )


def _spike_alt(step: Document, of: str, projection: str, fraction: float) -> str:
    own, others, across = (plain(stored(step["medians"][key]).value) for key in ALONG[of])
    fresh, other, alike = verdicts(step)
    where = f"In {short(projection)}, at {fraction:g} ‖W‖:"
    if of == "memorized":
        return (
            f"{where} a memorized string's own loss rises by {own} nats a token, that of the other "
            f"memorized strings by {others}, of fresh text by {across}. Own is "
            f"{multiple(fresh.measured, 'that of fresh text')}: the claim of at least 10× "
            f"{judged(fresh)}. It is "
            f"{multiple(other.measured, 'that of the other memorized')}: the claim of at least 3× "
            f"{judged(other)}."
        )
    return (
        f"{where} a fresh text's own loss rises by {own} nats a token, that of the other fresh "
        f"texts by {others}, of memorized strings by {across}. Own is "
        f"{multiple(alike.measured, 'that of the other fresh texts')}: the claim of a factor "
        f"within 1.5 {judged(alike)}."
    )


def claims(document: Document, projection: str, fraction: float) -> Forest:
    """The three ratios at every step of one projection, against what is claimed of them."""
    part, steps = part_of(document, projection), fractions(document)
    by_step = {at: verdicts(step_of(part, at)) for at in steps}
    rows: list[Row] = []
    for number, (heading, _) in enumerate(CLAIMS):
        rows.append(Row(heading))
        for at in steps:
            verdict = by_step[at][number]
            key, name = ("fresh own", "Fresh text") if number == 2 else OWN_MEMORIZED
            rows.append(
                Row(
                    f"{at:g} ‖W‖",
                    (Mark(key, name, verdict.measured),),
                    (verdict.at_least, verdict.at_most),
                    ticked(verdict),
                    at == fraction,
                )
            )
    every = [
        verdicts(step_of(part_of(document, name), at))
        for name in measured_in(document)
        for at in steps
    ]
    here = [verdict for at in steps for verdict in by_step[at]]
    listed = "; ".join(
        f"{said}: {counted([found[number] for found in every])}"
        for number, (_, said) in enumerate(CLAIMS)
    )
    return Forest(
        id="claims",
        title=f"Do the claims hold? {short(projection).capitalize()}",
        x=log_scale(
            "ratio of median rises", [v.measured for v in here], 1.0, 1 / 1.5, 1.5, 3.0, 10.0
        ),
        rows=tuple(rows),
        how=(
            "Each mark is a ratio of two median rises with its 95 % interval; the shaded field is "
            "what was claimed before measuring. A claim holds where the whole interval lies "
            "inside, fails where it lies outside, and is undecided otherwise. A triangle at the "
            "right edge is a ratio without end: the rise below it is zero or negative. The "
            "projection was chosen on one half of the texts; this is measured on the other."
        ),
        alt=(
            f"Of the claims in {short(projection)}, {counted(here)}. Over all "
            f"{len(measured_in(document))} measured projections and {len(steps)} steps, {listed}."
        ),
    )


# -- stages of training ----------------------------------------------------------------------------


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
                    Line(key, key, style(key).name, at, series[key], band=True) for key in series
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
