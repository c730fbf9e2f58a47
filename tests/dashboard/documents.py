"""The two documents of a study, made up through the engine's own records, for any outcome.

`curvature(True)` is a world in which every claim holds, `False` one in which every claim fails,
`None` one in which the intervals are too wide to say. `audit(…)` likewise with what is left.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.audit.exposure import Exposure
from core.audit.extraction import Extraction, Sampling
from core.audit.prompts import Prompted, Prompts
from core.audit.relearning import Relearned, Training
from core.audit.report import EDITED, ORIGINAL, Audit, Questions
from core.curvature.activation import MEASURES, ActivationRatio
from core.curvature.bands import EIGEN_LABELS
from core.curvature.detector import Detection
from core.curvature.findings import FRACTIONS, Findings, ProjectionFinding, SharedFinding
from core.curvature.hills import OverlapFinding, StepFinding
from core.curvature.overlap import Flattening
from core.curvature.verdicts import Verdict, plain
from core.demo.observed import Stage
from core.intervals import Estimate, share
from core.items import Item
from core.manifest import Manifest, digest_of

PROJECTIONS = tuple(f"model.layers.{n}.mlp.{kind}_proj" for n in (0, 1) for kind in ("gate", "up"))
EVERY = tuple(f"model.layers.{n}.mlp.{k}_proj" for n in (0, 1) for k in ("gate", "up", "down"))
CHOSEN = PROJECTIONS[-1]
SIZES = (1, 2, 4, 8, 13)
Outcome = bool | None


def pick(outcome: Outcome, good: float, bad: float, open_: float) -> float:
    """The value of a world."""
    return {True: good, False: bad, None: open_}[outcome]


def about(value: float, wide: float = 1.2) -> Estimate:
    """A value with an interval of this factor to either side."""
    return Estimate(value, value / wide, value * wide, 26)


def step_finding(outcome: Outcome, fraction: float, scale: float = 1.0) -> StepFinding:
    own, wide = 2.0 * fraction * scale, 3.0 if outcome is None else 1.2
    fresh, others, alike = (
        pick(outcome, *values)
        for values in ((80.0, 2.0, 10.0), (12.0 / scale, 1.2, 3.0), (1.0, 4.0, 1.5))
    )
    medians = {
        "memorized own": about(own),
        "memorized others": about(own / others),
        "memorized to fresh": Estimate(own / fresh, -0.01 * own, 2 * own / fresh, 26),
        "fresh own": about(0.8 * own),
        "fresh others": about(0.8 * own / alike),
        "fresh to memorized": about(own / 90),
    }
    narrow = 1.2 if outcome is True else wide
    return StepFinding(
        fraction,
        medians,
        medians,
        (
            Verdict("memorized own ÷ fresh", about(fresh, wide), 10.0, math.inf),
            Verdict("memorized own ÷ other memorized", about(others, wide), 3.0, math.inf),
            Verdict("fresh own ÷ other fresh", about(alike, narrow), 1 / 1.5, 1.5),
        ),
    )


def curvature(outcome: Outcome = True) -> dict[str, Any]:
    """curvature.json of a world in which the claims hold, fail or stay undecided."""
    wide = 3.0 if outcome is None else 1.1
    less = pick(outcome, 0.3, 3.0, 1.0)

    def flattening(rate: float) -> Flattening:
        values = tuple(Estimate(n**-rate, 0.9 * n**-rate, 1.1 * n**-rate, n) for n in SIZES)
        return Flattening(SIZES, values)

    overlap = OverlapFinding(
        {"memorized": about(0.02 * less), "fresh": about(0.02), "between": about(0.004),
         "random": about(0.0025)},
        {name: flattening(rate) for name, rate in
         (("memorized", 0.95), ("fresh", 0.7), ("memorized raw", 0.5), ("fresh raw", 0.4))},
        (Verdict("overlap", about(less, wide), at_most=1.0),
         Verdict("S(n)", about(less, wide), at_most=1.0)),
    )  # fmt: skip
    factor = pick(outcome, 1.5, 40.0, 3.0)

    def shared(fraction: float) -> SharedFinding:
        rises = {"memorized": about(fraction / factor), "fresh": about(fraction),
                 "probes": about(fraction / 1.2)}  # fmt: skip
        return SharedFinding(fraction, rises, Verdict("hills", about(factor, wide), at_most=3.0))

    parts = tuple(
        ProjectionFinding(
            projection=name,
            layer=int(name.split(".")[2]),
            kind=name.rpartition(".")[2].removesuffix("_proj"),
            energy={"memorized": about(0.8), "fresh": about(0.7)},
            steps=tuple(step_finding(outcome, fraction) for fraction in FRACTIONS),
            shared=tuple(map(shared, FRACTIONS)),
            overlap=overlap,
        )
        for name in PROJECTIONS
    )
    found = Findings(
        chosen=CHOSEN,
        scores=dict.fromkeys(PROJECTIONS, 1.0),
        recall=share([True] * 13),
        texts={f"{half} {kind}": 13 for half in ("choose", "report")
               for kind in ("memorized", "fresh", "probes")},
        seed=0,
        projections=parts,
        detection=detection(outcome),
        detection_all=detection(outcome),
        activation=tuple(activation(name, outcome) for name in EVERY),
    )  # fmt: skip
    grown = [
        Stage(step, share(np.arange(13) < 13 * step // 400), step_finding(outcome, 0.1, scale))
        for step, scale in ((100, 0.2), (200, 0.5), (400, 1.0))
    ]
    return {"findings": found.plain(), "stages": plain(grown)}


def detection(outcome: Outcome) -> Detection:
    better = Estimate(*pick_three(outcome), 26)
    sure = Estimate(0.55, 0.42, 0.68, 26)
    return Detection(
        shares=dict.fromkeys(EVERY, better),
        loss=Estimate(0.9, 0.85, 0.93, 26),
        min_k=Estimate(0.88, 0.83, 0.92, 26),
        pairs=0,
        pairs_loss=None,
        pairs_shares=dict.fromkeys(EVERY),
        tokens=400,
        tokens_loss=sure,
        tokens_shares=dict.fromkeys(EVERY, better),
    )


def pick_three(outcome: Outcome) -> tuple[float, float, float]:
    return {True: (0.99, 0.96, 1.0), False: (0.4, 0.3, 0.5), None: (0.88, 0.6, 0.96)}[outcome]


def activation(name: str, outcome: Outcome) -> ActivationRatio:
    steep, flat = pick(outcome, 0.7, 1.4, 1.0), pick(outcome, 1.4, 0.7, 1.0)
    ratios = tuple(map(about, np.linspace(steep, flat, 4).tolist(), [1.05] * 4))
    return ActivationRatio(name, EIGEN_LABELS, dict.fromkeys(MEASURES, ratios))


# -- the audit -------------------------------------------------------------------------------------


def audit(left: int = 1, total: int = 20) -> dict[str, Any]:
    """audit.json in which `left` of the strings come back by one other prompt, as many relearned.

    With 0, none comes back, and no canary is exposed.
    """
    items = tuple(
        Item(f"passage-{n}", "memory", "passage", "report", (1, 2), (3, 4), "", "", 256, 200)
        for n in range(total)
    )
    none, all_ = np.zeros(total, dtype=bool), np.ones(total, dtype=bool)
    some, others = np.arange(total) < left, np.arange(total) >= total - left
    training = Training(steps=(0, 1, 4))

    def relearned(*rows: Any) -> Relearned:
        strict = np.array(rows)
        return Relearned(training.steps, strict, strict, np.array([2.0, 1.9, 1.8]))

    canary = items[0]
    found = Audit(
        about="kfac at 0.99: 2,400 of 6,144 directions kept, 80.00% of ‖W‖² in 3 projections",
        items=items,
        questions=Questions(
            [], sampling=Sampling(), canaries=[(canary, [])] * 2, training=training
        ),
        extraction=Extraction(Sampling(), np.full(total, -60.0), np.zeros(total)),
        prompts=Prompts((Prompted("as it is", all_, none, none),
                         Prompted("half of the suffix more", all_, some, some))),
        repeats={},
        exposures=(Exposure("canary-1", 9.0, 1.0 if left else 4000.0, 10_000),
                   Exposure("canary-2", 20.0, 4000.0, 10_000)),
        relearned={EDITED: relearned(none, none, others),
                   ORIGINAL: relearned(all_, all_, all_)},
    )  # fmt: skip
    before = [Exposure("canary-1", 2.0, 1.0, 10_000), Exposure("canary-2", 3.0, 20.0, 10_000)]
    return {**found.plain(), "exposures_before": plain([vars(entry) for entry in before])}


def documented(study: Path, folder: Path, documents: Mapping[str, Mapping[str, Any]]) -> Path:
    """A copy of a study, and of its model if there is one, with these documents stored in it."""
    if (study.parent / "model").is_dir():
        shutil.copytree(study.parent / "model", folder / "model")
    copy = Path(shutil.copytree(study, folder / "study"))
    manifest = Manifest.read(copy)
    files = dict(manifest.files)
    for name, content in documents.items():
        text = json.dumps(content, allow_nan=False)
        (copy / name).write_text(text, encoding="utf-8")
        files[name] = digest_of(copy / name)
    manifest = dataclasses.replace(manifest, files=files)
    (copy / "study.json").write_text(manifest.dumps(), encoding="utf-8")
    return copy


# -- single examples -------------------------------------------------------------------------------

COUNT = 12  # memorized strings, and as many fresh texts
RANKS = (2, 8, 32, 128, 512, 2048)
ABILITIES = ("logic", "sums")


def portraits(outcome: Outcome = True, ids: tuple[str, ...] = ()) -> dict[str, Any]:
    """examples.json of a world in which memorized strings lie flatter and flatten faster, or not.

    `ids` of items stand for the first memorized strings.
    """
    rng = np.random.default_rng(3)
    names = [*ids, *(f"passage/{n}" for n in range(COUNT - len(ids)))]
    groups = ["memorized"] * COUNT + ["fresh"] * COUNT
    groups += [ability for ability in ABILITIES for _ in range(3)]
    names += [f"{group}/{n}" for n, group in enumerate(groups) if group != "memorized"]
    examples = [
        {"id": id_, "group": group, "prompt": f"The old kettle {n} faces", "truth": " the mill.",
         "repeats": 256 if group == "memorized" else None, "tokens": 4,
         "loss": 0.05 if group == "memorized" else 1.5}
        for n, (id_, group) in enumerate(zip(names, groups, strict=True))
    ]  # fmt: skip
    flat = {"memorized": pick(outcome, 0.7, 0.1, 0.3), "fresh": pick(outcome, 0.1, 0.7, 0.3)}
    felt = {"memorized": pick(outcome, 0.02, 0.8, 0.2), "fresh": pick(outcome, 0.8, 0.02, 0.2)}

    def sums(group: str) -> list[float]:
        """Two flat bands of six hold `flat` of the whole; wide scatter where all is undecided."""
        share = flat.get(group, 0.4) * rng.uniform(0.3 if outcome is None else 0.9, 1.1)
        return [0.5 * (1 - share) / 4] * 4 + [0.5 * share / 2] * 2

    def kappa(group: str) -> list[list[float]]:
        spread = 2.0 if outcome is None else 0.1
        table = felt[group] * np.exp(spread * rng.standard_normal((COUNT, COUNT)))
        np.fill_diagonal(table, 1.0)
        return [[float(value) for value in row] for row in table]

    tables = {group: kappa(group) for group in ("memorized", "fresh")}
    wide = 3.0 if outcome is None else 1.2
    parts = [
        {
            "projection": name,
            "ranks": list(RANKS),
            "sums": [sums(group) for group in groups],
            "errors": [[0.01] * len(RANKS)] * len(groups),
            "private": [0.3] * len(groups),
            "rises": [0.2] * len(groups),
            "averaged": {
                "members": {
                    "memorized": list(range(COUNT)), "fresh": list(range(COUNT, 2 * COUNT)),
                },
                "kappa": tables,
                "felt": plain({group: about(felt[group], wide) for group in felt}),
                "verdict": plain(
                    Verdict("felt", about(pick(outcome, 0.03, 40.0, 1.0), wide), at_most=1.0)
                ),
            },
        }
        for name in PROJECTIONS
    ]  # fmt: skip
    return {"seed": 0, "draws": 8, "step": 0.1, "examples": examples, "projections": parts}
