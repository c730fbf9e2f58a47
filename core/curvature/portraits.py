"""Portraits: what each of about a hundred single examples shows, one by one, for examples.json.

Of every example, in every measured projection:

- how much curvature it has in each band of the sorted pairs (`core.curvature.maps`, *sequence*,
  sampled labels), per counted token, with the standard error over the draws,
- its private share (`core.curvature.detector`) and its loss,
- the rise of its own loss along its own sharp direction (`core.curvature.spikes`).

And what remains of own directions in a mean over examples. With κ_y(D_x) the exact curvature of y
along the own direction of x (`core.curvature.exact`), the mean of the first n has along D_x

    κ̄_n(D_x) = (1/n) Σ_{y ≤ n} κ_y(D_x),

which falls like 1/n where only x feels D_x. How much others feel of it is

    felt = median over x of  mean_{y ≠ x} κ_y(D_x) / κ_x(D_x)     (y and x of one group)

with an interval over examples: 0 where spikes are orthogonal, 1 where the direction is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from core.basis import Basis
from core.curvature.bands import basis_of, rank_bands
from core.curvature.detector import token_scores
from core.curvature.exact import ggn_along
from core.curvature.examples import Example, Examples, Progress
from core.curvature.findings import CHOICE, late
from core.curvature.halves import half_of
from core.curvature.maps import DRAWS, BandCurvature, band_curvature
from core.curvature.resampling import Ints, estimate
from core.curvature.spikes import Spikes, gradients, own_directions, rises
from core.curvature.verdicts import Verdict, plain, rounded
from core.errors import HillshadeError
from core.images import Image
from core.intervals import Estimate
from core.items import Item
from core.projection import Projection, find_projections

Floats = NDArray[np.float64]

BANDS = 12


@dataclass(frozen=True)
class Subject:
    """One example: what it is, and where it lies.

    id      of its item; "fresh/0", "fresh/1", … for fresh texts
    group   "memorized", "fresh", or the ability that a probe asks for; of images wrongly labelled
            ones are "memorized" and rightly labelled ones "fresh", their truth the label given
    """

    id: str
    group: str
    prompt: str
    truth: str
    repeats: int | None
    example: Example | Image


@dataclass(frozen=True)
class Averaged:
    """What a mean over examples keeps of own directions, by group ("memorized", "fresh").

    members   numbers of the examples that are averaged, in this order; they own the directions too
    kappa     κ_y(D_x), float64 (n, n): row x, column y
    felt      how much of an own direction's curvature another of the group feels
    verdict   memorized strings feel less of each other than fresh texts do
    """

    members: Mapping[str, tuple[int, ...]]
    kappa: Mapping[str, Floats]
    felt: Mapping[str, Estimate]
    verdict: Verdict


@dataclass(frozen=True)
class Portraits:
    """All that one projection shows of every example, in the order of the subjects."""

    projection: str
    ranks: tuple[int, ...]  # the last rank of each band
    curvature: BandCurvature
    private: Floats
    rise: Floats
    averaged: Averaged


def subjects_of(
    memorized: Sequence[Item],
    fresh: Sequence[Sequence[int]],
    probes: Sequence[Item],
    decode: Callable[[Sequence[int]], str],
    *,
    texts: int = 40,
    each: int = 8,
) -> tuple[Subject, ...]:
    """At most `texts` strings and fresh texts and `each` probes of an ability, reporting half.

    In stored order: none is chosen by what it shows. Errors as `core.curvature.halves.half_of`.
    """
    half = half_of(memorized, fresh, probes, "report", texts)
    found = [_subject(item, "memorized") for item in half.items]
    for number, example in enumerate(half.fresh):
        start = example.counted[0] + 1
        parts = (decode(example.ids[:start]), decode(example.ids[start:]))
        found.append(Subject(f"fresh/{number}", "fresh", *parts, None, example))
    mine = [item for item in probes if item.split == "report"]
    for group in dict.fromkeys(item.group for item in mine):
        found += [_subject(item, group) for item in mine if item.group == group][:each]
    return tuple(found)


def _subject(item: Item, group: str) -> Subject:
    return Subject(item.id, group, item.prompt, item.truth, item.repeats, Example.of_item(item))


def portraits(
    model: PreTrainedModel,
    bases: Mapping[str, Basis],
    subjects: Sequence[Subject],
    *,
    projections: Sequence[Projection] | None = None,
    averaged: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The content of examples.json; `projections` as in `core.curvature.findings.measure`.

    `averaged` strings and as many fresh texts enter the mean. Cost: eight backward passes an
    example, and about 6·averaged² passes above each projection over single texts.
    `progress(done, total)` counts parts and may raise to cancel. Errors as the parts do.
    """
    chosen = list(projections or late(find_projections(model)))
    examples = [subject.example for subject in subjects]
    parts = 1 + 2 * len(chosen)

    def step(number: int) -> Progress:
        def report(done: int, total: int) -> None:
            if progress is not None:
                progress(number, parts)

        return report

    bands = {p.name: rank_bands(basis_of(bases, p), BANDS) for p in chosen}
    curvature = band_curvature(model, bases, chosen, examples, bands, seed=seed, progress=step(0))
    scores = token_scores(model, bases, chosen, examples, progress=step(0))
    found = []
    for number, projection in enumerate(chosen):
        spikes = _own(model, projection, examples, seed)
        rise = _own_rises(model, projection, spikes, examples, step(1 + 2 * number))
        found.append(
            Portraits(
                projection.name,
                tuple(int(end) for end in np.cumsum(bands[projection.name].counts)),
                curvature[projection.name],
                scores.mean(scores.shares[projection.name]),
                rise,
                _averaged(
                    model, projection, subjects, spikes, averaged, seed, step(2 + 2 * number)
                ),
            )
        )
    if progress is not None:
        progress(parts, parts)
    loss = scores.mean(scores.loss)
    return {
        "seed": seed,
        "draws": DRAWS,
        "step": CHOICE,
        "examples": [
            {
                **{key: value for key, value in vars(subject).items() if key != "example"},
                "tokens": subject.example.tokens,
                "loss": rounded(loss[number]),
            }
            for number, subject in enumerate(subjects)
        ],
        "projections": [_plain(one) for one in found],
    }


