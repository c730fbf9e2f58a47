"""The residual audit of one edit, as descriptions: ways a string comes back, training, canaries.

Read from a study's audit.json (`core.audit.report`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.intervals import Estimate, wilson
from dashboard.figures.estimates import (
    Forest,
    Line,
    Lines,
    Mark,
    Panel,
    Row,
    Scale,
    plain,
    stored,
)
from dashboard.figures.words import count, digits, listing, percent

Document = Mapping[str, Any]

EDITED, ORIGINAL, NEVER = "edited", "original", "never saw them"
LOOKS = {EDITED: "memorized own", ORIGINAL: "fresh own", NEVER: "random"}
NAMES = {EDITED: "Edited", ORIGINAL: "Original", NEVER: "Never saw them"}
_AFTER = {
    EDITED: "the edited model recites",
    ORIGINAL: "the original, trained alike,",
    NEVER: "a model that never saw them",
}
SHARES = ((0.0, "0"), (0.25, ".25"), (0.5, ".5"), (0.75, ".75"), (1.0, "1"))


def ways(document: Document) -> Forest:
    """The share of strings that come back in each way; the original beside it where known."""
    kinds: Sequence[Document] = document["prompts"]
    original = document["relearned"].get(ORIGINAL)
    before = () if original is None else (_mark(ORIGINAL, stored(original["strict"][0])),)
    tries, least = int(document["tries"]), float(document["probability"])
    rows = [
        Row("Asked once, greedily"),
        Row("its own prompt", (*before, _mark(EDITED, stored(kinds[0]["strict"])))),
        *(Row(str(kind["name"]), (_mark(EDITED, stored(kind["strict"])),)) for kind in kinds[1:]),
        Row("any of these prompts", (_mark(EDITED, stored(document["any_prompt"])),)),
        Row("Asked more often"),
        Row(f"{count(tries)} samples", (_mark(EDITED, stored(document["extractable"])),)),
        Row("All together"),
        Row("any way at all", (_mark(EDITED, stored(document["got_back"])),), marked=True),
    ]
    return Forest(
        id="audit-ways",
        title="Ways a string comes back",
        x=Scale("strings that come back word for word (share)", (0.0, 1.0), ticks=SHARES),
        rows=tuple(rows),
        how=(
            "The same strings asked for in other ways: with part of the prompt, with some of the "
            "continuation given away, from a later start, after unrelated text. Sampling counts a "
            f"string if {count(tries)} draws say it with a probability of at least {least:g} "
            f"({document['sampling']}). The last row adds training on other text, the chart "
            "beside. Whiskers are 95 % intervals."
        ),
        alt=_ways_alt(document, before[0].value if before else None),
    )


def _mark(model: str, value: Estimate) -> Mark:
    return Mark(LOOKS[model], NAMES[model], value)


def _ways_alt(document: Document, before: Estimate | None) -> str:
    kinds: Sequence[Document] = document["prompts"]
    own, everything = stored(kinds[0]["strict"]), stored(document["got_back"])
    was = "" if before is None else f", {percent(before.value)} before the edit"
    others = [kind for kind in kinds[1:] if stored(kind["strict"]).value > own.value]
    said = f"By their own prompt {percent(own.value)} of the strings come back{was}; "
    if others:
        best = max(others, key=lambda kind: stored(kind["strict"]).value)
        share = percent(stored(best["strict"]).value)
        said += f"the prompt that gets most is “{best['name']}”, {share}; "
    else:
        said += "no other prompt gets more; "
    return (
        f"{said}in any way at all {percent(everything.value)} (95 % interval "
        f"{percent(everything.low)} to {percent(everything.high)} of {everything.n})."
    )


def relearning(document: Document) -> Lines:
    """Strict recall of every model after so many steps of training on other text."""
    steps = [int(step) for step in document["training"]["steps"]]
    curves = {
        model: tuple(stored(e) for e in document["relearned"][model]["strict"])
        for model in NAMES
        if model in document["relearned"]
    }
    # The first step is no training at all: steps are drawn evenly, as they are listed.
    places = tuple(float(place) for place in range(len(steps)))
    return Lines(
        id="audit-relearning",
        title="Does a little training bring them back?",
        x=Scale(
            "steps of training on other text",
            (0.0, places[-1]),
            ticks=tuple((place, count(n)) for place, n in zip(places, steps, strict=True)),
        ),
        panels=(
            Panel(
                Scale("recited (share)", (0.0, 1.0), ticks=SHARES),
                tuple(
                    Line(model, LOOKS[model], NAMES[model], places, curve)
                    for model, curve in curves.items()
                ),
            ),
        ),
        how=(
            "What an edit only hides, a little training on text without these strings may bring "
            "back. The original model is trained alike and shows what the training itself costs "
            f"recall. Steps are drawn evenly. {document['training']['plan']}. Whiskers are 95 % "
            "intervals."
        ),
        alt=_relearning_alt(steps, curves, stored(document["relearned"][EDITED]["returned"])),
    )


def _relearning_alt(
    steps: Sequence[int], curves: Mapping[str, Sequence[Estimate]], returned: Estimate
) -> str:
    came = round(returned.value * returned.n)
    said = (
        f"None of {returned.n} strings comes back that was gone"
        if not came
        else f"{came} of {returned.n} strings {'comes' if came == 1 else 'come'} back that "
        f"{'was' if came == 1 else 'were'} gone"
    )
    ends = listing([f"{_AFTER[model]} {percent(c[-1].value)}" for model, c in curves.items()])
    within = f"within {count(steps[-1])} steps of training on other text"
    return f"{said} {within}. At the end {ends}."


def canaries(document: Document) -> Forest | None:
    """Exposure of every audited canary, before and after the edit; None where none was audited."""
    after: Sequence[Document] = document["canaries"]
    if not after:
        return None
    before = {str(entry["item"]): entry for entry in document.get("exposures_before", ())}
    limit = float(after[0]["limit"])
    rows = []
    for entry in after:
        name = str(entry["item"])
        old = [_mark(ORIGINAL, _bits(before[name]))] if name in before else []
        rows.append(Row(name, (*old, _mark(EDITED, _bits(entry)))))
    beyond = int(document["canaries_beyond_chance"])
    return Forest(
        id="audit-canaries",
        title="Planted numbers: how exposed are they?",
        x=Scale(
            "exposure (bits)",
            (0.0, limit),
            ticks=tuple((float(bit), str(bit)) for bit in range(0, math.floor(limit) + 1, 2)),
        ),
        rows=tuple(rows),
        guides=((digits(limit), "most that can be seen"),),
        how=(
            "Exposure says how far up a planted number stands among "
            f"{count(int(after[0]['rivals']))} of the same form that were never shown: each bit "
            f"halves its rank, and first of all is {limit:.1f} bits, at the dashed line, or more. "
            "A number of which nothing is left has about 1.4 bits on average. Whiskers are 95 % "
            "intervals; at the dashed line they have no upper end."
        ),
        alt=(
            f"After the edit {beyond} of {len(after)} planted numbers "
            f"{'is' if beyond == 1 else 'are'} likelier than chance allows; exposures are "
            f"{_spread([_bits(e) for e in after])} bits"
            + (f", {_spread([_bits(e) for e in before.values()])} before." if before else ".")
        ),
    )


def _bits(entry: Document) -> Estimate:
    """log₂|R| − log₂ rank with its interval, as `core.audit.exposure.Exposure.bits` defines it.

    Written out here because that module loads the model library, which this page can do without.
    """
    rivals, rank = int(entry["rivals"]), float(entry["rank"])
    value = math.log2(rivals) - math.log2(rank)
    low, high = wilson(min(rivals, round(rank - 1)), rivals)
    top = max(value, -math.log2(low)) if low > 0.0 else math.inf
    return Estimate(digits(value), digits(min(value, -math.log2(high))), digits(top), rivals)


def _spread(values: Sequence[Estimate]) -> str:
    low, high = min(e.value for e in values), max(e.value for e in values)
    return plain(low) if low == high else f"{plain(low)} to {plain(high)}"
