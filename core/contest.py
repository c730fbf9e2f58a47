"""Several methods over layers, projections and settings: chosen on one half, told on the other.

Each method is tried at every candidate set of projections and every setting, all on the choosing
half of strings, probes and fresh text, or of images (`core.choose`). Its best trial within the
tolerated cost is then asked what the reporting half asks; methods that draw are asked there with
several seeds. Settings of different methods lie on different axes (`core.methods`): what is equal
between them is the tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from core.choose import NoCandidateError, Trial, best_of, choose, tolerated, trial
from core.curvature.verdicts import plain
from core.edit import Editor
from core.items import Split
from core.methods import SEEDED
from core.projection import Projection
from core.sweep import Asks, Given, Progress

Build = Callable[[str, Sequence[Projection], int], Editor[PreTrainedModel]]

SEEDS = 5  # of a method that draws, where its best trial is reported
AIM = 0.02  # strict recall that counts as gone; of images `core.image_exam.AIM`


@dataclass(frozen=True)
class Contender:
    """One method.

    trials    in the order tried, on the choosing half
    best      the best of them within the tolerance; None where none is
    reported  the same on the reporting half, one a seed; empty without a best
    """

    method: str
    trials: tuple[Trial, ...]
    best: Trial | None
    reported: tuple[Trial, ...]


@dataclass(frozen=True)
class Contest:
    """All methods, and the unedited model on the reporting half.

    rise, aim  cost that was tolerated, and recall that counts as gone
    """

    rise: float
    aim: float
    unedited: Trial
    contenders: tuple[Contender, ...]

    @property
    def winner(self) -> Contender | None:
        """The method whose best trial is the best of all, on the choosing half."""
        there = {id(c.best): c for c in self.contenders if c.best is not None}
        if not there:
            return None
        return there[id(best_of([c.best for c in there.values() if c.best], self.aim))]

    def plain(self) -> dict[str, Any]:
        """Everything as JSON holds it; an interval without an end is null there."""
        return {
            "tolerance": self.rise,
            "best": None if self.winner is None else self.winner.method,
            "unedited": plain(self.unedited),
            "methods": plain(self.contenders),
        }


def contest(
    methods: Sequence[str],
    candidates: Sequence[Sequence[Projection]],
    build: Build,
    exam: Asks[Given],
    original: Given,
    model: PreTrainedModel,
    *,
    rise: float,
    aim: float = AIM,
    settings: Sequence[float] | None = None,
    progress: Progress | None = None,
) -> Contest:
    """Try every method at every candidate and setting, and report the best of each.

    build     makes the editor of (method, projections, seed) for `model`
    original  the unedited model's answers to the exam
    rise      tolerated cost, 0.01 for 1 % of fresh-text perplexity or one point of accuracy
    aim       recall that counts as gone
    settings  tried for each candidate; None finds those that the tolerance allows (`core.choose`)
    `progress(done, total, label)` counts methods in thousandths and may raise to cancel.
    """

    def judged(
        edited: PreTrainedModel, some: Sequence[Projection], setting: float, split: Split
    ) -> Trial:
        cost = exam.cost(edited, original, split)
        return trial(some, setting, cost, exam.judge(edited, original, split))

    found: list[Contender] = []
    for number, method in enumerate(methods):
        show = _part(progress, number, len(methods), method)
        trials = _trials(method, candidates, build, exam, original, rise, aim, settings, show)
        within = [one for one in trials if tolerated(one.ratio, rise)]
        best = best_of(within, aim) if within else None
        reported: list[Trial] = []
        if best is not None:
            chosen = next(c for c in candidates if _names(c) == best.projections)
            for seed in range(SEEDS if method in SEEDED else 1):
                edited = build(method, chosen, seed).at(best.setting)[0]
                reported.append(judged(edited, chosen, best.setting, "report"))
        found.append(Contender(method, trials, best, tuple(reported)))
        show(1, 1, method)
    unedited = judged(model, (), 1.0, "report")
    return Contest(rise, aim, unedited, tuple(found))


def _trials(
    method: str,
    candidates: Sequence[Sequence[Projection]],
    build: Build,
    exam: Asks[Given],
    original: Given,
    rise: float,
    aim: float,
    settings: Sequence[float] | None,
    show: Progress,
) -> tuple[Trial, ...]:
    if settings is None:
        try:
            return choose(
                candidates,
                lambda some: build(method, some, 0),
                exam,
                original,
                rise=rise,
                aim=aim,
                progress=show,
            ).trials
        except NoCandidateError:
            return ()
    trials: list[Trial] = []
    for some in candidates:
        editor = build(method, some, 0)
        for setting in settings:
            edited = editor.at(setting)[0]
            cost, judgement = exam.cost(edited, original), exam.judge(edited, original)
            trials.append(trial(some, setting, cost, judgement))
            show(len(trials), len(candidates) * len(settings), f"{method} at {setting:.5g}")
    return tuple(trials)


def _names(projections: Sequence[Projection]) -> tuple[str, ...]:
    return tuple(projection.name for projection in projections)


def _part(progress: Progress | None, number: int, count: int, method: str) -> Progress:
    """The progress of one method as that of all, in thousandths."""

    def show(done: int, total: int, label: str) -> None:
        if progress is not None:
            progress(1000 * number + 1000 * done // total, 1000 * count, f"{method}: {label}")

    return show
