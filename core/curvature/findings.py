"""Are memorized strings spikes, and is what many inputs share a hill? The measurement, in one call.

On the choosing half one late gate or up projection is chosen: the one in which the weaker of
own ÷ fresh and own ÷ other memorized, each as a multiple of what is claimed, is largest at 0.1 ‖W‖.
Everything reported is measured on the other half, for that projection and for the others too:

- rises along every string's and every fresh text's own direction (`core.curvature.hills`),
- rises of strings, fresh texts and probes along the eight sharpest shared eigendirections,
- overlaps of own directions and the flattening S(n),
- the private-share detector and the activation ratio, in every projection with a basis.

Strings are those of the class repeated most often. Fresh texts are cut to the strings' shape: as
many tokens to start with and as many that count, so that the two differ in repetition alone.

Of images (`hills`) wrongly labelled ones stand for the strings, rightly labelled ones for the fresh
texts, and images kept from training for the probes; they have no detector and no activation ratio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from core.basis import Basis
from core.curvature.activation import ActivationRatio, activation_ratios
from core.curvature.bands import basis_of, steepest
from core.curvature.detector import Detection, detect, token_scores
from core.curvature.examples import Examples, Progress
from core.curvature.halves import half_of
from core.curvature.hills import (
    OWN_TO_FRESH,
    OWN_TO_OTHERS,
    SHARED_BAND,
    OverlapFinding,
    StepFinding,
    medians,
    overlap_finding,
    shared_spread,
    step_finding,
)
from core.curvature.overlap import gram
from core.curvature.spikes import gradients, own_directions, rises
from core.curvature.verdicts import Verdict, plain
from core.direction import rank_one
from core.intervals import Estimate, mean, share
from core.items import Item
from core.projection import Projection, find_projections, select
from core.recall import strict

FRACTIONS = (0.03, 0.1, 0.3)
CHOICE = 0.1  # the step at which the projection is chosen
SHARED = 8


@dataclass(frozen=True)
class SharedFinding:
    """Mean rises of three groups along the sharpest shared directions, at one step.

    groups   mean over examples and directions: "memorized", "fresh", "probes"
    verdict  the groups lie within a factor 3 of each other (`hills.shared_spread`)
    """

    fraction: float
    groups: Mapping[str, Estimate]
    verdict: Verdict


@dataclass(frozen=True)
class ProjectionFinding:
    """All that one projection shows on the reporting half."""

    projection: str
    layer: int
    kind: str
    energy: Mapping[str, Estimate]  # share of ‖∇_x‖² that lies in D_x, by group
    steps: tuple[StepFinding, ...]
    shared: tuple[SharedFinding, ...]
    overlap: OverlapFinding


@dataclass(frozen=True)
class Hills:
    """What own and shared directions show, and where; `plain` makes it JSON.

    chosen       the projection chosen on the choosing half, and `scores` by which
    texts        how many strings, fresh texts and probes each half holds
    """

    chosen: str
    scores: Mapping[str, float]
    texts: Mapping[str, int]
    seed: int
    projections: tuple[ProjectionFinding, ...]

    def plain(self) -> dict[str, Any]:
        """For JSON: dicts, lists, strings, finite numbers, booleans and None."""
        found: dict[str, Any] = plain(self)
        return found


@dataclass(frozen=True)
class Findings(Hills):
    """The same of texts, with what their activations and losses tell.

    recall       strict recall of the reporting half's strings
    detection    the strings repeated most against fresh text; detection_all: all repeated ones
    """

    recall: Estimate
    detection: Detection
    detection_all: Detection
    activation: tuple[ActivationRatio, ...]


def measure(
    model: PreTrainedModel,
    bases: Mapping[str, Basis],
    memorized: Sequence[Item],
    fresh_choose: Sequence[Sequence[int]],
    fresh_report: Sequence[Sequence[int]],
    probes: Sequence[Item],
    *,
    projections: Sequence[Projection] | None = None,
    fractions: Sequence[float] = FRACTIONS,
    strings: int = 52,
    seed: int = 0,
    progress: Progress | None = None,
) -> Findings:
    """Measure every hypothesis; at most `strings` strings, fresh texts and probes a half.

    `projections` are the candidates, by default gate and up of the upper half of the layers; the
    detector and the activation ratio take every projection that has a basis. Cost: for each
    candidate about 4·strings passes above it over 2·strings texts, for every step.
    `progress(done, total)` counts stages, is called within them too, and may raise to cancel.
    Raises HillshadeError for fewer than 10 texts of a kind, and as the parts do.
    """
    there = find_projections(model)
    candidates = list(projections or late(there))
    halves = {
        "choose": half_of(memorized, fresh_choose, probes, "choose", strings),
        "report": half_of(memorized, fresh_report, probes, "report", strings),
    }
    report = halves["report"]
    stages = _Stages(2 * len(candidates) + 4, progress)
    groups = {split: half.groups for split, half in halves.items()}
    found = _hills(model, bases, candidates, groups, fractions, seed, stages)
    based = [p for p in there if p.name in bases]
    fresh_scores = token_scores(model, bases, based, report.fresh, progress=stages.next())
    detections = [
        detect(token_scores(model, bases, based, some, progress=stages.next()), fresh_scores)
        for some in (report.strings, report.repeated)
    ]
    activation = activation_ratios(
        model, bases, based, report.strings, report.fresh, seed=seed, progress=stages.next()
    )
    stages.next()(0, 0)
    return Findings(
        **vars(found),
        recall=share(strict(model, report.items)),
        detection=detections[0],
        detection_all=detections[1],
        activation=activation,
    )


def hills(
    model: PreTrainedModel,
    bases: Mapping[str, Basis],
    projections: Sequence[Projection],
    halves: Mapping[str, Mapping[str, Examples]],
    *,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Hills:
    """What own and shared directions show of any examples, texts or images.

    ``halves`` holds "choose", on which the projection is chosen, and "report": each "memorized",
    "fresh" and "probes", the last of which choose nothing. Cost and `progress` as in `measure`.
    """
    stages = _Stages(2 * len(projections), progress)
    return _hills(model, bases, projections, halves, fractions, seed, stages)


def _hills(
    model: PreTrainedModel,
    bases: Mapping[str, Basis],
    candidates: Sequence[Projection],
    halves: Mapping[str, Mapping[str, Examples]],
    fractions: Sequence[float],
    seed: int,
    stages: _Stages,
) -> Hills:
    choose, report = halves["choose"], halves["report"]
    scores = {p.name: _score(model, p, choose, seed, stages.next()) for p in candidates}
    return Hills(
        chosen=max(scores, key=scores.__getitem__),
        scores=scores,
        texts={
            f"{split} {name}": len(texts)
            for split, groups in halves.items()
            for name, texts in groups.items()
        },
        seed=seed,
        projections=tuple(
            _projection(model, bases, p, report, fractions, seed, stages.next()) for p in candidates
        ),
    )


def late(there: Sequence[Projection]) -> tuple[Projection, ...]:
    """Gate and up of the upper half of the layers."""
    layers = sorted({p.layer for p in there})
    kinds = sorted({p.kind for p in there} - {"down"})
    return select(there, layers[len(layers) // 2 :], kinds)


def _score(
    model: PreTrainedModel,
    projection: Projection,
    half: Mapping[str, Examples],
    seed: int,
    progress: Progress,
) -> float:
    """The weaker of the two ratios, each over what is claimed of it."""
    examples = [*half["memorized"], *half["fresh"]]
    rows = gradients(model, [projection], half["memorized"], seed=seed, progress=progress)
    own = own_directions(projection.name, rows[projection.name])
    along = [own.direction(number) for number in range(len(own))]
    table = rises(model, projection, along, examples, [CHOICE], progress=progress)[CHOICE].even
    mine, others, to_fresh = medians(table)
    floor = np.finfo(np.float64).tiny
    return min(
        mine / max(to_fresh, floor) / OWN_TO_FRESH, mine / max(others, floor) / OWN_TO_OTHERS
    )


def _projection(
    model: PreTrainedModel,
    bases: Mapping[str, Basis],
    projection: Projection,
    half: Mapping[str, Examples],
    fractions: Sequence[float],
    seed: int,
    progress: Progress,
) -> ProjectionFinding:
    name, m = projection.name, len(half["memorized"])
    basis = basis_of(bases, projection)
    examples = [*half["memorized"], *half["fresh"]]
    everyone = [*examples, *half["probes"]]
    rows = gradients(model, [projection], examples, seed=seed, progress=progress)[name]
    spikes, fresh = own_directions(name, rows[:m]), own_directions(name, rows[m:])
    along = [some.direction(number) for some in (spikes, fresh) for number in range(len(some))]
    own = rises(model, projection, along, everyone, fractions, progress=progress)
    top = [rank_one(name, basis.u_g[:, i], basis.u_a[:, j]) for i, j in steepest(basis, SHARED)]
    shared = rises(model, projection, top, everyone, fractions, progress=progress)
    sizes = [len(texts) for texts in half.values()]
    groups = dict(zip(half, np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]), strict=True))
    return ProjectionFinding(
        projection=name,
        layer=projection.layer,
        kind=projection.kind,
        energy={"memorized": mean(spikes.energy), "fresh": mean(fresh.energy)},
        steps=tuple(
            step_finding(fraction, found.even, found.larger, m, seed)
            for fraction, found in own.items()
        ),
        shared=tuple(
            SharedFinding(
                fraction,
                {group: mean(found.even[:, at].mean(0)) for group, at in groups.items()},
                Verdict(
                    "largest ÷ smallest mean rise of the groups along shared directions",
                    shared_spread(found.even, list(groups.values()), seed),
                    at_most=SHARED_BAND,
                ),
            )
            for fraction, found in shared.items()
        ),
        overlap=overlap_finding(spikes, fresh, gram(rows), seed),
    )


class _Stages:
    """Counts the stages that are done, however often the one that runs reports."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress, self._begun = total, progress, 0

    def next(self) -> Progress:
        """The progress function of the next stage."""
        begun = self._begun
        self._begun += 1

        def report(done: int, total: int) -> None:
            if self._progress is not None:
                self._progress(begun, self._total)

        return report
