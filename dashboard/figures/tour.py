"""The pictures of the guided tour, as descriptions: large, few, and each of one thing."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pandas as pd

from core.intervals import Estimate
from core.manifest import StoredRecipe
from dashboard.figures import answers, examples, outcome
from dashboard.figures.describe import Curves, Panel, Series
from dashboard.figures.estimates import Forest, Line, Lines, Mark, Row, Scale, stored
from dashboard.figures.estimates import Panel as Charted
from dashboard.figures.measured import Measured, axis_of
from dashboard.figures.palette import style
from dashboard.figures.recall import SHARES, memory_track
from dashboard.figures.shared import EVERYONE, averaged_over, largest
from dashboard.figures.spectrum import short
from dashboard.figures.words import count, listing, setting

Document = Mapping[str, Any]
STEP = "step from the trained weights (‖W‖)"


# -- before the first step -------------------------------------------------------------------------


def overview(study: Measured, recipe: StoredRecipe, tick: int) -> Curves:
    """Recall and all abilities against the threshold: a line, and a band with its middle."""
    memory = memory_track(study, recipe)
    tracks = [study.score(recipe, group, "accuracy") for group in study.probes]
    known = [track.value for track in tracks if track.known]
    lines = []
    if memory.known:
        lines.append(
            Series(
                "memory",
                "memory",
                "recites word for word",
                memory.value,
                memory.low,
                memory.high,
                heavy=True,
            )
        )
    if known:
        at_tick = list(zip(*known, strict=True))
        lines.append(
            Series(
                "abilities",
                "abilities",
                f"answers {len(known)} kinds of questions",
                tuple(statistics.median(values) for values in at_tick),
                tuple(min(values) for values in at_tick),
                tuple(max(values) for values in at_tick),
                heavy=True,
            )
        )
    names = listing([style(group).name.lower() for group in study.probes])
    found = outcome.outcome(study, recipe, tick)
    return Curves(
        id="overview",
        title="What is still right as more and more is cut",
        axis=axis_of(recipe),
        panels=(Panel("Still right", "share", (0.0, 1.0), SHARES, tuple(lines)),),
        how=(
            "From left to right more of the flattest directions of the weights is cut. Orange: "
            "the share of memorized strings that come back word for word, with its 95 % interval. "
            f"Blue: exact answers to {names}, the middle one of them and from the weakest to "
            f"the strongest. The dashed line is {setting(recipe.ticks[tick])} kept."
        ),
        alt=f"{outcome.verdict(found)} {outcome.told(found, recipe, tick, study.ratio(recipe))}",
    )


# -- training and valleys --------------------------------------------------------------------------


@dataclass(frozen=True)
class Descent:
    """Stored points of the training run on a plane, with the loss around them where it is known."""

    id: str
    title: str
    steps: tuple[int, ...]
    places: tuple[tuple[float, float], ...]
    loss: tuple[float, ...]
    grid: tuple[tuple[float, ...], tuple[float, ...], tuple[tuple[float, ...], ...]] | None
    how: str
    alt: str

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "training step": self.steps,
                "loss (nats a token)": self.loss,
                "x (‖W‖)": [x for x, _ in self.places],
                "y (‖W‖)": [y for _, y in self.places],
            }
        )


def descent(training: Document) -> Descent:
    """The training run seen from above."""
    points: Sequence[Document] = training["points"]
    loss = tuple(float(point["loss"]) for point in points)
    steps = tuple(int(point["step"]) for point in points)
    ups = sum(after > before for before, after in pairwise(loss))
    way = "at every stored step" if not ups else f"though {ups} of {len(loss) - 1} steps rise"
    fell = "falls" if loss[-1] < loss[0] else "does not fall"
    held = training.get("plane", {}).get("held")
    share = (
        ""
        if held is None
        else f" The plane holds {100 * float(held):.0f} % of the squared way of the run; "
        "of the directions there are it shows two."
    )
    return Descent(
        id="descent",
        title="Training rolls downhill",
        steps=steps,
        places=tuple((float(point["x"]), float(point["y"])) for point in points),
        loss=loss,
        grid=_grid(training),
        how=(
            "Each mark is a stored state of the network's weights, seen from above on the plane "
            "in which the run moved most; darker ground is lower loss." + share
        ),
        alt=(
            f"Over {count(steps[-1])} steps of training the loss {fell} from {loss[0]:.2f} to "
            f"{loss[-1]:.2f} nats a token, {way}."
        ),
    )


def _grid(
    training: Document,
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[tuple[float, ...], ...]] | None:
    raw = training.get("grid")
    if raw is None:
        return None
    rows = tuple(tuple(float(value) for value in row) for row in raw["loss"])
    return tuple(map(float, raw["x"])), tuple(map(float, raw["y"])), rows


def walls(document: Document) -> tuple[Estimate, Estimate, float]:
    """Rises of fresh text along sharp and along memorized strings' directions, at one step."""
    fraction = answers.usual(document)
    sharp, flat = _walls(document)
    return sharp[fraction], flat[fraction], fraction


