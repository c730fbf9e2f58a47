"""Where the curvature of single examples lies, as descriptions: groups, a heatmap, two examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.curvature.resampling import estimate
from core.intervals import Z95, Estimate
from dashboard.figures.estimates import INTERVAL, Line, Lines, Panel, Scale, plain, times
from dashboard.figures.palette import style
from dashboard.figures.portraits import FRESH, MEMORIZED, Portraits, look_of, name_of
from dashboard.figures.spectrum import short
from dashboard.figures.words import count, digits, percent

Floats = NDArray[np.float64]

RANK = "directions uᵢvⱼᵀ, sorted by λᵢμⱼ (rank)"
DENSITY = "curvature per direction"
SHARE = "share of the example's own"
PER = "per counted token, eight draws of the labels"
TOGETHER = (MEMORIZED, FRESH)  # drawn with their spread; the others as thin lines

COLOURS: dict[str, str] = {
    "share": "Share of the example's own curvature",
    "density": "Curvature per direction",
}


# -- groups ----------------------------------------------------------------------------------------


def groups(found: Portraits, products: Sequence[float] | None, cut: float | None) -> Lines:
    """Median and middle half of every group's examples in each band, per direction and as shares.

    `products` is the mean λᵢμⱼ of each band, None where the scale of the factors is unknown; `cut`
    the number of directions that the edit keeps.
    """
    lines = {
        measure: tuple(
            _line(found, group, values[numbers], measure) for group, numbers in found.groups.items()
        )
        for measure, values in (("density", found.densities), ("share", found.shares))
    }
    guide = (
        None
        if products is None
        else ("λᵢμⱼ, what the factors say", found.centres, tuple(digits(p) for p in products))
    )
    return Lines(
        id="bands",
        title="Where the curvature of single examples lies",
        x=rank_scale(found.ranks),
        panels=(
            Panel(density_scale(lines["density"], products or ()), lines["density"], 1.0, guide),
            Panel(share_scale(lines["share"]), lines["share"], 0.7),
        ),
        how=(
            "Each example's curvature summed over twelve bands of the directions, the steepest "
            f"left, {PER}. Above per direction of the band, below as a share of the example's own "
            "total: a text that the model is sure of has little gradient and so little curvature "
            "anywhere. Lines are medians of a group's examples; for memorized strings and fresh "
            "text the field holds the middle half of them (the table has it for all). The dashed "
            "vertical line is where the cut in view ends what it keeps; values on the lower edge "
            "are smaller."
        )
        + ("" if guide else " What the factors say, λᵢμⱼ, is left out: their scale is unknown."),
        alt=_groups_alt(found),
        cut=cut,
    )


def rank_scale(ranks: Sequence[int]) -> Scale:
    """The log axis of ranks, from the first direction to the last of the last band."""
    ticks = tuple((10.0**power, count(10**power)) for power in range(len(str(ranks[-1]))))
    return Scale(RANK, (0.5, ranks[-1] + 0.5), log=True, ticks=ticks)


def _line(found: Portraits, group: str, values: Floats, measure: str) -> Line:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    n = len(values)
    spread = tuple(
        Estimate(digits(m), digits(a), digits(b), n)
        for a, m, b in zip(low.tolist(), middle.tolist(), high.tolist(), strict=True)
    )
    return Line(
        f"{measure} {group}",
        look_of(group),
        name_of(group),
        found.centres,
        spread,
        band=True,
        quiet=group not in TOGETHER,
    )


def density_scale(lines: Sequence[Line], more: Sequence[float] = ()) -> Scale:
    """A log axis that shows every value of these lines, and the places in `more`."""
    values = [e.value for line in lines for e in line.y if e.value > 0.0]
    values += [value for value in more if value > 0.0]
    return Scale(DENSITY, (min(values) / 1.5, 1.5 * max(values)), log=True)


def share_scale(lines: Sequence[Line]) -> Scale:
    """An axis from 0 to the highest share of these lines."""
    highest = max(0.1, *(max(e.value, e.high) for line in lines for e in line.y))
    steps = [n / 10 for n in range(0, 10, 1 if highest < 0.55 else 2)]
    ticks = tuple((at, f"{at:.1f}".removeprefix("0") if at else "0") for at in steps)
    return Scale(SHARE, (0.0, highest), ticks=tuple(t for t in ticks if t[0] <= highest))


def _groups_alt(found: Portraits) -> str:
    """Flatter or not, by the interval of a difference of medians; and how much there is in all."""
    flat = {group: found.flat[found.groups[group]] for group in TOGETHER}
    total = {group: found.sums[found.groups[group]].sum(1) for group in TOGETHER}
    sizes = [len(values) for values in flat.values()]
    apart = estimate(
        lambda m, f: float(np.median(flat[MEMORIZED][m]) - np.median(flat[FRESH][f])), sizes
    )
    ratio = estimate(
        lambda m, f: float(np.median(total[MEMORIZED][m]) / np.median(total[FRESH][f])), sizes
    )
    if apart.low > 0.0:
        judged = "memorized strings lie in flatter directions"
    elif apart.high < 0.0:
        judged = "memorized strings do not lie in flatter directions, but in steeper ones"
    else:
        judged = "the two are not told apart"
    medians = [percent(float(np.median(values))) for values in flat.values()]
    low, high = (percent(end).replace("-", "−") for end in (apart.low, apart.high))
    return (
        f"In {short(found.projection)}, {medians[0]} of a memorized string's curvature lies "
        f"{found.beyond} and {medians[1]} of a fresh text's: {judged} (medians; {INTERVAL} of the "
        f"difference {low} to {high}). In all, a memorized string has {times(ratio)} the curvature "
        "of a fresh text."
    )


# -- the heatmap -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Examples × bands. Rows from the top, grouped, in each group the flattest first.

    edges   of the bands on the axis of ranks (b + 1,)
    values  what is coloured (n, b); log10 of it where `log`
    rows    the id, and what the pointer says, of each row
    groups  (name, first row, row after the last)
    pins    pin -> row
    """

    id: str
    title: str
    colour: str
    log: bool
    edges: tuple[float, ...]
    values: Floats
    rows: tuple[tuple[str, str], ...]
    groups: tuple[tuple[str, int, int], ...]
    pins: Mapping[str, int]
    x: Scale
    cut: float | None
    how: str
    alt: str

    def table(self) -> pd.DataFrame:
        bands = [
            f"ranks {count(low + 0.5)} to {count(high - 0.5)}"
            for low, high in zip(self.edges[:-1], self.edges[1:], strict=True)
        ]
        frame = pd.DataFrame(self.values, columns=bands).map(digits)
        frame.insert(0, "example", [id_ for id_, _ in self.rows])
        return frame


