"""A study of one's own images on the pages: made there, shown on Vision, its edit taken along."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest
from transformers import AutoModelForImageClassification

from core.edit import edited
from core.imagefile import read_images
from core.model import load_model
from core.preparation import load_preparation
from core.recipe import load_recipe
from core.request import Request
from core.study import Study
from core.survey import survey
from dashboard import exports, state
from dashboard.figures.measured import Measured
from dashboard.making import maker
from tests.core.test_cli import run
from tests.core.test_survey import Silent
from tests.dashboard.test_pages import charts, component, open_page
from tests.dashboard.test_studies_page import fill, press, tables
from tests.image_world import WRONG, make_image_world

pytestmark = pytest.mark.usefixtures("own_studies")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_image_world(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def study(world: Path) -> Path:
    asked = Request(str(world / "model"), None, world / "own", images=world / "images")
    return survey(asked, Silent())


def sentences(at: AppTest) -> str:
    return " ".join(element.value for element in (*at.info, *at.markdown, *at.header))


def test_it_opens_on_vision_and_spectrum(monkeypatch: pytest.MonkeyPatch, study: Path) -> None:
    at = open_page(monkeypatch, study, "vision")
    assert not at.error and not at.warning
    live, hung = component(at, "hillshade_live"), component(at, "hillshade_wall")
    assert len(hung["images"]) == WRONG // 2 and len(live["findings"]) >= 20
    assert live["findings"][0][0] == "Nothing is cut yet: 6 of 6 wrong labels are said."
    at.switch_page("app_pages/spectrum.py").run()
    assert not at.exception and not at.error and charts(at)


def test_without_wrong_labels_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch, world: Path, tmp_path: Path
) -> None:
    images = Path(shutil.copytree(world / "images", tmp_path / "images"))
    (images / "labels.csv").unlink()
    path = survey(Request(str(world / "model"), None, tmp_path / "s", images=images), Silent())
    at = open_page(monkeypatch, path, "vision")
    assert not at.error and not at.warning
    live = component(at, "hillshade_live")
    assert {head for head, _ in live["findings"]} == {
        "No wrong label is known here, so only what a cut costs is shown."
    }
    assert "ightly labelled images" in live["findings"][-1][1]
    assert "stores no labels said of its wrongly labelled images" in sentences(at)
    at.switch_page("app_pages/studies.py").run()
    assert not at.exception and not at.error


def test_its_edit_is_taken_along_as_that_of_a_language_model_is(
    world: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_page(monkeypatch, study, "studies")
    buttons = [button.proto.label for button in at.get("download_button")]
    assert "Edited model, for transformers" in buttons and "Recipe and kept pairs" in buttons
    assert "The paper's layers-json" not in buttons  # it knows language models only
    assert any("hillshade edit" in code.value for code in at.code)
    opened = Study.open(study)
    (recipe,) = opened.recipes
    view = state.View(opened, Measured(opened), recipe, 8, recipe.projections[0], "light")
    for name, data in (("recipe", exports.recipe(view)), ("model", exports.model(view))):
        zipfile.ZipFile(io.BytesIO(data)).extractall(tmp_path / name)
    cut = tmp_path / "recipe" / "kfac.json"
    made, kept = load_recipe(cut)
    model = load_model(world / "model")
    wanted: Any = edited(model, made, opened.bases("kfac"), kept=kept)
    read = read_images(world / "images", model, load_preparation(world / "model", model)).images
    pixels = torch.stack([image.pixels for image in read])
    with torch.no_grad():
        expected = wanted(pixel_values=pixels).logits
        assert not torch.equal(expected, model(pixel_values=pixels).logits)
        assert run(monkeypatch, "edit", study, "--recipe", cut, "--save", tmp_path / "cut") in (
            None, 0,
        )  # fmt: skip
        for folder in (tmp_path / "model" / "model", tmp_path / "cut"):
            again: Any = AutoModelForImageClassification.from_pretrained(folder).eval()
            assert torch.equal(again(pixel_values=pixels).logits, expected)
            assert load_preparation(folder, again) == load_preparation(world / "model", model)


def test_it_is_made_on_the_studies_page(
    monkeypatch: pytest.MonkeyPatch, world: Path, study: Path, tmp_path: Path
) -> None:
    at = open_page(monkeypatch, study, "studies")
    fill(at, model=str(world / "model"), data=str(world / "images"), tokens="100", out="mine")
    press(at, "Estimate what it takes")
    assert "--tokens says nothing of images" in at.error[0].value
    fill(at, tokens="", most="60", known=str(world / "images" / "labels.csv"))
    press(at, "Estimate what it takes")
    assert not at.error and "60 images of 17 positions" in tables(at)
    assert any("--images images --labels labels.csv" in code.value for code in at.code)
    press(at, "Make the study")
    job = maker.job
    assert job is not None
    ended = job.wait(110)
    assert ended.study == tmp_path / "own" / "mine", ended
    at.run()
    press(at, "Show it")
    assert at.selectbox(key="study").value == "mine"
    at.switch_page("app_pages/vision.py").run()
    assert not at.exception and not at.error
    assert len(component(at, "hillshade_wall")["images"]) == WRONG // 2
