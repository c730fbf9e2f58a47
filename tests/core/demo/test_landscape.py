"""The stored landscape, built on a tiny random model."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any

import numpy as np
import pytest
from torch import nn
from transformers import PreTrainedModel

from core.basis import bases
from core.curvature.examples import Example
from core.curvature.spikes import gradients, own_directions, rises
from core.demo import landscape
from core.edit import Editor
from core.factors import collect
from core.items import Item
from core.projection import find_projections, select, weight_digest
from core.recall import strict
from tests.study_factory import tiny_model

STRINGS, VOCABULARY = 12, 60
SETTING = 0.8


def ids(rng: random.Random, count: int) -> tuple[int, ...]:
    return tuple(rng.randrange(1, VOCABULARY) for _ in range(count))


def items() -> list[Item]:
    rng = random.Random(0)
    made = []
    for number in range(2 * STRINGS):
        split: Any = "choose" if number % 2 else "report"
        made.append(
            Item(f"s{number}", "memory", "passage", split, ids(rng, 6), ids(rng, 5), "", "", 64, 60)
        )
        made.append(
            Item(f"p{number}", "probe", "sums", split, ids(rng, 4), ids(rng, 2), "", "", chance=0.1)
        )
    return made


@cache
def setup() -> tuple[PreTrainedModel, Any, list[list[int]], Any, Any]:
    rng = random.Random(1)
    model = tiny_model(VOCABULARY).requires_grad_(False)
    fresh = [list(ids(rng, 14)) for _ in range(2 * STRINGS)]
    projections = select(find_projections(model), [1])
    made = bases(collect(model, fresh, projections), projections)
    editor = Editor(model, made, projections, "kfac")

    def edited(recipe: str, setting: float) -> nn.Module:
        assert recipe == "kfac"
        return editor.at(setting)[0]

    return model, made, fresh, edited, projections


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    model, made, fresh, edited, projections = setup()
    before = weight_digest(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landscape, "SIDE", 7)
        patch.setattr(landscape, "TEXTS", STRINGS)
        place = landscape.Place(projections[1], "kfac", SETTING, SETTING)
        found = landscape.landscape(model, made, items(), fresh, edited, place)
    assert weight_digest(model) == before
    stored: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
    return stored


def test_everything_is_read_on_the_reporting_half(document: dict[str, Any]) -> None:
    split = {item.id: item.split for item in items()}
    named = [*document["items"]["memorized"], *document["items"]["probes"]]
    assert len(named) == 2 * STRINGS
    assert {split[name] for name in named} == {"report"}
    assert len(document["fresh"]["ids"]) == STRINGS
    assert {len(row) for row in document["fresh"]["ids"]} == {11}
    for told in document["lines"].values():
        sizes = {key: group["texts"] for key, group in told["groups"].items()}
        assert sizes == {
            "string": 1,
            "memorized": STRINGS - 1,
            "fresh": STRINGS,
            "probes": STRINGS,
        }


def test_the_string_has_the_median_own_rise(document: dict[str, Any]) -> None:
    model, *_, projections = setup()
    strings = {item.id: item for item in items() if item.split == "report" and item.repeats}
    examples = [Example.of_item(item) for item in strings.values()]
    name = projections[1].name
    assert document["projection"] == name
    spikes = own_directions(name, gradients(model, [projections[1]], examples)[name])
    along = [spikes.direction(number) for number in range(len(spikes))]
    own = rises(model, projections[1], along, examples, [0.1])[0.1].even.diagonal()
    by_id = dict(zip(strings, own, strict=True))
    above = sum(value > by_id[document["string"]] for value in own)
    assert above == STRINGS // 2
    assert by_id[document["second"]] == min(v for v in own if v > by_id[document["string"]])
    assert document["picked"]["rise"] == pytest.approx(by_id[document["string"]])


def test_the_whole_edit_is_the_edited_model(document: dict[str, Any]) -> None:
    edited = setup()[3]
    edit = document["lines"]["edit"]
    whole = edit["axes"][0]["values"].index(1.0)
    memorized = [item for item in items() if item.id in document["items"]["memorized"]]
    right = sum(edit["groups"][name]["right"][whole] for name in ("string", "memorized"))
    assert right == int(strict(edited("kfac", SETTING), memorized).sum())
    assert len(edit["projections"]) == 3


def test_planes_hold_the_lines_they_are_made_of(document: dict[str, Any]) -> None:
    """Where the other axis is 0, a plane is the slice along its first direction."""
    for plane, line in (("spikes", "spike"), ("hills", "high")):
        told, along = document["planes"][plane], document["lines"][line]
        across, other = (axis["values"] for axis in told["axes"])
        centre = other.index(0.0)
        for group in ("fresh", "probes"):
            for number, value in enumerate(across):
                at = along["axes"][0]["values"].index(value)
                assert told["groups"][group]["rise"][number][centre] == pytest.approx(
                    along["groups"][group]["rise"][at], rel=1e-3, abs=1e-6
                )


def test_eigendirections_are_sharp_kept_and_cut(document: dict[str, Any]) -> None:
    _, made, *_ = setup()
    basis = made[document["projection"]]
    grid = np.outer(basis.lam, basis.mu)
    cutoff = basis.staircase.kept(SETTING).cutoff
    curvature = {key: document["lines"][key]["kfac"][0][0] for key in ("high", "middle", "low")}
    assert curvature["high"] == pytest.approx(float(grid.max()))
    assert curvature["middle"] == pytest.approx(cutoff)
    assert curvature["low"] < cutoff
    assert document["lines"]["high"]["mass_share"] == pytest.approx(
        float(grid.max() / grid.sum()), rel=1e-6
    )


def test_it_tells_progress_and_can_be_cancelled() -> None:
    model, made, fresh, edited, projections = setup()
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        assert 0 <= done <= total
        seen.append(done)
        if done > total // 20:
            raise KeyboardInterrupt

    place = landscape.Place(projections[1], "kfac", SETTING, SETTING)
    with pytest.raises(KeyboardInterrupt):
        landscape.landscape(model, made, items(), fresh, edited, place, progress=stop)
    assert seen == sorted(seen)