def heatmap(found: Portraits, colour: str, pins: Mapping[str, str], cut: float | None) -> Heatmap:
    """Every example in every band; `colour` is one of COLOURS."""
    order: list[int] = []
    spans = []
    for group, numbers in found.groups.items():
        ranked = numbers[np.argsort(-found.flat[numbers], kind="stable")]
        spans.append((name_of(group), len(order), len(order) + len(ranked)))
        order += ranked.tolist()
    values = (found.shares if colour == "share" else found.densities)[order]
    subjects = [found.subjects[number] for number in order]
    ids = [one.id for one in subjects]
    return Heatmap(
        id="heatmap",
        title="Example by example",
        colour=COLOURS[colour],
        log=colour == "density",
        edges=found.edges,
        values=values,
        rows=tuple(
            (one.id, f"{one.kind}: {_start(one.prompt)} … (loss {plain(one.loss)})")
            for one in subjects
        ),
        groups=tuple(spans),
        pins={pin: ids.index(id_) for pin, id_ in pins.items()},
        x=rank_scale(found.ranks),
        cut=cut,
        how=(
            "One row an example, one column a band of the sorted directions, the steepest left; "
            "brighter is more. In each group the rows with most curvature in flat directions stand "
            "first. Click a row: its curve is drawn beside, and it becomes pin A; the next click "
            "sets pin B, and so on in turn. The list below pins too."
        ),
        alt=_heatmap_alt(found),
    )


