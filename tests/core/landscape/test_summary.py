"""Directions by name, stepped models, and slices as plain values."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from core.basis import bases
from core.curvature.exact import ggn_along
from core.edit import Editor
from core.errors import HillshadeError
from core.factors import collect
from core.items import Item
from core.landscape.slices import Line, cut
from core.landscape.spec import Compass, RaySpec, stepped
from core.landscape.summary import operations, step_at, summarise
from core.landscape.texts import Texts
from core.measures import read
from core.projection import find_projections, select, weight_digest
from core.recall import strict
from tests.tiny import TEXTS, tiny

VALUES = (-0.2, 0.0, 0.1, 0.3)
ITEMS = tuple(
    Item(f"s{n}", "memory", "passage", "report", (n, 3, 1), (4, 1, 5), "", "", 8, 8)
    for n in range(3)
)
TEXT = Texts.of_items(ITEMS) + Texts.of_sequences(TEXTS)


@cache
def compass(family: str) -> Compass:
    model = tiny(family, torch.float64).eval()
    projections = select(find_projections(model), [1], ["up", "down"])
    made = bases(collect(model, TEXTS, projections), projections)

    def edited(recipe: str, setting: float) -> nn.Module:
        assert recipe == "kfac"
        return Editor(model, made, projections, "kfac").at(setting)[0]

    return Compass(model, made, ITEMS, edited)


def wishes(family: str) -> dict[str, RaySpec]:
    name = next(iter(compass(family).bases))
    return {
        "spike": RaySpec("spike", name, item="s1"),
        "eigendirection": RaySpec("eigendirection", name, i=0, j=2),
        "band": RaySpec("band", name, start=3, stop=9),
        "edit": RaySpec("edit", recipe="kfac", setting=0.7),
        "random": RaySpec("random", name, seed=3),
    }


@pytest.mark.parametrize("family", ["olmo2", "gpt2"])
@pytest.mark.parametrize("kind", ["spike", "eigendirection", "band", "edit", "random"])
def test_a_wish_is_kept_as_json_and_made_again(family: str, kind: str) -> None:
    wanted = wishes(family)[kind]
    again = RaySpec(**json.loads(json.dumps(wanted.plain())))
    assert again == wanted
    first, second = compass(family).ray(wanted), compass(family).ray(again)
    assert first.digest == second.digest
    assert str(first.origin["kind"]).endswith(kind)


@pytest.mark.parametrize("family", ["olmo2", "gpt2"])
def test_a_stepped_model_has_the_losses_of_its_cell(family: str) -> None:
    north = compass(family)
    before = weight_digest(north.model)
    wanted = [wishes(family)["spike"], wishes(family)["edit"]]
    rays = [north.ray(one) for one in wanted]
    lines = [Line(rays[0], VALUES), Line(rays[1], (0.0, 1.0), "direction")]
    kept = cut(north.model, lines, TEXT)
    told = summarise(north.model, lines, wanted, TEXT, north.bases)
    assert told["kfac"] is not None
    for cell in ((3, 1), (0, 0), (1, 1)):
        moved = stepped(north.model, step_at(rays, told, cell))
        reading = read(moved, TEXTS)
        assert kept.loss[cell][3:] * kept.tokens[3:] == pytest.approx(reading.loss, abs=2e-5)
        assert kept.strict[cell][:3].tolist() == strict(moved, ITEMS).tolist()
    assert weight_digest(north.model) == before


def test_what_is_told_is_the_slice_summed_up() -> None:
    north = compass("olmo2")
    wanted = wishes("olmo2")["eigendirection"]
    ray = north.ray(wanted)
    line = Line(ray, VALUES)
    kept = cut(north.model, [line], TEXT, bases={n: north.bases[n] for n in ray.direction.parts})
    told = summarise(north.model, [line], [wanted], TEXT, north.bases)
    json.dumps(told, allow_nan=False)
    projection = next(p for p in find_projections(north.model) if p.name == wanted.projection)
    kappa = ggn_along(north.model, [projection], TEXT.examples, [ray.direction])[0]
    assert list(told["groups"]) == ["passage", "fresh"]
    for name, entry in told["groups"].items():
        mine = [group == name for group in kept.groups]
        rise = kept.rise(name)
        assert entry["rise"] == pytest.approx(rise.value.tolist(), rel=1e-3)
        assert entry["half"] == pytest.approx((rise.high - rise.value).tolist(), rel=1e-3)
        assert entry["rise"][1] == entry["half"][1] == 0.0
        assert entry["right"] == kept.strict[:, mine].sum(1).tolist()
        weights = kept.tokens[mine] / kept.tokens[mine].sum()
        assert entry["ggn"] == pytest.approx(float(kappa[mine] @ weights), rel=1e-3)
        assert entry["ggn"] >= 0.0
    basis = north.bases[projection.name]
    assert told["kfac"][0][0] == pytest.approx(float(basis.lam[0] * basis.mu[2]))
    assert told["norm"] == told["axes"][0]["unit"]
    bare = summarise(north.model, [line], [None], TEXT, {})
    assert bare["kfac"] is None and bare["mass_share"] is None


def test_a_loss_beyond_numbers_is_null() -> None:
    north = compass("olmo2")
    ray = north.ray(wishes("olmo2")["eigendirection"])
    with np.errstate(all="ignore"):
        told = summarise(north.model, [Line(ray, (0.0, 1e300))], [None], TEXT, {})
    json.dumps(told, allow_nan=False)
    assert told["groups"]["fresh"]["rise"][0] == 0.0


def test_operations_grow_with_points_texts_and_depth() -> None:
    model = tiny("olmo2").eval()
    low, high = (select(find_projections(model), [layer], ["up"]) for layer in (0, 2))
    few, many = operations(model, high, TEXT, 10), operations(model, low, TEXT, 10)
    assert many > few > 0
    assert operations(model, high, TEXT, 20) > few
    assert operations(model, high, TEXT + TEXT, 10) == 2 * few


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"kind": "spike", "projection": "x"}, "needs item"),
        ({"kind": "north"}, "is unknown"),
        ({"kind": "spike", "projection": "x", "item": "s0"}, "no projection x"),
    ],
)
def test_impossible_wishes_get_a_sentence(wish: dict[str, str], sentence: str) -> None:
    with pytest.raises(HillshadeError, match=sentence):
        compass("olmo2").ray(RaySpec(**wish))  # type: ignore[arg-type]


def test_what_is_not_there_gets_a_sentence() -> None:
    north = compass("olmo2")
    name = next(iter(north.bases))
    bare = Compass(north.model, {})
    for wanted, sentence in (
        (RaySpec("spike", name, item="s0"), "no text s0"),
        (RaySpec("eigendirection", name, i=0, j=0), "no curvature basis"),
        (RaySpec("edit", recipe="kfac", setting=0.5), "no edit"),
    ):
        with pytest.raises(HillshadeError, match=sentence):
            bare.ray(wanted)
