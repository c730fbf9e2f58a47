"""Of image classifiers, too: --dtype, --shard, --factors, EK-FAC, and the passes of a forecast."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.edit import Editor
from core.ekfac import collect_ekfac
from core.factors import collect
from core.images import RIGHT, WRONG, Image, Images, Positions, stacked
from core.model import load_model
from core.projection import find_projections
from core.request import Dtype, forecast
from core.study import Study
from core.survey import survey
from tests.core.processes import together
from tests.core.test_cli import run
from tests.core.test_image_commands import folder_of, request
from tests.core.test_survey import Silent, as_rank
from tests.image_world import make_image_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_image_world(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def study(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return survey(request(world, tmp_path_factory.mktemp("made") / "study"), Silent())


def collected_on(world: Path, study: Study) -> Images:
    """The images that the factors of a study came from."""
    asked = set(study.items["id"])
    return Images([image for image in folder_of(world).images if image.id not in asked], "all")


@pytest.mark.parametrize(
    ("dtype", "positions", "apart"), [("float32", "cls", 1e-5), ("bfloat16", "all", 2e-2)]
)
def test_a_classifier_in_parts_on_two_processes_gives_the_study_of_a_whole_one(
    dtype: Dtype, positions: Positions, apart: float, world: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"dtype": dtype, "positions": positions}
    asked = request(world, tmp_path / "parts", shard=True, **options)
    assert set(together(as_rank, 2, shlex.split(asked.command)[1:])) <= {None, 0}
    alone = survey(request(world, tmp_path / "alone", **options), Silent())
    parted, whole = (Study.open(path).factors() for path in (tmp_path / "parts", alone))
    assert parted.count == whole.count and parted.digests == whole.digests
    for p in whole.projections:
        for two, one in ((parted.a(p.name), whole.a(p.name)), (parted.g(p.name), whole.g(p.name))):
            assert float((two - one).norm()) <= apart * float(one.norm())
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["alone", "parts"]


def test_factors_in_bfloat16_are_those_of_rounded_weights(
    world: Path, study: Path, tmp_path: Path
) -> None:
    made = Study.open(survey(request(world, tmp_path / "study", dtype="bfloat16"), Silent()))
    model, usual = load_model(world / "model"), Study.open(study).factors()
    images, projections = collected_on(world, made), find_projections(model)
    narrow, found = collect(model, images, projections, dtype=torch.bfloat16), made.factors()
    for p in projections:
        assert torch.equal(found.g(p.name), narrow.g(p.name))
        apart = float((found.a(p.name) - usual.a(p.name)).norm() / usual.a(p.name).norm())
        assert 1e-6 < apart < 0.02
    assert found.digests == usual.digests


def test_given_factors_make_a_study_of_images_and_only_the_same_make_it_again(
    world: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors, other = tmp_path / "theirs.safetensors", tmp_path / "other.safetensors"
    own = Study.open(study)
    replace(own.factors(), scale="unknown").save(factors)
    own.factors().save(other)
    images = ("--images", world / "images")
    asked = ("collect", world / "model", *images, "--factors", factors)
    assert run(monkeypatch, *asked, "--out", tmp_path / "made") in (None, 0)
    made = Study.open(tmp_path / "made")
    assert made.manifest.scale == "unknown" and set(made.manifest.inputs) == {"factors"}
    assert "another tool's" in made.manifest.convention
    assert "rightly labelled images" in made.manifest.convention
    assert made.scores.equals(own.scores) and made.recipes == own.recipes
    again, out = ("collect", "--config", tmp_path / "made"), ("--out", tmp_path / "again")
    before = sorted(tmp_path.iterdir())
    for call, said in (
        ((*again, "--factors", other), "The factors in"),
        (("collect", "--config", study, "--factors", factors), "The factors in"),
        ((*asked, "--positions", "cls"), "how factors are collected"),
        ((*asked, "--dtype", "bfloat16"), "how factors are collected"),
        ((*again, "--dtype", "bfloat16"), "says itself"),
    ):
        code = run(monkeypatch, *call, *out)
        assert isinstance(code, str) and said in code and code.endswith("."), (call, code)
        assert sorted(tmp_path.iterdir()) == before
    assert run(monkeypatch, *again, *out) in (None, 0)


def test_a_sweep_of_ekfac_reads_the_images_of_the_factors_once_more(
    world: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sweep.json"
    asked = ("sweep", world / "model", "--study", study, "--layers", "0,1", "--kinds", "up,down")
    masses = ("--masses", ".7,.8,.9,.95,.98,.99", "--tolerance", "5")
    methods = ("--methods", "kfac,ekfac_token", "--out", out)
    assert run(monkeypatch, *asked, *methods, *masses) in (None, 0)
    told = {one["method"]: one["trials"] for one in json.loads(out.read_text())["methods"]}
    model, opened = load_model(world / "model"), Study.open(study)
    chosen = find_projections(model)
    bases = {p.name: opened.basis(p.name) for p in chosen}
    corrected = collect_ekfac(model, collected_on(world, opened), bases, chosen)
    every = {image.id: image for image in folder_of(world).images}
    shown = [every[name] for name in opened.items.query("split == 'choose'")["id"]]
    right, wrong = ([i for i in shown if i.group == group] for group in (RIGHT, WRONG))

    def said(model: Any, some: Sequence[Image]) -> list[int]:
        found: list[int] = model(pixel_values=stacked(some)).logits.argmax(-1).tolist()
        return found

    def agreeing(said: list[int], label: str, some: Sequence[Image]) -> float:
        hits = [one == getattr(i, label) for one, i in zip(said, some, strict=True)]
        return sum(hits) / len(hits)

    answers: dict[str, list[list[int]]] = {}
    for method, trials in told.items():
        editor = Editor(model, bases, chosen, method, ekfac=corrected)
        for one in trials:
            cut = editor.at(one["setting"])[0]
            answers.setdefault(method, []).append(said(cut, shown))
            reproduced = agreeing(said(cut, wrong), "given", wrong)
            lost = agreeing(said(model, right), "true", right)
            lost -= agreeing(said(cut, right), "true", right)
            assert one["recall"]["value"] == pytest.approx(reproduced)
            assert one["ratio"]["value"] == pytest.approx(1.0 + lost)
    assert answers["kfac"] != answers["ekfac_token"]


def test_a_forecast_of_images_counts_passes_and_the_number_format(
    world: Path, tmp_path: Path
) -> None:
    wide, narrow = (forecast(request(world, tmp_path, dtype=d)) for d in ("float32", "bfloat16"))
    said = dict(narrow.lines(tmp_path))
    assert said["passes"] == "1 over the images, all 2 layers in one, 30 images a batch"
    assert wide.memory["weights rounded"] == 0
    assert narrow.memory["weights rounded"] == 2 * narrow.parameters
    for part in ("activations of a batch", "logits of a chunk"):
        assert narrow.memory[part] < wide.memory[part]
    assert wide.peak > wide.memory["images"] == 4 * 64 * 82
