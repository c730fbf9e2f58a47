"""What a cut breaks and what it leaves, judged by intervals: memory, every ability, fresh text.

All is measured as edited over original: recall of the strings shown most often over what it was,
abilities as accuracy above chance over what it was. An ability *stays* where its whole interval
lies above nine tenths of the original, *falls* where it lies below, and is open in between; memory
is *broken* where its whole interval lies below one half.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.intervals import Estimate
from core.manifest import StoredRecipe
from dashboard.figures.answers import Answer, Question
from dashboard.figures.measured import Measured, Track
from dashboard.figures.palette import style
from dashboard.figures.recall import abilities_bars
from dashboard.figures.words import change, listing, percent, setting

STAYS, HALF = 0.9, 0.5
MEMORY, TOGETHER = "memory", "together"
_SECOND = 3  # names listed before the rest is counted


@dataclass(frozen=True)
class Outcome:
    """What is left of every group at one tick; `memory` is None where none was measured."""

    memory: Estimate | None
    abilities: Mapping[str, Estimate]
    strings: int

    @property
    def broken(self) -> bool | None:
        """Whether less than half of the memory is left; None where the interval holds one half."""
        return None if self.memory is None else below(self.memory, HALF)

    def those(self, stay: bool | None) -> list[str]:
        """The abilities that stay, that fall, or of which neither can be said."""
        return [
            style(name).name.lower()
            for name, e in self.abilities.items()
            if below(e, STAYS) is (None if stay is None else not stay)
        ]


def below(e: Estimate, bound: float) -> bool | None:
    """Whether a value lies below a bound; None where its interval holds the bound."""
    if e.high < bound:
        return True
    return False if e.low >= bound else None


def relative(study: Measured, recipe: StoredRecipe) -> dict[str, Track]:
    """Edited over original of the memory and of every ability that was measured."""
    bars = abilities_bars(study, recipe, 0).bars
    tracks = {bar.group: Track(bar.value, bar.low, bar.high, 0) for bar in bars}
    return {name: track for name, track in tracks.items() if track.known}


def outcome(study: Measured, recipe: StoredRecipe, tick: int) -> Outcome:
    """What is left at one tick."""
    found = {
        name: Estimate(track.value[tick], track.low[tick], track.high[tick], track.n)
        for name, track in relative(study, recipe).items()
        if math.isfinite(track.value[tick])
    }
    group, repeats = study.memory
    n = study.score(recipe, group, "strict", repeats).n
    return Outcome(found.pop(MEMORY, None), found, n)


def verdict(found: Outcome) -> str:
    """The tour's question answered for one cut, in a sentence."""
    if found.memory is None:
        return "This study holds no memorized strings, so it cannot say."
    stay, fall, open_ = (found.those(kind) for kind in (True, False, None))
    if found.broken is False:
        return "Not by this cut. At least half of the reciting is left."
    if found.broken is None:
        return "Undecided. Whether half of the reciting is gone, the numbers cannot say."
    if not found.abilities:
        return "The reciting breaks; no ability was asked beside it, so it cannot say."
    if fall and not stay:
        return "Not by this cut. The reciting breaks, and the abilities fall with it."
    if fall:
        return f"Only in part. The reciting breaks, and {listing(fall)} {_fall(fall)} with it."
    if open_:
        return (
            f"Largely. The reciting breaks and no ability is seen to fall; of {listing(open_)} the "
            "numbers cannot say."
        )
    return "By these measures, yes. The reciting breaks and every ability that was asked stays."


def _fall(names: Sequence[str]) -> str:
    return "fall" if len(names) > 1 or names[0].endswith("s") else "falls"


def told(found: Outcome, recipe: StoredRecipe, tick: int, perplexity: Track) -> str:
    """The numbers behind the verdict."""
    parts = []
    if found.memory is not None:
        parts.append(
            f"{percent(found.memory.value)} of the reciting is left ({_span(found.memory)})"
        )
    stay, fall, open_ = (found.those(kind) for kind in (True, False, None))
    if stay:
        parts.append(f"at least {percent(STAYS)} of {listing(stay)}")
    by_name = {style(name).name.lower(): e for name, e in found.abilities.items()}
    parts += [f"{name} {percent(by_name[name].value)} ({_span(by_name[name])})" for name in
              (*fall, *open_)]  # fmt: skip
    cost = perplexity.value[tick]
    fresh = f" Perplexity of fresh text: {change(cost)}." if math.isfinite(cost) else ""
    where = f"At {setting(recipe.ticks[tick])} ({recipe.axis.label})"
    return f"{where}: {'; '.join(parts) or 'nothing was measured'}.{fresh}"


def _span(e: Estimate) -> str:
    return f"95 % interval {percent(max(e.low, 0.0))} to {percent(e.high)}"


# -- what breaks first -----------------------------------------------------------------------------


def first_question(study: Measured, recipe: StoredRecipe) -> Question:
    """Which of the measured groups falls to half first."""
    options = {MEMORY: "The memorized strings"} | {
        name: style(name).name for name in relative(study, recipe) if name != MEMORY
    }
    return Question(
        "Cut more and more of the flattest directions. What will be the first to fall to half?",
        options | {TOGETHER: "Several at the same time"},
    )


def fallen(track: Track) -> int | None:
    """The first tick at which the whole interval lies below one half; None if there is none."""
    return next((t for t, high in enumerate(track.high) if t and high < HALF), None)


def first(study: Measured, recipe: StoredRecipe) -> tuple[Answer, int]:
    """What falls to half first, by intervals, and the tick at which that is seen.

    Where nothing falls, the tick is the first cut: there is nothing to wait for.
    """
    tracks = relative(study, recipe)
    when = {name: tick for name, track in tracks.items() if (tick := fallen(track)) is not None}
    if not when:
        said = "At no stored setting did anything fall to half of what it was, by its interval."
        return Answer(None, said), 1
    tick = min(when.values())
    fell = [name for name, at in when.items() if at == tick]
    unsure = [
        name for name, track in tracks.items() if name not in fell and not track.low[tick] >= HALF
    ]
    where = f"at {setting(recipe.ticks[tick])} kept"
    cost = study.ratio(recipe).value[tick]
    fresh = f", where fresh text costs {change(cost)} perplexity" if math.isfinite(cost) else ""
    names = listing([_named(name) for name in fell])
    head = f"{names[0].upper()}{names[1:]} fell to half first, {where}{fresh}"
    if unsure:
        doubt = listing([_named(name) for name in unsure])
        return Answer(None, f"{head}; whether {doubt} fell before, the intervals cannot say."), tick
    right = fell[0] if len(fell) == 1 else TOGETHER
    return Answer(right, f"{head}. {_next(when, tick, recipe, len(tracks) - len(fell))}"), tick


def _named(group: str) -> str:
    return "the memorized strings" if group == MEMORY else style(group).name.lower()


def _next(when: Mapping[str, int], tick: int, recipe: StoredRecipe, others: int) -> str:
    """What falls after it, and where."""
    later = sorted((at, name) for name, at in when.items() if at > tick)
    if not others:
        return "Nothing else was measured."
    if not later:
        return "Nothing else fell to half at any stored setting."
    at, name = later[0]
    return f"The next, {_named(name)}, only at {setting(recipe.ticks[at])}."
