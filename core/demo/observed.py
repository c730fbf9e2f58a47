"""What is seen on the shipped model beyond the sweep: single examples' curvature, and the audit.

Both end as a document of the study and as tables beside the acceptance table. Hypotheses come with
a verdict by their interval: holds, fails, undecided.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from core.audit.exposure import Exposure, exposure
from core.audit.report import Audit, Questions, audit
from core.audit.table import rows as ways_back
from core.curvature.findings import CHOICE, Findings, measure
from core.curvature.halves import Half, half_of
from core.curvature.hills import StepFinding, step_finding
from core.curvature.spikes import gradients, own_directions, rises
from core.curvature.verdicts import plain
from core.demo.cells import interval, judged
from core.demo.laboratory import Laboratory
from core.demo.reported import Finished
from core.demo.world import World
from core.exam import Answers
from core.intervals import Estimate, share
from core.items import highest_class
from core.projection import Projection, select
from core.recall import strict

STRINGS: Final = 52
UNRELATED: Final = 1024  # fresh passages: put before prompts, trained on
RIVALS: Final = 10_000  # secrets never shown, for each audited canary
Table = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """The rises along own directions after `step` steps of training."""

    step: int
    recall: Estimate
    rises: StepFinding


# -- curvature of single examples ------------------------------------------------------------------


def curvature(laboratory: Laboratory) -> tuple[dict[str, Any], list[Table]]:
    """The content of curvature.json, and its tables; everything on the reporting half."""
    exam = laboratory.exam
    memorized = [item for item in exam.items if item.kind == "memory"]
    probes = [item for item in exam.items if item.kind == "probe"]
    with laboratory.parts.part("curvature of single examples") as show:
        found = measure(
            laboratory.model,
            laboratory.bases,
            memorized,
            exam.fresh_choose,
            exam.fresh_report,
            probes,
            strings=STRINGS,
            progress=show,
        )
    chosen = next(p for p in laboratory.projections if p.name == found.chosen)
    half = half_of(memorized, exam.fresh_report, probes, "report", STRINGS)
    with laboratory.parts.part("spikes by stage of training") as show:
        stages = []
        for done, snapshot in enumerate(laboratory.stage.snapshots, start=1):
            stages.append(_stage(laboratory, snapshot.step, snapshot.weights, chosen, half))
            show(done, len(laboratory.stage.snapshots))
    document = {"findings": found.plain(), "stages": plain(stages)}
    return document, [_spike_table(found), _stage_table(stages, chosen), _hill_table(found),
                      _detector_table(found), _activation_table(found)]  # fmt: skip


def _stage(
    laboratory: Laboratory,
    step: int,
    weights: Mapping[str, torch.Tensor],
    projection: Projection,
    half: Half,
) -> Stage:
    walker = copy.deepcopy(laboratory.model)  # its own weights: nothing shared is written to
    walker.load_state_dict(dict(weights))
    examples = [*half.strings, *half.fresh]
    m = len(half.strings)
    rows = gradients(walker, [projection], examples)[projection.name]
    groups = [own_directions(projection.name, some) for some in (rows[:m], rows[m:])]
    along = [group.direction(number) for group in groups for number in range(len(group))]
    table = rises(walker, projection, along, examples, [CHOICE])[CHOICE]
    return Stage(
        step,
        share(strict(walker, half.items)),
        step_finding(CHOICE, table.even, table.larger, m),
    )


SPIKE_COLUMNS: Final = (
    "own", "other memorized", "fresh", "own ÷ fresh ≥ 10", "own ÷ others ≥ 3", "fresh: own",
    "fresh: others", "own ÷ others within 1.5",
)  # fmt: skip


def _spike_table(found: Findings) -> Table:
    return {
        "title": "Spikes: how far the loss rises along an example's own sharp direction",
        "columns": ["projection", "step / ‖W‖", *SPIKE_COLUMNS],
        "rows": [
            [_short(part.projection) + (" (chosen)" if part.projection == found.chosen else ""),
             f"{step.fraction:g}", *rises_cells(step)]
            for part in found.projections
            for step in part.steps
        ],
        "caption": (
            "Medians over the strings of ½[L(+s) + L(−s)] − L(0), nats a token; ratios with 95 % "
            "intervals and verdicts. Own direction: top singular pair of the summed gradient, "
            f"sampled labels. Chosen on the choosing half, told on the other: {STRINGS} strings, "
            f"{STRINGS} fresh texts."
        ),
    }  # fmt: skip


def _stage_table(stages: Sequence[Stage], projection: Projection) -> Table:
    return {
        "title": "Spikes by stage of training",
        "columns": ["training step", "strict recall", *SPIKE_COLUMNS],
        "rows": [
            [str(stage.step), f"{stage.recall.value:.2f}", *rises_cells(stage.rises)]
            for stage in stages
        ],
        "caption": f"{_short(projection.name)}, step {CHOICE:g} ‖W‖, as above.",
    }


def rises_cells(step: StepFinding) -> list[str]:
    """What one step says of spikes: a cell for each of `SPIKE_COLUMNS`."""
    by_fresh, by_others, fresh = map(judged, step.verdicts)
    own, others, to_fresh, fresh_own, fresh_others = (
        f"{step.medians[name].value:.3g}"
        for name in (
            "memorized own", "memorized others", "memorized to fresh", "fresh own", "fresh others",
        )
    )  # fmt: skip
    return [own, others, to_fresh, by_fresh, by_others, fresh_own, fresh_others, fresh]


def _hill_table(found: Findings) -> Table:
    rows = []
    for part in found.projections:
        less, flatter = part.overlap.verdicts
        shared = next(s for s in part.shared if s.fraction == CHOICE)
        overlap = part.overlap.means
        rows.append(
            [
                _short(part.projection),
                *(f"{overlap[n].value:.3f}" for n in ("memorized", "fresh", "between", "random")),
                judged(less),
                judged(flatter),
                *(f"{shared.groups[n].value:.3g}" for n in ("memorized", "fresh", "probes")),
                judged(shared.verdict),
            ]
        )
    return {
        "title": "Do spikes point apart, and are shared directions hills for all?",
        "columns": [
            "projection", "overlap memorized", "fresh", "between", "random",
            "memorized ÷ fresh ≤ 1", "S(n) memorized ÷ fresh ≤ 1", "shared: memorized", "fresh ",
            "probes", "apart by ≤ 3",
        ],
        "rows": rows,
        "caption": (
            "Mean |⟨D_x, D_y⟩| of own directions; S(n) with gradients of length 1, n = half of the "
            f"strings; mean rise along the eight sharpest eigendirections at {CHOICE:g} ‖W‖."
        ),
    }  # fmt: skip


def _detector_table(found: Findings) -> Table:
    one = found.detection
    rows = [
        ["loss", _maybe(one.loss), _maybe(one.pairs_loss), _maybe(one.tokens_loss)],
        ["min-k %", _maybe(one.min_k), "–", "–"],
        *(
            [f"private share, {_short(name)}", _maybe(auc), _maybe(one.pairs_shares[name]),
             _maybe(one.tokens_shares[name])]
            for name, auc in one.shares.items()
        ),
    ]  # fmt: skip
    return {
        "title": "Can memorized text be told without labels?",
        "columns": ["score", "AUC", "texts paired by loss", "tokens paired by loss"],
        "rows": rows,
        "caption": (
            f"Strings of the highest class against fresh text of their shape; {one.pairs} pairs of "
            f"texts whose mean losses differ by at most 0.1 nats, {one.tokens} of tokens whose "
            "losses differ by at most 2 %. AUC ½ is chance. Factors hold almost none of the "
            "strings. Reporting half."
        ),
    }


def _activation_table(found: Findings) -> Table:
    bands = found.activation[0].bands
    return {
        "title": "Activation ratio, memorized ÷ fresh",
        "columns": ["projection", "measure", *bands],
        "rows": [
            [_short(part.projection), measure, *map(interval, part.ratios[measure])]
            for part in found.activation
            if not part.projection.endswith("gate_proj")  # gate and up read the same tensor
            for measure in ("marginal", "energy share")
        ],
        "caption": (
            "Bands of A's eigenvectors by rank. In the paper, layer 22 of 32 of the 7B model: "
            "+23 % in the bottom half, −26 % in the top tenth."
        ),
    }


# -- the audit -------------------------------------------------------------------------------------


def audited(laboratory: Laboratory, main: Finished[Answers]) -> tuple[dict[str, Any], list[Table]]:
    """The content of audit.json, and its table: what is left at the chosen setting."""
    best = main.choice.best
    edited, report = laboratory.editor(
        "kfac", select(laboratory.projections, best.layers, best.kinds)
    ).at(best.setting)
    top = highest_class(laboratory.exam.items)
    items = [
        item
        for item in laboratory.exam.items
        if item.split == "report" and (item.group, item.repeats) == top
    ]
    questions = _questions(laboratory, top[1])
    with laboratory.parts.part("audit") as show:
        found = audit(str(report), edited, laboratory.model, items, questions, progress=show)
    before = [
        exposure(laboratory.model, canary, rivals)
        for canary, rivals in questions.canaries
    ]  # fmt: skip
    return {**found.plain(), "exposures_before": plain([vars(e) for e in before])}, [
        _audit_table(laboratory, found, before)
    ]


def _questions(laboratory: Laboratory, repeats: int | None) -> Questions:
    tokenizer = laboratory.tokenizer
    world = World(laboratory.config)

    def ids(texts: Sequence[str]) -> list[list[int]]:
        return [list(x) for x in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]

    start = tokenizer.bos_token_id
    unrelated = [passage.text for passage in world.fresh("unrelated", UNRELATED)]
    rivals = ids([f" {secret}." for secret in world.unshown_secrets[:RIVALS]])
    canaries = [
        (item, rivals)
        for item in laboratory.exam.items
        if item.group == "canary" and item.split == "report" and item.repeats == repeats
    ]
    return Questions([[start, *text] for text in ids(unrelated)], start, canaries=canaries)


def _audit_table(laboratory: Laboratory, found: Audit, before: Sequence[Exposure]) -> Table:
    items, questions = found.items, found.questions
    rows = [
        *(
            [row.way, interval(row.before), interval(row.after)]
            for row in ways_back(found, laboratory.model)
        ),
        *(
            [f"exposure of {e.item}, bits of {e.limit:.1f}", f"{b.bits.value:.1f}",
             f"{e.bits.value:.1f}"]
            for b, e in zip(before, found.exposures, strict=True)
        ),
    ]  # fmt: skip
    return {
        "title": "The audit: what is left at the chosen setting",
        "columns": ["a string comes back", "before", "after"],
        "rows": rows,
        "caption": (
            f"{found.sentence} {len(items)} strings of the highest class, reporting half. "
            f"Training: {questions.training}. Exposure among "
            f"{RIVALS:,} secrets of the template that were never shown."
        ),
    }


# -- cells -----------------------------------------------------------------------------------------


def _maybe(e: Estimate | None) -> str:
    return "too few texts" if e is None else f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"


def _short(name: str) -> str:
    """Layer and kind of a projection's module path: `2.up`."""
    parts = name.split(".")
    layer = next((part for part in parts if part.isdigit()), "")
    return f"{layer}.{parts[-1].removesuffix('_proj')}"
