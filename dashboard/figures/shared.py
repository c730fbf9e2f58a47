"""What examples share, as descriptions: overlaps, flattening in the average, hills.

Read from a study's curvature.json (`core.curvature.findings`); sentences follow the intervals.
"""

from __future__ import annotations

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
    judged,
    log_scale,
    multiple,
    plain,
    stored,
    stored_verdict,
    times,
)
from dashboard.figures.examples import RISE, Document, part_of, steps_scale
from dashboard.figures.palette import style
from dashboard.figures.spectrum import short
from dashboard.figures.words import listing

PAIRS = {"memorized": "Two memorized strings", "fresh": "Two fresh texts",
         "between": "One of each", "random": "Random directions"}  # fmt: skip
EVERYONE = {"memorized": "memory", "fresh": "fresh own", "probes": "probes"}


def largest(curves: Mapping[str, Any]) -> int:
    """The largest n of several curves over the number of examples averaged."""
    return max(int(n) for curve in curves.values() for n in curve["sizes"])


def averaged_over(label: str, most: int) -> Scale:
    """The axis of n, from 1 to `most`, marked where it doubles."""
    sizes = [2**k for k in range(most.bit_length()) if 2**k < most] + [most]
    ticks = tuple((float(n), str(n)) for n in sizes)
    return Scale(label, (0.9, 1.1 * most), log=True, ticks=ticks)


# -- apart or together -----------------------------------------------------------------------------


def flattening(document: Document, projection: str) -> Lines:
    """S(n) of memorized and of fresh gradients of length 1, against 1/n."""
    overlap = part_of(document, projection)["overlap"]
    groups = {name: overlap["flattening"][name] for name in ("memorized", "fresh")}
    most = largest(groups)
    verdict = stored_verdict(overlap["verdicts"][1])
    head = {
        True: "Averaged over many, memorized strings flatten faster than fresh text",
        False: "Averaged over many, memorized strings flatten no faster than fresh text: slower",
        None: "Whether memorized strings flatten faster than fresh text stays undecided",
    }[verdict.holds]
    return Lines(
        id="flattening",
        title="Averaged over n examples",
        x=averaged_over("n, examples averaged", most),
        panels=(
            Panel(
                Scale("sharpest curvature left, S(n)", (0.8 / most, 1.15), log=True),
                tuple(
                    Line(
                        name,
                        EVERYONE[name],
                        style(EVERYONE[name]).name if name == "memorized" else "Fresh text",
                        tuple(float(n) for n in curve["sizes"]),
                        tuple(stored(value) for value in curve["values"]),
                        band=True,
                    )
                    for name, curve in groups.items()
                ),
                guide=("1/n: all apart", (1.0, float(most)), (1.0, 1.0 / most)),
            ),
        ),
        how=(
            "S(n) is the sharpest curvature of the average over n examples, their gradients taken "
            "at length 1. Where every example is sharp in a direction of its own, it falls like "
            "1/n, the dashed line; where a direction is shared, it stays. Log axes; bands are the "
            "middle 95 % of random subsets, and the last point is the one set of all."
        ),
        alt=(
            f"{head}: over {verdict.measured.n} examples, S of memorized strings is "
            f"{times(verdict.measured)} that of fresh texts in {short(projection)}."
        ),
    )


def overlaps(document: Document, projection: str) -> Forest:
    """Mean overlap of own directions inside and between the groups, and of random ones."""
    overlap = part_of(document, projection)["overlap"]
    means = {name: stored(overlap["means"][name]) for name in PAIRS}
    looks = {**EVERYONE, "between": "memorized others", "random": "random"}
    less = stored_verdict(overlap["verdicts"][0])
    head = {
        True: "Memorized strings' directions point further apart than those of fresh texts",
        False: "Memorized strings' directions point no further apart than those of fresh texts",
        None: "Whether memorized strings' directions point further apart stays undecided",
    }[less.holds]
    chance = means["random"].value
    over = f", {plain(means['memorized'].value / chance)}× that of random directions"
    return Forest(
        id="overlaps",
        title="Do own directions point apart?",
        x=log_scale("mean overlap |⟨Dₓ, Dᵧ⟩|", means.values(), 1.0),
        rows=tuple(
            Row(said, (Mark(looks[name], said, means[name]),)) for name, said in PAIRS.items()
        ),
        how=(
            "Every example's own direction is compared with every other's; the mark is the mean "
            "of the absolute inner products, on a log axis, with its 95 % interval; 1 is the same "
            "direction. Random "
            "directions of the same shape say what no relation at all looks like."
        ),
        alt=(
            f"{head}: the overlap of two memorized strings is {plain(means['memorized'].value)}, "
            f"{times(less.measured)} that of two fresh texts{over if chance > 0 else ''}."
        ),
    )


# -- hills -----------------------------------------------------------------------------------------


def hills(document: Document, projection: str, fraction: float) -> Lines:
    """Mean rises of all kinds of text along the sharpest shared directions."""
    shared: Sequence[Document] = part_of(document, projection)["shared"]
    steps = tuple(float(found["fraction"]) for found in shared)
    series = {name: tuple(stored(found["groups"][name]) for found in shared) for name in EVERYONE}
    found = shared[steps.index(fraction)]
    return Lines(
        id="hills",
        title="Along what many share: the eight sharpest directions",
        x=steps_scale(steps),
        panels=(
            Panel(
                log_scale(RISE, [e for line in series.values() for e in line]),
                tuple(
                    Line(name, look, _everyone(name), steps, series[name])
                    for name, look in EVERYONE.items()
                ),
            ),
        ),
        marked=fraction,
        how=(
            "The eight eigendirections uᵢvⱼᵀ of largest curvature λᵢμⱼ, which the edit keeps. "
            "Each mark is the mean rise of the loss of one kind of text along them; whiskers are "
            "95 % intervals. Both axes are logarithmic. Were these directions hills for "
            "everything alike, the three would lie within a factor 3 of each other."
        ),
        alt=_hills_alt(
            {name: stored(found["groups"][name]) for name in EVERYONE},
            stored_verdict(found["verdict"]),
            projection,
            fraction,
        ),
    )


def _everyone(name: str) -> str:
    return {"memorized": "Memorized strings", "fresh": "Fresh text", "probes": "Probes"}[name]


def _hills_alt(
    groups: Mapping[str, Estimate], verdict: Verdict, projection: str, fraction: float
) -> str:
    ordered = sorted(groups, key=lambda name: -groups[name].value)
    listed = listing([f"{_everyone(n).lower()} {plain(groups[n].value)}" for n in ordered])
    head = {
        True: "Shared directions are hills for all kinds of text alike",
        False: "Shared directions are not hills for all alike",
        None: "Whether shared directions are hills for all alike stays undecided",
    }[verdict.holds]
    return (
        f"{head}: at {fraction:g} ‖W‖ in {short(projection)} the mean rises, in nats a token, are "
        f"{listed}. Direction by direction the largest is "
        f"{multiple(verdict.measured, 'the smallest')}: "
        f"the claim of a factor within 3 {judged(verdict)}."
    )
