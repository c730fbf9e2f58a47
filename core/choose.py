"""Which layers, which projections, how far: chosen on one half, to be reported on the other.

Every candidate is cut until fresh-text perplexity has risen by the tolerated amount, and at milder
settings; the best of all these trials is chosen by

    1. strict recall of the class repeated most often, where anything up to `aim` counts as reached,
    2. the ability that keeps least of its accuracy above chance,
    3. loose recall,

all on the choosing half of strings, probes and fresh text; of images by the wrong labels said, then
the true labels not said, within a tolerated loss of clean accuracy (`core.image_exam`). Every
method is chosen for alike, so no control is run on layers that suit another method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel

from core.edit import Editor
from core.errors import HillshadeError
from core.exam import Judgement
from core.intervals import Estimate
from core.probes import Ability
from core.projection import Projection
from core.sweep import PRECISION, Asks, Given, Progress, at_cost

Build = Callable[[Sequence[Projection]], Editor[PreTrainedModel]]


class NoCandidateError(HillshadeError):
    """No set of projections has a setting within the tolerance."""


_STEPS = 8  # settings tried for each candidate
_STEP = 2**-0.5  # of 1 − setting, from the strongest edit the tolerance allows to 11 times milder


@dataclass(frozen=True)
class Trial:
    """One candidate at one setting, all measured on one half.

    ratio   fresh-text perplexity / the original's; of images, 1 + clean accuracy lost
    recall, loose, abilities  as in `core.exam.Judgement`
    """

    layers: tuple[int, ...]
    kinds: tuple[str, ...]
    projections: tuple[str, ...]
    setting: float
    ratio: Estimate
    recall: Estimate
    loose: Estimate
    abilities: tuple[Ability, ...]

    def weakest(self, judged: Sequence[str] | None = None) -> float:
        """The smallest share kept of any judged ability that the original has; 1 without any."""
        kept = [
            ability.kept.value
            for ability in self.abilities
            if ability.kept is not None and (judged is None or ability.group in judged)
        ]
        return min(kept, default=1.0)


@dataclass(frozen=True)
class Choice:
    """The best trial, and all of them in the order tried: the frontier behind the choice."""

    best: Trial
    trials: tuple[Trial, ...]


def choose(
    candidates: Sequence[Sequence[Projection]],
    build: Build,
    exam: Asks[Given],
    original: Given,
    *,
    rise: float = 0.01,
    aim: float = 0.02,
    judged: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Choice:
    """Choose among candidate sets of projections and settings for one method.

    build   makes the method's editor for a set (its caches are dropped before the next is made)
    exam    the whole exam; only its choosing half is asked
    original  answers of the unedited model to the whole exam
    rise    tolerated rise of fresh-text perplexity, 0.01 for 1 %
    aim     strict recall that counts as gone
    judged  abilities the second criterion looks at; None for all
    Raises NoCandidateError where no candidate reaches the tolerated perplexity.
    """
    trials: list[Trial] = []
    total = len(candidates) * _STEPS
    for number, projections in enumerate(candidates):
        editor = build(projections)
        strongest = at_cost([editor], exam, original, rise)
        if strongest is None:
            continue
        for step in range(_STEPS):
            setting = 1.0 - (1.0 - strongest) * _STEP**step
            model = editor.at(setting)[0]
            cost = exam.cost(model, original)
            if not tolerated(cost, rise):
                continue  # the method jumps over the tolerance
            trials.append(trial(projections, setting, cost, exam.judge(model, original)))
            if progress:
                label = f"layers {trials[-1].layers}, {'+'.join(trials[-1].kinds)}"
                progress(number * _STEPS + step + 1, total, label)
    if not trials:
        raise NoCandidateError(
            f"No candidate has a setting that costs {rise:.1%} (perplexity, or accuracy lost); "
            "give other layers or another tolerance."
        )
    return Choice(best_of(trials, aim, judged), tuple(trials))


def best_of(trials: Sequence[Trial], aim: float, judged: Sequence[str] | None = None) -> Trial:
    """The best trial by the three criteria above; the first of equals."""
    return min(trials, key=lambda t: (max(t.recall.value, aim), -t.weakest(judged), t.loose.value))


def tolerated(cost: Estimate, rise: float) -> bool:
    """Whether a cost keeps to the tolerance, to 0.1 %."""
    return cost.value <= (1.0 + rise) * (1.0 + PRECISION)


def trial(
    projections: Sequence[Projection],
    setting: float,
    cost: Estimate,
    judgement: Judgement,
) -> Trial:
    """One candidate at one setting, as its exam judges it at this cost."""
    return Trial(
        layers=tuple(sorted({projection.layer for projection in projections})),
        kinds=tuple(dict.fromkeys(projection.kind for projection in projections)),
        projections=tuple(projection.name for projection in projections),
        setting=setting,
        ratio=cost,
        recall=judgement.recall,
        loose=judgement.loose,
        abilities=judgement.abilities,
    )
