"""The sentences a figure ends in. Each is chosen by the study's numbers and their intervals.

Nothing here tells a story the numbers do not: a method that leaves memory in place reads so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.figures.measured import Track
from dashboard.figures.words import change, listing, percent

KEPT = 0.97  # an ability counts as kept from here on (above chance, edited over original)


@dataclass(frozen=True)
class Finding:
    """A headline and the line under it."""

    head: str
    rest: str

    def payload(self) -> list[str]:
        return [self.head, self.rest]


def recall_finding(
    tick: int, memory: Track, abilities: Sequence[tuple[str, Track]], perplexity: Track
) -> Finding:
    """What this cut did to the memorized strings, the abilities, and fresh text."""
    before, after = memory.value[0], memory.value[tick]
    if tick == 0:
        head = f"Nothing is cut yet: {percent(before)} of the memorized passages are recited."
        return Finding(head, "Move the slider to cut the flattest directions of the weights.")
    head = f"{_verdict(before, after)}: {percent(after)} of the passages are still recited word "
    head += f"for word, {percent(before)} before."
    return Finding(head, f"{_abilities(tick, abilities)} {_fresh(tick, perplexity)}")


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
    measured = [(name, track.value[tick]) for name, track in abilities if track.known]
    if not measured:
        return "This study holds no probes."
    hurt = sorted((value, name) for name, value in measured if value < KEPT)
    if not hurt:
        least = min(value for _, value in measured)
        return (
            f"Every ability keeps {percent(min(least, 1.0))} or more of its accuracy above chance."
        )
    listed = listing([f"{name.lower()} to {percent(max(value, 0.0))}" for value, name in hurt])
    kept = [name.lower() for name, value in measured if value >= KEPT]
    if not kept:
        return f"Every ability suffers: {listed} of its accuracy above chance."
    kept_said = listing(kept)
    return f"{kept_said[0].upper()}{kept_said[1:]} {_stay(kept)}; {listed} of what it was."


def _stay(names: Sequence[str]) -> str:
    plural = len(names) > 1 or names[0].endswith("s")
    return "stay" if plural else "stays"


def _fresh(tick: int, perplexity: Track) -> str:
    if not perplexity.known:
        return ""
    low, high = perplexity.low[tick], perplexity.high[tick]
    said = change(perplexity.value[tick])
    unsure = "" if low > 1.0 or high < 1.0 else " (within the noise)"
    return f"Fresh text: perplexity {said}{unsure}."


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
