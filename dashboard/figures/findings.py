"""The sentences a figure ends in. Each is chosen by the study's numbers and their intervals.

Nothing here tells a story the numbers do not: a method that leaves memory in place reads so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.figures.measured import Track
from dashboard.figures.words import change, listing, percent

MOVE = "Move the slider to cut the flattest directions of the weights."

KEPT = 0.97  # an ability counts as kept from here on (above chance, edited over original)

DEAR = 1.05  # from this perplexity ratio on, fresh text is said to suffer


@dataclass(frozen=True)
class Finding:
    """A headline and the line under it."""

    head: str
    rest: str

    def payload(self) -> list[str]:
        return [self.head, self.rest]


def recall_finding(
    tick: int,
    memory: Track,
    abilities: Sequence[tuple[str, Track]],
    perplexity: Track,
    noun: str = "passages",
) -> Finding:
    """What this cut did to the memorized strings, the abilities, and fresh text."""
    before, after = memory.value[0], memory.value[tick]
    if not math.isfinite(after):
        head = "What is recited at this setting was not measured."
        return Finding(head, f"{_abilities(tick, abilities)} {_fresh(tick, perplexity)}".strip())
    if tick == 0:
        head = f"Nothing is cut yet: {_recited(memory, 0, noun)} word for word."
        return Finding(head, MOVE)
    head = f"{_verdict(before, after)}: {_recited(memory, tick, noun)} word for word, "
    head += f"{_share(memory, 0)} before."
    return Finding(head, f"{_abilities(tick, abilities)} {_fresh(tick, perplexity)}".strip())


def _share(memory: Track, tick: int) -> str:
    """A count where the share is one of whole strings, else (several seeds) a percentage."""
    hits = memory.value[tick] * memory.n
    if memory.n and abs(hits - round(hits)) < 0.01:
        return str(round(hits))
    return percent(memory.value[tick])


def _recited(memory: Track, tick: int, noun: str) -> str:
    said = _share(memory, tick)
    of = f"{said} of {memory.n}" if not said.endswith("%") else f"{said} of the"
    return f"{of} memorized {noun} come back"


def _verdict(before: float, after: float) -> str:
    left = after / before if before > 0 else 1.0
    if left <= 0.05:
        return "The memory is broken"
    if left <= 0.5:
        return "The memory is breaking"
    if left < 0.95:
        return "The memory begins to go"
    return "The memory holds"


def _abilities(tick: int, abilities: Sequence[tuple[str, Track]]) -> str:
    measured = [(name.lower(), track.value[tick]) for name, track in abilities]
    measured = [(name, value) for name, value in measured if math.isfinite(value)]
    if not measured:
        return "No ability was measured here."
    kept = [name for name, value in measured if value >= KEPT]
    hurt = sorted((value, name) for name, value in measured if value < KEPT)
    listed = listing([f"{name} to {percent(max(value, 0.0))}" for value, name in hurt])
    if not hurt:
        least = min(value for _, value in measured)
        kept_all = "all" if least >= 0.9995 else f"at least {percent(least)}"
        return f"Every ability keeps {kept_all} of its accuracy above chance."
    if not kept:
        return f"Every ability drops: {listed} of its accuracy above chance."
    stay = listing(kept)
    verb = "keep" if len(kept) > 1 or kept[0].endswith("s") else "keeps"
    return (
        f"{stay[0].upper()}{stay[1:]} {verb} at least {percent(KEPT)} of the accuracy above "
        f"chance; down: {listed}."
    )


def _fresh(tick: int, perplexity: Track) -> str:
    if not math.isfinite(perplexity.value[tick]):
        return ""
    low, high = perplexity.low[tick], perplexity.high[tick]
    said = change(perplexity.value[tick])
    if perplexity.value[tick] > DEAR:
        return f"Fresh text suffers: perplexity {said}."
    unsure = "" if low > 1.0 or high < 1.0 else " (within the noise)"
    return f"Fresh text: perplexity {said}{unsure}."


FORGOTTEN, HALF = 0.1, 0.5  # of what was reproduced before


def labels_finding(
    tick: int, reproduced: Track, recovered: Track, clean: Track, held_out: Track
) -> Finding:
    """What this cut did to the wrong labels of a classifier, and to what it had right."""
    kept = _right(
        (("rightly labelled images", clean), ("images kept from training", held_out)), tick
    )
    if not reproduced.known:
        return Finding("No wrong label is known here, so only what a cut costs is shown.", kept)
    if not math.isfinite(reproduced.value[tick]):
        return Finding("How many wrong labels are said here was not measured.", kept)
    said = _share(reproduced, tick)
    of = "" if said.endswith("%") else f" of {reproduced.n}"
    if tick == 0:
        return Finding(f"Nothing is cut yet: {said}{of} wrong labels are said.", MOVE)
    head = f"{_forgotten(reproduced, tick)}: {said}{of} are said, {_share(reproduced, 0)} before."
    return Finding(head, f"{_true_labels(recovered, tick)} {kept}".strip())


def _forgotten(reproduced: Track, tick: int) -> str:
    before, low, high = reproduced.value[0], reproduced.low[tick], reproduced.high[tick]
    if high < FORGOTTEN * before:
        return "The wrong labels are forgotten"
    if high < HALF * before:
        return "Most wrong labels are forgotten"
    told = high < reproduced.low[0]
    if low <= HALF * before:
        few = "These are too few wrong labels to tell how many are forgotten"
        return "About half of the wrong labels are forgotten" if told else few
    return "Some wrong labels are forgotten" if told else "The wrong labels hold"


def _true_labels(recovered: Track, tick: int) -> str:
    if not math.isfinite(recovered.value[tick]):
        return ""
    said = f"{percent(recovered.value[tick])} ({span(recovered, tick)})"
    if recovered.low[tick] > HALF:
        return f"Most of these images get their true label instead: {said}."
    if recovered.high[tick] < HALF:
        return f"Their true label is said for no more than {said}."
    return f"Their true label is said for about half: {said}."


def _right(accuracies: Sequence[tuple[str, Track]], tick: int) -> str:
    """Accuracies before and after, by whether their intervals tell the two apart."""
    parts, alike = [], []
    for name, track in accuracies:
        after, before = percent(track.value[tick]), percent(track.value[0])
        if not math.isfinite(track.value[tick]):
            continue
        if track.high[tick] < track.low[0] or track.low[tick] > track.high[0]:
            way = "down" if track.value[tick] < track.value[0] else "up"
            parts.append(f"{name[0].upper()}{name[1:]}: {way} from {before} to {after} right.")
        else:
            alike.append(f"{name} {after} right ({before} before)")
    if alike:
        parts.append(f"Not told apart from before by their intervals: {listing(alike)}.")
    return " ".join(parts)


def span(track: Track, tick: int) -> str:
    """An interval in a sentence."""
    return f"95 % interval {percent(track.low[tick])} to {percent(track.high[tick])}"


def order_finding(values: Sequence[tuple[str, float, tuple[float, float] | None]]) -> str:
    """Whether the abilities fall in the paper's order here: rank agreement, counted in pairs."""
    known = [(name, value, span) for name, value, span in values if span and value == value]
    pairs = agree = 0
    for index, (_, value, span) in enumerate(known):
        for _, other, other_span in known[index + 1 :]:
            if span[1] < other_span[0] or other_span[1] < span[0]:
                pairs += 1
                agree += (value < other) == (span[1] < other_span[0])
    if not pairs:
        return "Too few abilities to compare with the paper's order."
    return f"{agree} of {pairs} pairs stand in the paper's order."
