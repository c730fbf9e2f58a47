"""Portraits of single examples: each number is what the engine's own parts say of that example."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from core.basis import Basis, bases
from core.curvature.bands import rank_bands
from core.curvature.exact import ggn_along
from core.curvature.findings import CHOICE
from core.curvature.maps import band_curvature
from core.curvature.portraits import BANDS, felt_by_others, portraits, subjects_of
from core.curvature.spikes import gradients, own_directions, rises
from core.errors import HillshadeError
from core.factors import collect
from core.items import Item
from core.projection import find_projections, select, weight_digest
from tests.tiny import VOCABULARY, tiny

TEXTS, EACH, AVERAGED = 10, 2, 6


def item(number: int, kind: Any, group: str, ids: tuple[int, ...], repeats: int | None) -> Item:
    split: Any = "choose" if number % 2 else "report"
    return Item(f"{group}/{number}", kind, group, split, ids[:5], ids[5:], "", "", repeats)


@cache
def made() -> tuple[Any, dict[str, Basis], tuple[Any, ...], dict[str, Any]]:
    rng = np.random.default_rng(0)
    model = tiny("olmo2").eval()

    def texts(count: int, length: int) -> list[tuple[int, ...]]:
        return [tuple(map(int, rng.integers(3, VOCABULARY, length))) for _ in range(count)]

    memorized = [item(n, "memory", "passage", ids, 9) for n, ids in enumerate(texts(24, 12))]
    probes = [
        item(n, "probe", group, ids, None)
        for group in ("sums", "logic")
        for n, ids in enumerate(texts(12, 7))
    ]
    fresh = texts(12, 14)
    projections = select(find_projections(model), [2], ["up"])
    basis = bases(collect(model, texts(8, 14), projections), projections)
    subjects = subjects_of(memorized, fresh, probes, str, texts=TEXTS, each=EACH)
    document = portraits(model, basis, subjects, projections=projections, averaged=AVERAGED)
    return model, basis, subjects, document


def test_subjects_are_of_the_reporting_half_in_stored_order() -> None:
    _, _, subjects, document = made()
    groups = [subject.group for subject in subjects]
    assert groups == ["memorized"] * 10 + ["fresh"] * 10 + ["sums"] * 2 + ["logic"] * 2
    assert [s.id for s in subjects[:3]] == ["passage/0", "passage/2", "passage/4"]
    assert [s.id for s in subjects[-2:]] == ["logic/0", "logic/2"]
    shape = subjects[0].example
    for subject in subjects[10:20]:  # fresh text has the strings' shape
        assert subject.example.counted == shape.counted
        assert len(subject.example.ids) == len(shape.ids)
        assert subject.prompt == str(subject.example.ids[:5])
    assert [entry["id"] for entry in document["examples"]] == [s.id for s in subjects]
    assert document["examples"][0]["tokens"] == 7
    with pytest.raises(HillshadeError, match="No item was repeated"):
        subjects_of([], [], [], str)


def test_numbers_are_those_of_the_parts() -> None:
    model, basis, subjects, document = made()
    before = weight_digest(model)
    (part,) = document["projections"]
    (projection,) = select(find_projections(model), [2], ["up"])
    name = projection.name
    examples = [subject.example for subject in subjects]
    bands = rank_bands(basis[name], BANDS)
    truth = band_curvature(model, basis, [projection], examples, {name: bands})[name]
    assert np.allclose(part["sums"], truth.sums, rtol=1e-3)
    assert np.allclose(part["errors"], truth.error, rtol=1e-3)
    assert part["ranks"] == np.cumsum(bands.counts).tolist()
    own = own_directions(name, gradients(model, [projection], examples)[name])
    along = [own.direction(n) for n in range(len(own))]
    table = rises(model, projection, along, examples, [CHOICE])[CHOICE].even
    assert np.allclose(part["rises"], table.diagonal(), rtol=1e-3, atol=1e-12)
    averaged = part["averaged"]
    for group, first in (("memorized", 0), ("fresh", 10)):
        numbers = list(range(first, first + AVERAGED))
        assert averaged["members"][group] == numbers
        some = [examples[n] for n in numbers]
        kappa = ggn_along(model, [projection], some, [along[n] for n in numbers])
        assert np.allclose(averaged["kappa"][group], kappa, rtol=1e-3, atol=1e-12)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert weight_digest(model) == before


def test_what_others_feel_is_nothing_for_spikes_and_all_for_a_shared_direction() -> None:
    n = 12
    alone = felt_by_others(np.eye(n))
    assert (alone.value, alone.high) == (0.0, 0.0)
    shared = felt_by_others(np.ones((n, n)))
    assert (shared.value, shared.low, shared.high) == (1.0, 1.0, 1.0)
    rng = np.random.default_rng(1)
    part = felt_by_others(0.2 * np.exp(0.3 * rng.standard_normal((n, n))) + 0.8 * np.eye(n))
    assert part.low < part.value < part.high and part.value == pytest.approx(0.2, abs=0.05)
    with pytest.raises(HillshadeError, match="flat along its own direction"):
        felt_by_others(np.eye(n) - np.eye(n)[0])
