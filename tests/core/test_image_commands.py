"""An image classifier through every command: a folder in, a study, an edited model and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from transformers import AutoModelForImageClassification

from core import survey as surveying
from core.basis import bases
from core.checkpoint import Checkpoint
from core.edit import Editor
from core.errors import HillshadeError
from core.factors import Factors, collect
from core.imagefile import ImageFolder, read_images
from core.images import HELD_OUT, RIGHT, WRONG, Images
from core.inspection import inspection
from core.model import load_model
from core.preparation import load_preparation
from core.projection import find_projections, named, select
from core.request import Config, Request, forecast
from core.study import Study
from core.survey import survey
from tests.commands import World, interrupted, make_world
from tests.core.test_cli import run
from tests.core.test_survey import Silent
from tests.image_world import KEPT, make_image_world, save_classifier, save_images
from tests.image_world import RIGHT as RIGHT_THERE
from tests.image_world import WRONG as WRONG_THERE
from tests.vision import POSITIONS, classifier

MEASURED = ("factors.safetensors", "basis.safetensors", "scores.parquet", "outputs.parquet")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_image_world(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("language"))


@pytest.fixture(scope="module")
def study(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return survey(request(world, tmp_path_factory.mktemp("made") / "study"), Silent())


def request(world: Path, out: Path, **changes: Any) -> Request:
    asked = Request(str(world / "model"), None, out, images=world / "images")
    return replace(asked, **changes)


def folder_of(world: Path) -> ImageFolder:
    model = load_model(world / "model")
    return read_images(world / "images", model, load_preparation(world / "model", model))


def test_what_is_asked_was_not_collected_on_and_the_rest_was(world: Path, study: Path) -> None:
    opened, model = Study.open(study, load_model(world / "model")), load_model(world / "model")
    items = opened.items.set_index("id")
    every = {image.id: image for image in folder_of(world).images}
    counts = items.groupby(["group", "split"]).size().to_dict()
    half = RIGHT_THERE // 4
    assert counts == {
        (WRONG, "choose"): WRONG_THERE // 2, (WRONG, "report"): WRONG_THERE // 2,
        (RIGHT, "choose"): half, (RIGHT, "report"): half, (HELD_OUT, "report"): KEPT,
    }  # fmt: skip
    rest = [i for i in every.values() if i.id not in items.index]
    assert {image.group for image in rest} == {RIGHT} and len(rest) == RIGHT_THERE // 2
    again = collect(model, Images(rest, "all"), find_projections(model))
    stored = opened.factors()
    assert stored.count == again.count == len(rest) * POSITIONS
    made = bases(again, find_projections(model))
    for name, (lam, mu) in opened.spectra().items():
        assert np.array_equal(lam, made[name].lam) and np.array_equal(mu, made[name].mu)
    assert opened.pictures is not None and opened.pictures.pixels.shape == (len(items), 1, 8, 8)
    for place, name in enumerate(items.index):
        assert opened.pictures.given[place] == every[name].given
        assert opened.pictures.true[place] == every[name].true
        assert items.at[name, "truth"] == f"class {every[name].given}"
    assert all(check.ok for check in inspection(study))


def test_wrong_labels_choose_on_one_half_and_every_tick_is_a_plain_pass(
    world: Path, study: Path
) -> None:
    opened, model = Study.open(study), load_model(world / "model")
    (recipe,) = opened.recipes
    every = {image.id: image for image in folder_of(world).images}
    shown = [every[name] for name in opened.items["id"]]
    pixels = torch.stack([image.pixels for image in shown])
    editor = Editor(model, opened.bases("kfac"), named(model, recipe.projections), "kfac")
    for tick in (0, len(recipe.ticks) // 2, len(recipe.ticks) - 1):
        said = editor.at(recipe.ticks[tick])[0](pixel_values=pixels).logits.argmax(-1).tolist()
        outputs = opened.outputs.query(f"tick == {tick}").set_index("item")["output"]
        assert [outputs[i.id] for i in shown] == [f"class {label}" for label in said]
        scores = opened.scores.query(f"tick == {tick}").set_index(["split", "group", "measure"])
        for measure, label in (("reproduced", "given"), ("recovered", "true")):
            hits = [
                number == getattr(image, label)
                for number, image in zip(said, shown, strict=True)
                if (image.group, image.split) == (WRONG, "report")
            ]
            assert scores.loc[("report", WRONG, measure), "value"] == pytest.approx(np.mean(hits))
    before = opened.scores.query("tick == 0").set_index(["split", "group", "measure"])["value"]
    assert before["choose", WRONG, "reproduced"] == before["report", RIGHT, "accuracy"] == 1.0
    assert opened.scores.query("measure == 'reproduced'")["value"].min() < 0.5
    if recipe.chosen is not None:
        at = opened.scores.query(f"tick == {recipe.chosen} and split == 'choose'")
        kept = at.query(f"`group` == '{RIGHT}'")["value"].item()
        assert kept >= 1.0 - 0.0301


def test_pictures_that_stand_there_twice_are_not_asked(world: Path, tmp_path: Path) -> None:
    images = Path(shutil.copytree(world / "images", tmp_path / "images"))
    asked = Study.open(survey(request(world, tmp_path / "one"), Silent())).items
    twice = [next(iter(asked[asked["group"] == group]["id"])) for group in (RIGHT, WRONG)]
    for number, name in enumerate(twice):
        shutil.copy(images / name, images / "class 1" / f"copy {number}.png")
    again = Study.open(survey(request(world, tmp_path / "two", images=images), Silent())).items
    assert not set(twice) & set(again["id"])
    assert not any("copy" in name for name in again["id"])


@pytest.mark.parametrize("family", ["vit", "deit", "beit", "dinov2"])
def test_every_family_is_collected_swept_edited_checked_and_read_back(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = classifier(family, dtype=torch.float32)
    save_classifier(tmp_path / "model", model)
    save_images(tmp_path / "images")
    study, swept, edited = tmp_path / "study", tmp_path / "sweep.json", tmp_path / "edited"
    for name, *asked in (
        ("collect", tmp_path / "model", "--images", tmp_path / "images", "--out", study),
        ("sweep", tmp_path / "model", "--study", study, "--masses", ".6,.9", "--out", swept),
        ("edit", study, "--mass", ".9", "--save", edited),
        ("check", study),
    ):
        assert run(monkeypatch, name, *asked, "--json") in (None, 0), name
    *_, checked = capsys.readouterr().out.strip().splitlines()
    assert json.loads(checked)["fit"] is True
    assert len(json.loads(swept.read_text())["methods"][0]["trials"]) in (4, 8)
    made = Study.open(study)
    (recipe,) = made.recipes
    projections = named(model, recipe.projections)
    expected, _ = Editor(model, made.bases("kfac"), projections, "kfac").at(0.9)
    again: Any = AutoModelForImageClassification.from_pretrained(edited).eval()
    pixels = torch.stack([image.pixels for image in folder_of(tmp_path).images])
    with torch.no_grad():
        assert torch.equal(again(pixel_values=pixels).logits, expected(pixel_values=pixels).logits)
        assert not torch.equal(again(pixel_values=pixels).logits, model(pixel_values=pixels).logits)
    assert load_preparation(edited, again) == load_preparation(tmp_path / "model", model)


def test_without_wrong_labels_only_the_price_is_known(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = Path(shutil.copytree(world / "images", tmp_path / "images"))
    (images / "labels.csv").unlink()
    path = survey(request(world, tmp_path / "study", images=images), Silent())
    opened = Study.open(path)
    (recipe,) = opened.recipes
    assert recipe.chosen is None and len(recipe.projections) == 4
    assert set(opened.scores["measure"]) == {"accuracy"} and set(opened.items["group"]) == {RIGHT}
    # Every mark lies where the choosing half has lost so much, to one image of it.
    clean = opened.scores.query("split == 'choose'").set_index("tick")
    for rise, tick in recipe.equal.items():
        lost = clean["value"][0] - clean["value"][tick]
        assert abs(lost - float(rise)) <= 1 / clean["n"][0] + 1e-9
    asked = ("sweep", world / "model", "--study", path, "--out", tmp_path / "sweep.json")
    assert "No wrong label is known" in str(run(monkeypatch, *asked))
    table = ("--labels", world / "images" / "labels.csv", "--images", images)
    assert run(monkeypatch, *asked, *table, "--masses", ".9") in (None, 0)


def test_a_sweep_and_a_slice_ask_what_the_study_asked(
    world: Path,
    study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "sweep.json"
    asked = ("sweep", world / "model", "--study", study, "--layers", "1", "--kinds", "up")
    options = ("--masses", ".5", "--tolerance", "0.9", "--methods", "kfac,random")
    assert run(monkeypatch, *asked, *options, "--out", out) in (None, 0)
    printed = capsys.readouterr().out
    kfac, drawn = json.loads(out.read_text())["methods"]
    assert len(drawn["reported"]) == 5
    model, opened = load_model(world / "model"), Study.open(study)
    (up,) = select(find_projections(model), [1], ["up"])
    cut = Editor(model, {up.name: opened.basis(up.name)}, [up], "kfac").at(0.5)[0]
    every = {image.id: image for image in folder_of(world).images}
    shown = [every[name] for name in opened.items["id"]]
    for told, split in ((kfac["best"], "choose"), (kfac["reported"][0], "report")):
        right, wrong = (
            [i for i in shown if (i.group, i.split) == (group, split)] for group in (RIGHT, WRONG)
        )

        def said(model: Any, some: list[Any]) -> np.ndarray:
            pixels = torch.stack([image.pixels for image in some])
            found: np.ndarray = model(pixel_values=pixels).logits.argmax(-1).numpy()
            return found

        lost = (said(model, right) == said(cut, right)).mean()  # all are right before
        assert told["ratio"]["value"] == pytest.approx(2.0 - lost)
        given = np.array([image.given for image in wrong])
        assert told["recall"]["value"] == pytest.approx((said(cut, wrong) == given).mean())
    assert "6 wrong labels" in printed and "of clean accuracy" in printed
    line = tmp_path / "line.json"
    one = next(image for image in shown if image.wrong and image.split == "report")
    along = ("--along", f"spike:1.up:{one.id}", "--points", "3", "--out")
    assert run(monkeypatch, "slice", study, *along, line) in (None, 0)
    told = json.loads(line.read_text())
    assert list(told["groups"]) == [WRONG, RIGHT, HELD_OUT]
    assert told["groups"][WRONG]["right"][1] == told["groups"][WRONG]["texts"] == 6
    assert told["groups"][WRONG]["rise"][1] == 0.0 < told["groups"][WRONG]["rise"][2]
    sharp = ("--along", "hessian:1.up", "--along", "edit:kfac:.9", "--points", "3", "--out")
    assert run(monkeypatch, "slice", study, *sharp, tmp_path / "plane.csv") in (None, 0)
    assert len((tmp_path / "plane.csv").read_text().splitlines()) == 1 + 9 * 3


def test_a_study_is_made_again_from_its_request_and_refused_of_other_labels(
    world: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    again = tmp_path / "again"
    assert run(monkeypatch, "collect", "--config", study, "--out", again) in (None, 0)
    for name in (*MEASURED, "images.safetensors", "points.parquet"):
        assert (study / name).read_bytes() == (again / name).read_bytes(), name
    assert Config.read(study) == Config.read(again)
    moved = Path(shutil.copytree(world / "images", tmp_path / "moved"))
    third = ("collect", "--config", study, "--out", tmp_path / "third")
    assert run(monkeypatch, *third, "--images", moved) in (None, 0)
    shutil.rmtree(tmp_path / "third")
    table = moved / "labels.csv"
    table.write_text(table.read_text().replace(",0\n", ",1\n", 1))
    for options, said in (
        (("--images", moved), "no longer those"),
        (("--labels", table), "no longer those"),
        (("--texts", table), "and not both"),
        (("--most", "3"), "says itself"),
    ):
        assert said in str(run(monkeypatch, *third, *options)), options
    assert not (tmp_path / "third").exists()


def test_an_interrupted_collection_of_images_goes_on_where_it_was(
    world: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveying, "batch_of", lambda model, width: 8)
    whole = survey(request(world, tmp_path / "whole"), Silent())
    monkeypatch.setattr(surveying, "Checkpoint", partial(Checkpoint, every=0))
    asked = request(world, tmp_path / "study")
    with pytest.raises(KeyboardInterrupt):
        survey(asked, Silent("factors"))
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "study.checkpoint"}
    with pytest.raises(HillshadeError, match="of another run"):
        survey(replace(asked, seed=1), Silent())
    made = survey(asked, Silent())
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "study"}
    for name in MEASURED:
        assert (made / name).read_bytes() == (whole / name).read_bytes(), name


def test_the_class_token_alone_and_attention_may_be_collected_on(
    world: Path, tmp_path: Path
) -> None:
    asked = request(world, tmp_path / "study", positions="cls", layers=(1,), kinds=("down", "q"))
    opened = Study.open(survey(asked, Silent()))
    assert opened.factors().count == opened.manifest.counts["images collected on"]
    assert {p.kind for p in opened.factors().projections} == {"down", "q"}
    assert "--positions cls" in opened.manifest.command
    assert "the class token" in opened.manifest.convention


@pytest.mark.parametrize("most", [None, 40])
def test_the_forecast_counts_what_is_read(world: Path, tmp_path: Path, most: int | None) -> None:
    asked = request(world, tmp_path / "study", most=most)
    found = forecast(asked).work
    counts = Study.open(survey(asked, Silent())).manifest.counts
    assert found.images == counts["images"] == (most or RIGHT_THERE + WRONG_THERE + KEPT)
    assert counts["wrong labels asked"] == WRONG_THERE  # of few images these come first
    assert found.context == POSITIONS
    assert found.tokens == counts["images collected on"] * POSITIONS == counts["factor positions"]
    groups = ("wrong labels asked", "right labels asked", "images kept from training")
    assert found.asked == sum(counts[name] for name in groups) * POSITIONS


def test_estimate_prints_one_document(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("estimate", world / "model", "--images", world / "images")
    assert run(monkeypatch, *asked, "--json") in (None, 0)
    assert json.loads(capsys.readouterr().out)["work"]["image"] == [1, 8, 8]
    assert run(monkeypatch, *asked, "--positions", "cls") in (None, 0)
    assert (
        "82 images of 17 positions, asks 52 of them and collects on 30" in capsys.readouterr().out
    )


def broken(world: Path, folder: Path) -> dict[str, Path]:
    """Image folders and models that cannot serve, by what is wrong with them."""

    def images(name: str, change: Callable[[Path], object]) -> Path:
        made = Path(shutil.copytree(world / "images", folder / name))
        (made / "labels.csv").unlink()
        change(made)
        return made

    def table(text: str) -> Callable[[Path], object]:
        return lambda made: (made / "labels.csv").write_text(f"file,label,true\n{text}\n")

    def one_class(made: Path) -> None:
        for inside in made.iterdir():
            if inside.name != "class 3":
                shutil.rmtree(inside)

    def torn(made: Path) -> None:
        (made / "class 0" / "torn.png").write_bytes(b"\x89PNG and no more")

    (folder / "empty").mkdir()
    bare = folder / "bare"
    classifier(dtype=torch.float32).save_pretrained(bare)
    nobody = save_classifier(folder / "nobody", classifier(dtype=torch.float32))
    config = json.loads((nobody / "config.json").read_text())
    (nobody / "config.json").write_text(json.dumps(config | {"architectures": ["ViTModel"]}))
    resnet = classifier("resnet", dtype=torch.float32, hidden_sizes=[8, 16], depths=[1, 1])
    return {
        "empty": folder / "empty",
        "torn": images("torn", torn),
        "one class": images("one-class", one_class),
        "stranger": images("stranger", lambda made: (made / "class 3").rename(made / "goose")),
        "missing": images("missing", table("class 0/nowhere.png,class 1,class 0")),
        "unknown": images("unknown", table("class 0/0.png,goose,class 0")),
        "bare": bare,
        "nobody": nobody,
        "resnet": save_classifier(folder / "resnet", resnet),
    }


def test_bad_input_ends_in_a_sentence_and_leaves_nothing(
    world: Path, texts: World, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = broken(world, tmp_path)
    images, model = world / "images", world / "model"
    before = sorted(tmp_path.rglob("*"))
    out = ("--out", tmp_path / "out")
    plan = ("--out", tmp_path / "out.json")
    fresh = ("--images", images)
    for name, asked, said in (
        ("collect", (model, "--images", tmp_path / "nowhere", *out), "There is no folder"),
        ("collect", (model, "--images", there["empty"], *out), "holds no image"),
        ("collect", (model, "--images", there["torn"], *out), "torn.png is no picture"),
        ("collect", (model, "--images", there["one class"], *out), "of one class"),
        ("collect", (model, "--images", there["stranger"], *out), '"goose", which the model'),
        ("collect", (model, "--images", there["missing"], *out), 'names "class 0/nowhere.png"'),
        ("collect", (model, "--images", there["unknown"], *out), '"goose", which the model'),
        ("collect", (model, *fresh, "--labels", tmp_path / "no.csv", *out), "cannot be read"),
        ("collect", (there["bare"], *fresh, *out), "preprocessor_config.json"),
        ("collect", (there["nobody"], *fresh, *out), "no image classifier but ViTModel"),
        ("collect", (there["resnet"], *fresh, *out), "resnet.encoder.stages.0 has no MLP"),
        ("collect", (texts.model, *fresh, *out), "no image classifier but Olmo2ForCausalLM"),
        ("collect", (model, "--texts", texts / "texts.txt", *out), "reads no text"),
        ("collect", (model, *fresh, "--texts", texts / "texts.txt", *out), "and not both"),
        ("collect", (model, *fresh, "--context", "24", *out), "--context says nothing of images"),
        ("collect", (model, *fresh, "--most", "0", *out), "--most 0 is impossible"),
        ("collect", (model, *fresh, "--most", "14", *out), "rightly labelled"),
        ("collect", (texts.model, "--texts", texts / "texts.txt", "--most", "9", *out), "of texts"),
        ("estimate", (texts.model, *fresh), "no image classifier"),
        ("estimate", (model, "--texts", texts / "texts.txt"), "reads no text"),
        ("mine", (model, "--texts", texts / "texts.txt", "--out", tmp_path / "o.jsonl"), "no text"),
        ("audit", (study, "--mass", ".9", *plan), "reads no text"),
        ("sweep", (model, "--study", study, "--fresh", images, *plan), "no use for --fresh"),
        ("sweep", (texts.model, "--study", texts.study, *fresh, *plan), "no use for --images"),
        ("slice", (study, "--along", "ggn:1.up", "--fresh", images, *plan), "no use for --fresh"),
        ("slice", (texts.study, "--along", "ggn:1.up", *fresh, *plan), "no use for --images"),
        ("slice", (study, "--along", "spike:1.up:nobody", *plan), "There is no text nobody"),
        ("edit", (study, "--mass", ".9", "--layers-json", tmp_path / "l.json",
                  "--save", tmp_path / "out"), "export the edited model"),
    ):  # fmt: skip
        code = run(monkeypatch, name, *asked)
        assert isinstance(code, str) and said in code, (name, said, code)
        assert code.endswith(".") and "\n" not in code, code
        assert sorted(tmp_path.rglob("*")) == before, (name, said)
    assert run(monkeypatch, "collect", model, *out) == 2
    assert run(monkeypatch, "estimate", model) == 2


@pytest.mark.parametrize(
    "late",
    ["core.imagefile.opened", "core.factors.read_sums", "core.imagedata.image_points"],
)
def test_cancelling_leaves_nothing(
    late: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, interrupted)
    asked = (world / "model", "--images", world / "images", "--out", tmp_path / "out")
    assert run(monkeypatch, "collect", *asked) == 130
    assert list(tmp_path.iterdir()) == []


def test_pictures_larger_than_the_model_reads_are_stored_small(tmp_path: Path) -> None:
    """Coloured, 90 × 60: the study keeps 32 pixels a side of the square that the model sees."""
    model = classifier(dtype=torch.float32, num_channels=3, image_size=48, patch_size=16)
    save_classifier(tmp_path / "model", model)
    said = {"size": {"height": 48, "width": 48}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "model" / "preprocessor_config.json").write_text(json.dumps(said))
    rng = np.random.default_rng(0)
    for number in range(16):
        inside = tmp_path / "images" / f"class {number % 2}"
        inside.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (60, 90, 3)).astype(np.uint8)
        Picture.fromarray(pixels).save(inside / f"{number}.jpg")
    opened = Study.open(survey(request(tmp_path, tmp_path / "study", layers=(1,)), Silent()))
    assert opened.pictures is not None
    assert opened.pictures.pixels.shape == (8, 3, 32, 32)
    assert isinstance(opened.factors(), Factors) and opened.factors().count == 8 * 10
