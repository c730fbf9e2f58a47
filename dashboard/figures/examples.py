"""What single examples' curvature shows, as descriptions: spikes, their claims, and their growth.

Read from a study's curvature.json (`core.curvature.findings`). Every sentence is chosen by the
interval of what was measured, never by what is hoped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.curvature.verdicts import Verdict
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
)
from dashboard.figures.kinds import TEXTS, Kind
from dashboard.figures.spectrum import short

Document = Mapping[str, Any]

RISE = TEXTS.rise
STEP = "step along the direction, as a fraction of ‖W‖"
USUAL = 0.1  # the step at which the projection was chosen
ALONG: dict[str, tuple[str, ...]] = {
    "memorized": ("memorized own", "memorized others", "memorized to fresh"),
    "fresh": ("fresh own", "fresh others", "fresh to memorized"),
}
THIRD = "memorized to probes"


def _spikes_how(kind: Kind) -> str:
    return (
        f"Weights are moved along the one direction that is steepest for one {kind.example}, and "
        "the loss is read: ½[L(+s) + L(−s)] − L(0), so that the slope cancels. Each mark is the "
        f"median over all {kind.example}s of the group whose directions these are; whiskers are "
        "95 % intervals. Both axes are logarithmic: what is zero or negative lies on the lower "
        "edge. The larger marks are the step in view."
    )


def _claims(kind: Kind) -> tuple[tuple[str, str], ...]:
    """The heading of each claim, and how it reads in a sentence."""
    alone = kind.mass[0].upper() + kind.mass[1:]
    return (
        (f"Own ÷ {kind.mass} (claim: at least 10)", f"at least 10× that of {kind.mass}"),
        (f"Own ÷ other {kind.like_first} (claim: at least 3)",
         f"at least 3× that of the other {kind.like_first}"),
        (f"{alone}: own ÷ other {kind.like_second} (claim: within 1.5)",
         f"within 1.5× of the other {kind.seconds}'"),
    )  # fmt: skip


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


def headline(document: Document, projection: str, fraction: float, kind: Kind = TEXTS) -> str:
    """The answer of one projection at one step, before any chart."""
    fresh, others, alike = verdicts(step_of(part_of(document, projection), fraction))
    where = f"In {short(projection)}, at a step of {fraction:g} ‖W‖,"
    if fresh.holds and others.holds:
        too = alike.measured.low >= others.at_least  # the same claim, of the second group
        also = f"; so {'have' if kind.feel == 'feel' else 'has'} {kind.mass}" if too else ""
        return f"{where} yes: {kind.firsts} have spikes of their own{also}."
    if fresh.holds is False and others.holds is False:
        return f"{where} no: {kind.firsts} show no spikes of the size that was claimed."
    if fresh.holds is False:
        return f"{where} not as claimed: {kind.mass} {kind.feel} a {kind.first}'s direction too."
    if others.holds is False:
        return (
            f"{where} not as claimed: the other {kind.firsts} feel {kind.short}'s direction too, "
            f"and {kind.mass} {kind.does_not if fresh.holds else 'may'}."
        )
    if fresh.holds:
        return (
            f"{where} in part: {kind.mass} {kind.does_not} feel a {kind.first}'s direction; "
            f"whether the other {kind.firsts} do stays undecided."
        )
    return f"{where} undecided: the intervals of what was claimed are too wide."


def spikes(
    document: Document, projection: str, fraction: float, of: str, kind: Kind = TEXTS
) -> Lines:
    """Median rises along the own directions of memorized strings, or of fresh texts."""
    part = part_of(document, projection)
    steps = fractions(document)
    along = {"memorized": _along_first(kind), "fresh": ALONG["fresh"]}
    everything = {
        key: tuple(stored(step_of(part, at)["medians"][key]) for at in steps)
        for keys in along.values()
        for key in keys
    }
    scale = log_scale(kind.rise, [e for series in everything.values() for e in series])
    memorized = of == "memorized"
    return Lines(
        id=f"spikes-{of}",
        title=f"Along a {kind.first if memorized else kind.second}'s own direction",
        x=steps_scale(steps),
        panels=(
            Panel(
                scale,
                tuple(
                    Line(key, kind.look(key), kind.name(key), steps, everything[key])
                    for key in along[of]
                ),
            ),
        ),
        marked=fraction,
        how=_spikes_how(kind) if memorized else "Read like the chart beside it, on the same scale.",
        alt=_spike_alt(step_of(part, fraction), of, projection, fraction, kind),
    )


def _along_first(kind: Kind) -> tuple[str, ...]:
    return (*ALONG["memorized"], THIRD) if kind.third else ALONG["memorized"]


def steps_scale(steps: Sequence[float]) -> Scale:
    return Scale(
        STEP,
        (steps[0] / 1.25, steps[-1] * 1.25),
        log=True,
        ticks=tuple((at, f"{at:g}") for at in steps),
    )


def _spike_alt(step: Document, of: str, projection: str, fraction: float, kind: Kind) -> str:
    own, others, across = (plain(stored(step["medians"][key]).value) for key in ALONG[of])
    fresh, other, alike = verdicts(step)
    where = f"In {short(projection)}, at {fraction:g} ‖W‖:"
    if of == "memorized":
        third = (
            f", of {kind.third} by {plain(stored(step['medians'][THIRD]).value)}"
            if kind.third
            else ""
        )
        return (
            f"{where} a {kind.first}'s own loss rises by {own} {kind.unit}, that of the other "
            f"{kind.firsts} by {others}, of {kind.mass} by {across}{third}. Own is "
            f"{multiple(fresh.measured, f'that of {kind.mass}')}: the claim of at least 10× "
            f"{judged(fresh)}. It is "
            f"{multiple(other.measured, f'that of the other {kind.like_first}')}: the claim of at "
            f"least 3× {judged(other)}."
        )
    return (
        f"{where} a {kind.second}'s own loss rises by {own} {kind.unit}, that of the other "
        f"{kind.seconds} by {others}, of {kind.firsts} by {across}. Own is "
        f"{multiple(alike.measured, f'that of the other {kind.seconds}')}: the claim of a factor "
        f"within 1.5 {judged(alike)}."
    )


def claims(document: Document, projection: str, fraction: float, kind: Kind = TEXTS) -> Forest:
    """The three ratios at every step of one projection, against what is claimed of them."""
    part, steps = part_of(document, projection), fractions(document)
    by_step = {at: verdicts(step_of(part, at)) for at in steps}
    rows: list[Row] = []
    said = _claims(kind)
    for number, (heading, _) in enumerate(said):
        rows.append(Row(heading))
        for at in steps:
            verdict = by_step[at][number]
            group = "fresh" if number == 2 else "memorized"
            key, name = kind.look(f"{group} own"), kind.name(group)
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
        f"{claim}: {counted([found[number] for found in every])}"
        for number, (_, claim) in enumerate(said)
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
            f"projection was chosen on one half of the {kind.example}s; this is measured on the "
            "other."
        ),
        alt=(
            f"Of the claims in {short(projection)}, {counted(here)}. Over all "
            f"{len(measured_in(document))} measured projections and {len(steps)} steps, {listed}."
        ),
    )
