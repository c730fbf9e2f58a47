"""Where a sweep puts its ticks, what it stores, and that choosing never looks at the other half."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch

import core.exam as examining
from core.choose import choose
from core.edit import Editor, EditReport, ProjectionReport, Recipe
from core.errors import HillshadeError
from core.exam import Answers, Exam
from core.items import Item
from core.measures import Reading, ratio, read
from core.projection import select
from core.recall import Outcome
from core.sweep import Swept, at_cost, sweep
from core.swept import outputs_table, points_table, scores_table
from core.tables import COLUMNS, read_table, write_table
from tests.core.recall_oracle import greedy
from tests.trained import Trained, trained

STRINGS = 50


@dataclass(frozen=True)
class Curves:
    """A made-up method: recall and perplexity ratio as functions of x = 1 − setting."""

    recall: Callable[[float], float]
    rise: Callable[[float], float]
    seed: int = 0

    def recipe(self, setting: float) -> Recipe:
        return Recipe("kfac", ("a",), setting)

    def at(self, setting: float) -> tuple[Any, EditReport]:
        kept = round(1e9 * setting)
        return (self, 1.0 - setting), EditReport(
            "kfac", setting, (ProjectionReport("a", kept, 10**9, setting, 1.0),)
        )


class CurvesExam(Exam):
    """An exam whose answers follow the curves."""

    def ask(self, model: Any) -> Answers:
        curves, x = model
        right = np.arange(len(self.items)) < round(curves.recall(x) * len(self.items))
        zeros = np.zeros(len(self.items))
        outcome = Outcome(right, right, zeros, zeros.astype(np.int64), ((1,),) * len(self.items))
        reading = curves_reading(model, ())
        return Answers(self.items, outcome, reading, reading)


def curves_reading(model: Any, _: object) -> Reading:
    curves, x = model
    tokens = np.full(10, 100)
    loss = tokens * (1.5 + math.log(curves.rise(x)))
    return Reading(loss, np.zeros(10, dtype=np.int64), tokens)


def curves_sweep(monkeypatch: pytest.MonkeyPatch, curves: Curves, **options: Any) -> Swept[Answers]:
    monkeypatch.setattr(examining, "read", curves_reading)
    items = tuple(
        Item(f"{i}", "memory", "passage", "choose", (1,), (1,), "", "", repeats=9)
        for i in range(STRINGS)
    )
    exam = CurvesExam(items, ((1, 2),), ((1, 2),))
    seeds = options.pop("seeds", 1)
    editors = cast(Any, [replace(curves, seed=seed) for seed in range(seeds)])
    return sweep(editors, exam, exam.ask((curves, 0.0)), **options)


def smooth(x: float) -> float:
    return 1 / (1 + (x / 0.01) ** 1.5)


SMOOTH = Curves(smooth, lambda x: 1 + 2 * x)


def test_ticks_lie_as_dense_as_promised_and_no_denser_than_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swept = curves_sweep(monkeypatch, SMOOTH)
    assert swept.ticks[0] == 1.0
    assert all(low < high for high, low in pairwise(swept.ticks))
    assert min(swept.ticks) <= 0.5
    assert len(swept.ticks) <= 61
    risen = [p.answers.cost(swept.original) for p in swept.points]
    for (mild, strong), (before, after) in zip(
        pairwise(swept.points), pairwise(risen), strict=True
    ):
        assert mild.answers.recall.value - strong.answers.recall.value <= 0.1 + 1e-9
        if before < 1.1:  # the useful range; beyond it 61 ticks are not enough for 0.5 %
            assert after / before <= 1.005 + 1e-9
    few = curves_sweep(monkeypatch, SMOOTH, most=20, rises=(0.001, 0.01))
    assert len(few.ticks) == 20
    assert curves_sweep(monkeypatch, SMOOTH).ticks == swept.ticks  # the same every time


def test_a_jump_does_not_swallow_the_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    swept = curves_sweep(monkeypatch, Curves(lambda x: float(x < 0.003), lambda x: 1 + 2 * x))
    near = [1 - s for s in swept.ticks if 0.002 < 1 - s < 0.004]
    assert any(high / low < 1.002 for low, high in pairwise(near))  # as narrow as worth while
    risen = [p.answers.cost(swept.original) for p in swept.points]
    assert all(after / before <= 1.005 for before, after in pairwise(risen) if before < 1.1)


def test_the_axis_goes_on_while_an_edit_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    idle = curves_sweep(monkeypatch, Curves(lambda x: 1.0, lambda x: 1.0))
    assert min(idle.ticks) == pytest.approx(0.02)
    gone = curves_sweep(monkeypatch, Curves(lambda x: float(x < 0.3), lambda x: 1.0))
    assert min(gone.ticks) == 0.5


@pytest.mark.parametrize("rise", [0.002, 0.01, 0.3, 1.5])
def test_settings_at_equal_perplexity_are_met_to_a_thousandth(
    monkeypatch: pytest.MonkeyPatch, rise: float
) -> None:
    swept = curves_sweep(monkeypatch, SMOOTH, rises=(rise,))
    point = swept.points[swept.equal[rise]]
    assert point.answers.cost(swept.original) == pytest.approx(1 + rise, rel=1e-3)
    exam, original = CurvesExam((), (), ()), swept.original
    alone = at_cost(cast(Any, [SMOOTH]), exam, original, rise)
    assert alone is not None
    assert 1 + 2 * (1 - alone) == pytest.approx(1 + rise, rel=1e-3)
    nowhere = cast(Any, [Curves(smooth, lambda x: 1.0)])
    assert at_cost(nowhere, exam, original, rise) is None
    at_once = cast(Any, [Curves(smooth, lambda x: 9.0 if x else 1.0)])
    assert at_cost(at_once, exam, original, rise) is None


def test_several_seeds_share_ticks_and_meet_in_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Seeded(Curves):
        def at(self, setting: float) -> tuple[Any, EditReport]:
            (_, x), report = super().at(setting)
            return (self, x * (1 + self.seed)), report

    swept = curves_sweep(monkeypatch, Seeded(smooth, SMOOTH.rise), rises=(0.01,), seeds=3, most=20)
    assert [p.seed for p in swept.points] == [s for s in range(3) for _ in swept.ticks]
    assert [p.setting for p in swept.points] == list(swept.ticks) * 3
    marked = [p for p in swept.points if p.setting == swept.ticks[swept.equal[0.01]]]
    logs = [math.log(p.answers.cost(swept.original)) for p in marked]
    assert np.exp(np.mean(logs)) == pytest.approx(1.01, rel=1e-3)


def test_cancelling_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int, str]] = []

    def cancel(done: int, total: int, label: str) -> None:
        seen.append((done, total, label))
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        curves_sweep(monkeypatch, SMOOTH, progress=cancel)
    assert [done for done, _, _ in seen] == [1, 2, 3, 4, 5]
    assert all(done <= total and label.startswith("kfac at") for done, total, label in seen)


@pytest.fixture(scope="module")
def world() -> Trained:
    torch.set_num_threads(1)
    return trained()


@pytest.fixture(scope="module")
def original(world: Trained) -> Answers:
    return world.exam.ask(world.model)


@pytest.fixture(scope="module")
def swept(world: Trained, original: Answers) -> Swept[Answers]:
    editors = [Editor(world.model, world.bases, world.projections, "random", s) for s in (0, 1)]
    return sweep(editors, world.exam, original, settings=(0.75,), rises=(0.05,), most=17)


def test_strict_recall_equals_greedy_generation_before_and_after(
    world: Trained, original: Answers, swept: Swept[Answers]
) -> None:
    editor = Editor(world.model, world.bases, world.projections, "random", 0)
    for setting, answers in ((1.0, original), (0.75, swept.points[swept.tick_of(0.75)].answers)):
        model = editor.at(setting)[0]
        for i, item in enumerate(world.exam.items):
            said = greedy(model, item.prompt_ids, len(item.truth_ids))
            assert answers.outcome.continuations[i] == said
            assert answers.outcome.strict[i] == (said == item.truth_ids)
    assert original.recall.value > 0.4 > swept.points[swept.tick_of(0.75)].answers.recall.value


def test_tables_say_what_the_answers_say(
    world: Trained, original: Answers, swept: Swept[Answers]
) -> None:
    points, scores = points_table("r", swept), scores_table("r", swept)
    outputs = outputs_table("r", swept, world.decode)
    for name, table in (("points", points), ("scores", scores), ("outputs", outputs)):
        assert set(table.columns) == set(COLUMNS[name].names)
    assert len(points) == 2 * len(swept.ticks)
    tick = swept.tick_of(0.75)
    answers = swept.points[tick].answers
    row = points[(points.tick == tick) & (points.seed == 0)].iloc[0]
    assert row.ppl_report == read_again(world, 0.75).perplexity.value
    assert row.ratio_report == pytest.approx(row.ppl_report / points.ppl_report[0])
    assert row.ratio_low < row.ratio_report < row.ratio_high
    unseen = [i for i in world.exam.items if (i.group, i.split) == ("unseen", "report")]
    right = {item.id: n for item, n in zip(world.exam.items, answers.outcome.right, strict=True)}
    tokens = sum(len(item.truth_ids) for item in unseen)
    assert row.tf_accuracy == sum(right[item.id] for item in unseen) / tokens
    # Scores, recomputed from the outputs by pandas alone.
    frame = pd.DataFrame([(i.id, i.group, i.split, i.repeats) for i in world.exam.items])
    frame.columns = pd.Index(["item", "group", "split", "repeats"])
    merged = outputs.merge(frame, on="item")
    mine = scores[scores.seed == 0]
    keys = ["tick", "split", "group", "repeats"]
    for key, part in merged[merged.repeats.notna()].groupby(keys):
        found = mine[(mine[keys] == list(key)).all(axis=1)]
        values = found.set_index("measure")["value"].to_dict()
        assert values == pytest.approx(
            {
                "strict": part.strict.mean(),
                "loose": (part.distance <= 0.25).mean(),
                "distance": part.distance.mean(),
            }
        )
        assert set(found.n) == {len(part)}
    shares = mine[mine.group == "passage"].set_index([*keys, "measure"])["value"].unstack()
    assert (shares["loose"] > shares["strict"]).any()  # the measures are not all alike here
    sums = mine[(mine.group == "sums") & (mine.split == "report") & (mine.tick == tick)]
    assert sums.repeats.isna().all()
    answered = merged[(merged.group == "sums") & (merged.split == "report") & (merged.tick == tick)]
    assert sums.set_index("measure").loc["accuracy", "value"] == answered.strict.mean()
    first = scores[(scores.tick == 0) & (scores.measure == "above_chance")]
    assert (first.value == 1.0).all()
    # A further seed answers only the class repeated most often and the probes.
    other = scores[scores.seed == 1]
    assert set(other.group) == {"passage", "sums", "logic"}
    assert set(other[other.group == "passage"].repeats) == {256}
    said = outputs[(outputs.tick == tick) & ~outputs.strict].iloc[0]
    index = [item.id for item in world.exam.items].index(said["item"])
    assert said.output == world.decode(answers.outcome.continuations[index])


def read_again(world: Trained, setting: float) -> Reading:
    model = Editor(world.model, world.bases, world.projections, "random", 0).at(setting)[0]
    return read(model, world.exam.fresh_report)


def test_choosing_looks_at_one_half_only(world: Trained, original: Answers) -> None:
    def chosen(exam: Exam, answers: Answers) -> Any:
        candidates = [select(world.projections, [layer]) for layer in (0, 1)]

        def build(projections: Sequence[Any]) -> Editor[Any]:
            return Editor(world.model, world.bases, projections, "kfac")

        return choose(candidates, build, exam, answers, rise=0.05, aim=0.0)

    choice = chosen(world.exam, original)
    best = choice.best
    assert best in choice.trials
    assert {trial.layers for trial in choice.trials} == {(0,), (1,)}
    for trial in choice.trials:
        assert trial.ratio.value <= 1.05 * 1.001
        assert trial.recall.n == 3  # of the six strings, those of the choosing half
        assert best.recall.value <= trial.recall.value
        if trial.recall.value == best.recall.value:
            assert best.weakest() >= trial.weakest()
    editor = Editor(world.model, world.bases, select(world.projections, best.layers), "kfac")
    after = read(editor.at(best.setting)[0], world.exam.fresh_choose)
    assert best.ratio == ratio(original.choose, after)
    # Poison the other half: every truth another, every passage rubbish. Nothing may change.
    items = tuple(
        item if item.split == "choose" else replace(item, truth_ids=item.truth_ids[::-1])
        for item in world.exam.items
    )
    rubbish = Exam(items, world.exam.fresh_choose, ((5, 5, 5, 5),) * 9)
    assert chosen(rubbish, rubbish.ask(world.model)) == choice


def test_choosing_refuses_what_nobody_can_reach(world: Trained, original: Answers) -> None:
    editor = Editor(world.model, world.bases, world.projections, "kfac")
    with pytest.raises(HillshadeError, match="another tolerance"):
        choose([world.projections[:1]], lambda p: editor, world.exam, original, rise=9.9)
    with pytest.raises(HillshadeError, match="is no tolerance"):
        at_cost([editor], world.exam, original, 0.0)


def test_the_tables_of_a_sweep_survive_parquet(swept: Swept[Answers], tmp_path: Path) -> None:
    def decode(ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))

    tables = {
        "points": (points_table("r", swept), ["seed", "tick"]),
        "scores": (
            scores_table("r", swept),
            ["seed", "tick", "split", "group", "repeats", "measure"],
        ),
        "outputs": (outputs_table("r", swept, decode), ["item", "tick"]),
    }
    for name, (table, keys) in tables.items():
        write_table(table, name, tmp_path / name)
        stored = read_table(name, tmp_path / name)
        pd.testing.assert_frame_equal(
            stored.sort_values(keys, ignore_index=True).astype(object),
            table[stored.columns].sort_values(keys, ignore_index=True).astype(object),
            check_exact=name != "outputs",  # distance is stored as float32
        )