def _own(model: PreTrainedModel, projection: Projection, examples: Examples, seed: int) -> Spikes:
    rows = gradients(model, [projection], examples, seed=seed)[projection.name]
    return own_directions(projection.name, rows)


def _own_rises(
    model: PreTrainedModel,
    projection: Projection,
    spikes: Spikes,
    examples: Examples,
    progress: Progress,
) -> Floats:
    """The rise of every example along its own direction, (n,)."""
    found = []
    for number, example in enumerate(examples):
        along = [spikes.direction(number)]
        found.append(float(rises(model, projection, along, [example], [CHOICE])[CHOICE].even[0, 0]))
        progress(number + 1, len(examples))
    return np.array(found)


def _averaged(
    model: PreTrainedModel,
    projection: Projection,
    subjects: Sequence[Subject],
    spikes: Spikes,
    most: int,
    seed: int,
    progress: Progress,
) -> Averaged:
    members = {
        group: tuple(n for n, subject in enumerate(subjects) if subject.group == group)[:most]
        for group in ("memorized", "fresh")
    }
    kappa = {}
    for group, numbers in members.items():
        along = [spikes.direction(number) for number in numbers]
        texts = [subjects[number].example for number in numbers]
        kappa[group] = ggn_along(model, [projection], texts, along, progress=progress)
    felt = {group: felt_by_others(table, seed) for group, table in kappa.items()}
    one, other = (_felt(kappa[group]) for group in members)
    sizes = [len(numbers) for numbers in members.values()]
    ratio = estimate(lambda m, f: _ratio(one(m), other(f)), sizes, seed)
    verdict = Verdict("felt by others, memorized ÷ fresh", ratio, at_most=1.0)
    return Averaged(members, kappa, felt, verdict)


def felt_by_others(kappa_xy: Floats, seed: int = 0) -> Estimate:
    """How much of an own direction's curvature another example feels (formula above).

    Raises HillshadeError where an example has no curvature along its own direction.
    """
    return estimate(_felt(kappa_xy), (len(kappa_xy),), seed)


def _felt(kappa_xy: Floats) -> Callable[[Ints], float]:
    own = kappa_xy.diagonal()
    if not (own > 0).all():
        raise HillshadeError(
            "An example is flat along its own direction (the model is certain of every token); "
            "leave it out."
        )
    relative = kappa_xy / own[:, None]

    def statistic(some: Ints) -> float:
        same = some[:, None] == some[None, :]
        others = np.where(same, np.nan, relative[np.ix_(some, some)])
        return float(np.median(np.nanmean(others, axis=1)))

    return statistic


def _ratio(top: float, under: float) -> float:
    return top / under if under > 0 else float("inf")


# -- as JSON ---------------------------------------------------------------------------------------


def _plain(found: Portraits) -> dict[str, Any]:
    averaged = found.averaged
    return {
        "projection": found.projection,
        "ranks": list(found.ranks),
        "sums": rounded(found.curvature.sums),
        "errors": rounded(found.curvature.error),
        "private": rounded(found.private),
        "rises": rounded(found.rise),
        "averaged": {
            "members": plain(averaged.members),
            "kappa": {group: rounded(table) for group, table in averaged.kappa.items()},
            "felt": plain(averaged.felt),
            "verdict": plain(averaged.verdict),
        },
    }