def _start(text: str, words: int = 7) -> str:
    return " ".join(text.split()[:words])


def _heatmap_alt(found: Portraits) -> str:
    """How far the two groups overlap, counted example by example."""
    flat = {group: found.flat[found.groups[group]] for group in TOGETHER}
    middle = float(np.median(flat[FRESH]))
    over = int((flat[MEMORIZED] > middle).sum())
    above = int((flat[MEMORIZED] > flat[FRESH].max()).sum())
    n = len(flat[MEMORIZED])
    return (
        f"{over} of {n} memorized strings have a larger share of their curvature "
        f"{found.beyond} than the median fresh text, {above} a larger one than any of the "
        f"{len(flat[FRESH])} fresh texts."
    )


# -- two examples ----------------------------------------------------------------------------------


def pinned(found: Portraits, pins: Mapping[str, str], cut: float | None) -> Lines:
    """The curves of the pinned examples, beside the medians of memorized strings and fresh text."""
    density, share = [], []
    for pin, id_ in pins.items():
        number = found.ids.index(id_)
        name = f"{pin}: {found.subjects[number].kind.partition(',')[0].lower()}"
        half = Z95 * found.errors[number] / found.counts
        values = found.densities[number]
        density.append(_one(found, f"density {pin}", pin, name, values, half))
        share.append(_one(found, f"share {pin}", pin, name, found.shares[number]))
    for group in TOGETHER:
        for lines, values, measure in (
            (density, found.densities, "density"),
            (share, found.shares, "share"),
        ):
            line = _line(found, group, values[found.groups[group]], f"median {measure}")
            lines.append(
                Line(line.key, line.group, f"Median, {line.name.lower()}", line.x, line.y,
                     band=True, quiet=True)
            )  # fmt: skip
    return Lines(
        id="pins",
        title=f"{' and '.join(pins)}, side by side" if len(pins) > 1 else "The pinned example",
        x=rank_scale(found.ranks),
        panels=(
            Panel(density_scale(density), tuple(density), 1.0),
            Panel(share_scale(share), tuple(share), 0.7),
        ),
        how=(
            "The pinned examples in the same bands, above per direction with 95 % intervals over "
            f"{found.draws} draws of the labels, below as shares of their own totals. The thin "
            "lines are the medians of the chart above."
        ),
        alt=_pinned_alt(found, pins),
        cut=cut,
    )


def _one(
    found: Portraits, key: str, pin: str, name: str, values: Floats, half: Floats | None = None
) -> Line:
    reach = np.zeros_like(values) if half is None else half
    estimates = tuple(
        Estimate(digits(v), digits(v - h), digits(v + h), found.draws)
        for v, h in zip(values.tolist(), reach.tolist(), strict=True)
    )
    return Line(key, f"pin {pin}", name, found.centres, estimates)


def _pinned_alt(found: Portraits, pins: Mapping[str, str]) -> str:
    said: list[str] = []
    for pin, id_ in pins.items():
        number = found.ids.index(id_)
        one = found.subjects[number]
        said.append(
            f"{pin} ({one.kind.lower()}, loss {plain(one.loss)}) has "
            f"{percent(float(found.flat[number]))} of its curvature {found.beyond}"
            if not said
            else f"{pin} ({one.kind.lower()}, loss {plain(one.loss)}) "
            f"{percent(float(found.flat[number]))}"
        )
    text = ", ".join(said) + "."
    if len(pins) > 1:
        first, second = (found.sums[found.ids.index(id_)].sum() for id_ in pins.values())
        text += f" In all {style('pin A').name} has {plain(float(first / second))}× the curvature "
        text += f"of {style('pin B').name}."
    return text