def _walls(document: Document) -> tuple[dict[float, Estimate], dict[float, Estimate]]:
    part = examples.part_of(document, str(document["findings"]["chosen"]))
    sharp = {float(f["fraction"]): stored(f["groups"]["fresh"]) for f in part["shared"]}
    flat = {
        at: stored(examples.step_of(part, at)["medians"]["memorized to fresh"])
        for at in examples.fractions(document)
    }
    return sharp, flat


def valleys(document: Document) -> Lines:
    """A sharp and a flat valley: the same text's loss to both sides of the trained weights."""
    sharp, flat = _walls(document)
    sides = [*(-at for at in sorted(flat, reverse=True)), 0.0, *sorted(flat)]
    still = Estimate(0.0, 0.0, 0.0, 0)

    def line(key: str, group: str, name: str, rises: Mapping[float, Estimate]) -> Line:
        return Line(
            key, group, name, tuple(sides),
            tuple(rises[abs(at)] if at else still for at in sides), band=True,
        )  # fmt: skip

    lines = (
        line("sharp", "probes", "Along the sharpest directions", sharp),
        line("flat", "memory", "Along directions of memorized strings", flat),
    )
    ends = [end for one in lines for e in one.y for end in (e.low, e.high)]
    return Lines(
        id="valleys",
        title="A sharp and a flat valley",
        x=Scale(STEP, (sides[0], sides[-1]), ticks=tuple((at, f"{at:g}") for at in sides)),
        panels=(
            Charted(
                Scale(
                    "rise of the loss of fresh text<br>(nats a token)", (min(0.0, *ends), max(ends))
                ),
                lines,
            ),
        ),
        how=(
            "The trained weights stand in the middle. Rises are means of both sides, "
            "½[L(+s) + L(−s)] − L(0), so the two halves are alike by construction. Marks are "
            "measured, lines only join them; bands are 95 % intervals. Sharpest: mean over the "
            "eight largest λᵢμⱼ; the others: median over the strings. Measured in "
            f"{short(str(document['findings']['chosen']))}."
        ),
        alt=answers.steeper(*walls(document)).said,
    )


# -- one string, and the average -------------------------------------------------------------------


def own(document: Document) -> Forest:
    """Rises of the string itself, the other strings and fresh text along one string's direction."""
    projection, fraction = str(document["findings"]["chosen"]), answers.usual(document)
    step = examples.step_of(examples.part_of(document, projection), fraction)
    rises = {key: stored(step["medians"][key]) for key in examples.ALONG["memorized"]}
    top = max(e.high for e in rises.values())
    return Forest(
        id="own",
        title="Along one memorized string's own direction",
        x=Scale(examples.RISE, (min(0.0, *(e.low for e in rises.values())), 1.05 * top)),
        rows=tuple(
            Row(style(key).name, (Mark(key, style(key).name, e),)) for key, e in rises.items()
        ),
        how=(
            f"The weights of {short(projection)} are moved by {fraction:g} ‖W‖ along the direction "
            "that is steepest for one string, to both sides. Medians over all strings; lines are "
            "95 % intervals."
        ),
        alt=answers.whose(document, projection, fraction).said,
    )


def averaged(document: Document) -> Lines:
    """S(n) of fresh texts and of memorized strings, on a plain axis."""
    curves = examples.part_of(document, str(document["findings"]["chosen"]))["overlap"]
    groups = {name: curves["flattening"][name] for name in ("fresh", "memorized")}
    return Lines(
        id="averaged",
        title="Averaged over n texts",
        x=averaged_over("n, texts averaged", largest(groups)),
        panels=(
            Charted(
                Scale("sharpest curvature left, S(n)", (0.0, 1.05), ticks=SHARES),
                tuple(
                    Line(
                        name,
                        EVERYONE[name],
                        "Memorized strings" if name == "memorized" else "Fresh texts",
                        tuple(float(n) for n in curve["sizes"]),
                        tuple(stored(value) for value in curve["values"]),
                        band=True,
                    )
                    for name, curve in groups.items()
                ),
            ),
        ),
        how=(
            "1 is the sharpest curvature of one text alone. Where texts are sharp in different "
            "directions, the average over n of them keeps 1/n; where they share a direction it "
            "stays. Bands are the middle 95 % of random subsets."
        ),
        alt=answers.average(document, str(document["findings"]["chosen"])).said,
    )


def only_fresh(described: Lines) -> Lines:
    """The same chart before the guess: without the line that is asked for."""
    panel = described.panels[0]
    fresh = tuple(line for line in panel.lines if line.key == "fresh")
    ends = [f"{line.y[-1].value:.2g} of it at {line.x[-1]:g}" for line in fresh]
    return replace(
        described,
        panels=(replace(panel, lines=fresh),),
        alt=f"Averaged over more and more fresh texts the sharpest curvature falls: {ends[0]}.",
    )


# -- what broke, what stayed -----------------------------------------------------------------------


def left_over(study: Measured, recipe: StoredRecipe, tick: int) -> Forest:
    """Memory and every ability, edited over original, with their intervals."""
    found = outcome.outcome(study, recipe, tick)
    groups = {} if found.memory is None else {outcome.MEMORY: found.memory}
    values = groups | dict(found.abilities)
    return Forest(
        id="left-over",
        title="What is left of the original",
        x=Scale("edited / original", (0.0, 1.1), ticks=SHARES),
        rows=tuple(
            Row(name, (Mark(group, name, e),))
            for group, e in values.items()
            for name in ["Reciting" if group == outcome.MEMORY else style(group).name]
        ),
        how=(
            "Reciting: strings shown most often that come back word for word, over what came back "
            "before. Abilities: accuracy above chance, over what it was. Lines are 95 % intervals; "
            "1 is all of it."
        ),
        alt=f"{outcome.verdict(found)} {outcome.told(found, recipe, tick, study.ratio(recipe))}",
    )


def got_back(document: Document) -> Forest:
    """Shares of the audited strings that come back in one way or another."""
    rows = answers.audited(document)
    return Forest(
        id="got-back",
        title="Asked in other ways",
        x=Scale("strings that come back word for word (share)", (0.0, 1.0), ticks=SHARES),
        rows=tuple(Row(name, (Mark("memory", name, e),)) for name, e in rows),
        how=(
            f"{count(len(document['strings']))} strings of the reporting half, asked once at the "
            "chosen setting. The last bar counts training on other text too. Lines are 95 % "
            "intervals; the Recall page shows every way by itself."
        ),
        alt=answers.left(document).said,
    )
