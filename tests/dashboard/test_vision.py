"""The Vision page: what is said follows the numbers, and every state of a study is shown."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.images import RIGHT, WRONG
from core.study import Study
from dashboard import loading, onefile
from dashboard.figures import (
    clean,
    draw_estimates,
    draw_recall,
    draw_walks,
    label_claims,
    label_slices,
    labels,
    wall,
)
from dashboard.figures.findings import labels_finding
from dashboard.figures.measured import Measured, Track
from tests.dashboard import image_documents
from tests.dashboard.studies import unfit_studies
from tests.dashboard.test_figures import drawn
from tests.dashboard.test_pages import charts, component, open_page
from tests.image_study import CHOSEN, TICKS, write_image_study
from tests.pages import APP


@pytest.fixture(scope="module")
def image_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_image_study(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def images(image_path: Path) -> Study:
    return Study.open(image_path)


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch, image_path: Path, tmp_path: Path) -> None:
    """The study of images is the only one that is shipped."""
    (tmp_path / "assets" / "vision").mkdir(parents=True)
    (tmp_path / "assets" / "vision" / "study").symlink_to(image_path)
    monkeypatch.setattr(loading, "SHIPPED", tmp_path / "assets")


def test_a_study_of_images_shows_everything(
    monkeypatch: pytest.MonkeyPatch, image_path: Path
) -> None:
    at = open_page(monkeypatch, image_path, "vision")
    assert not at.error and not at.warning
    live, hung = component(at, "hillshade_live"), component(at, "hillshade_wall")
    assert component(at, "hillshade_bar")["tick"] == live["tick"] == hung["tick"] == CHOSEN
    assert len(live["findings"]) == len(TICKS)
    assert len(hung["images"]) == 24 and hung["alt"].endswith(".")
    assert {chart.alt[-1] for chart in charts(at)} == {"."} and len(charts(at)) == 5
    size = sum(len(chart.spec) for chart in charts(at)) + len(json.dumps([live, hung]))
    assert size < 300_000
    at.selectbox(key="recipe").set_value("svd").run()
    assert not at.exception
    assert component(at, "hillshade_live")["findings"][CHOSEN][0].startswith(
        "The wrong labels hold"
    )


@pytest.mark.parametrize("kind", ["missing", "empty", "truncated", "changed"])
def test_an_unfit_study_of_images_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, image_path: Path, beside: None, tmp_path: Path, kind: str
) -> None:
    folder, sentence = unfit_studies(image_path, tmp_path)[kind]
    at = open_page(monkeypatch, folder, "vision")
    assert len(at.error) == 1 and sentence in at.error[0].value
    assert not charts(at)


def test_documents_may_be_missing_or_of_another_form(
    monkeypatch: pytest.MonkeyPatch, image_path: Path
) -> None:
    monkeypatch.setattr(Study, "acceptance", property(lambda _: {"seeds": [{"seed": 0}]}))
    monkeypatch.setattr(Study, "training", property(lambda _: None))
    at = open_page(monkeypatch, image_path, "vision")
    assert "acceptance.json" in at.error[0].value and len(charts(at)) == 2


def test_a_first_visit_gets_the_first_screen_alone(
    monkeypatch: pytest.MonkeyPatch, image_path: Path
) -> None:
    monkeypatch.setenv(loading.ENVIRONMENT, str(image_path))
    at = AppTest.from_file(str(APP), default_timeout=60).run()
    at.switch_page("app_pages/vision.py").run()
    names = {element.proto.component_name for element in at.get("bidi_component")}
    assert {"hillshade_painted", "hillshade_wall"} <= names and not charts(at)


def test_the_page_lends_the_study_of_images_and_gives_the_other_back(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, beside: None
) -> None:
    at = open_page(monkeypatch, study_path, "recall", recipe="svd", mass="0.95")
    text = component(at, "hillshade_bar")
    at.switch_page("app_pages/vision.py").run()
    assert at.selectbox(key="study").options == ["Shipped image classifier"]
    bar = component(at, "hillshade_bar")
    assert bar["study"] != text["study"] and bar["tick"] == CHOSEN
    at.session_state["hillshade_ticks"] = {"kfac": 2}
    at.run()
    at.switch_page("app_pages/recall.py").run()
    assert component(at, "hillshade_bar") == text
    at.switch_page("app_pages/vision.py").run()
    assert component(at, "hillshade_bar")["tick"] == 2
    # A link out of it is a wish: the spectrum of the images.
    at.switch_page("app_pages/spectrum.py")
    at.query_params["study"] = "vision"
    at.run()
    assert component(at, "hillshade_bar")["study"] == bar["study"] and not at.exception


@pytest.mark.parametrize("page", ["start", "recall", "examples", "landscape"])
def test_pages_of_texts_say_that_a_study_is_of_images(
    monkeypatch: pytest.MonkeyPatch, image_path: Path, page: str
) -> None:
    at = open_page(monkeypatch, image_path, page)
    assert any("of images" in header.value for header in at.header)
    assert not at.error and not charts(at)
    assert [link.proto.page for link in at.get("page_link")] == ["vision"]


@pytest.mark.parametrize("page", ["spectrum", "studies"])
def test_pages_of_any_study_show_one_of_images(
    monkeypatch: pytest.MonkeyPatch, image_path: Path, page: str
) -> None:
    at = open_page(monkeypatch, image_path, page)
    assert not at.error
    assert b"id='recall-live'" not in onefile.page(at.session_state["hillshade_view"])


def test_a_study_of_texts_alone_is_said_and_leads_on(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(loading, "SHIPPED", tmp_path)
    at = open_page(monkeypatch, study_path, "vision")
    assert any("of texts" in header.value for header in at.header)
    assert {link.proto.page for link in at.get("page_link")} == {"recall", "studies"}


def test_the_wall_says_what_the_tables_say(images: Study) -> None:
    recipe = images.manifest.recipe("kfac")
    hung = wall.wall(images, recipe, CHOSEN)
    assert hung is not None
    pictures, sent = images.pictures, hung.payload()
    assert pictures is not None
    ids = list(images.items["id"])
    measured = Measured(images)
    for tile, one in zip(hung.tiles, sent["images"], strict=True):
        place = ids.index(tile.id)
        assert bytes.fromhex(one["pixels"]) == pictures.pixels[place, 0].tobytes()
        assert (tile.given, tile.true) == (str(pictures.given[place]), str(pictures.true[place]))
        told = {tick: label for tick, label, _ in one["said"]}
        assert [told[max(t for t in told if t <= tick)] for tick in range(len(TICKS))] == list(
            tile.said
        )
    for tick in range(len(TICKS)):
        counts = Counter(hung.table(tick)["which is"])
        for key, word in (("reproduced", "wrong label"), ("recovered", "true label")):
            share = measured.score(recipe, WRONG, key).value[tick]
            assert counts[word] == pytest.approx(share * len(hung.tiles), abs=1e-3)
    bars = labels.story(measured, recipe, CHOSEN).said.table(CHOSEN)
    assert bars["after, share"][:3].sum() == pytest.approx(1.0, abs=1e-4)


def test_thumbnails_are_means_of_blocks() -> None:
    rng = np.random.default_rng(0)
    large = rng.integers(0, 256, (2, 3, 40, 30)).astype(np.uint8)
    small = wall.thumbnails(large)
    assert small.shape == (2, 13, 10)
    assert small[1, 2, 3] == round(float(large[1, :, 6:9, 9:12].mean()))
    grey = large[:, :1, :8, :8]
    assert (wall.thumbnails(grey) == grey[:, 0]).all()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_show_the_numbers_of_their_tables(images: Study, theme: Any) -> None:
    measured, recipe = Measured(images), images.manifest.recipe("kfac")
    curves = labels.full_curves(measured, recipe, CHOSEN)
    shown = drawn(draw_recall.curves(curves, CHOSEN, theme))
    for panel in curves.panels:
        for line in panel.series:
            column = curves.table()[f"{line.name}, {panel.unit}"]
            assert list(shown[line.key].y) == list(column) == list(line.y)
    methods = [(r, r.title) for r in images.recipes]
    frontier = clean.frontier(measured, methods, measured.cost(recipe).value[CHOSEN])
    table = frontier.table()
    shown = drawn(draw_estimates.lines(frontier, theme))
    for one, name in methods:
        assert list(shown[one.id].y) == list(table[table["of"] == name]["value"])
    told = label_claims.claims(measured, recipe, CHOSEN, images.acceptance["seeds"])  # type: ignore[index]
    forest = draw_estimates.forest(told, theme)
    assert set(forest.data[0].x) <= set(told.table().iloc[:, 2])
    fields = {(shape.x0, shape.x1) for shape in forest.layout.shapes if shape.type == "rect"}
    assert fields == {(-0.04, 0.05), (0.66, 1.04), (0.97, 1.04)}
    learnt = labels.learnt(images.training["points"])  # type: ignore[index]
    assert list(drawn(draw_estimates.lines(learnt, theme))["recovered"].x) == [300, 900, 1500]


def test_equal_accuracy_is_that_of_the_rightly_labelled(images: Study) -> None:
    measured, recipe = Measured(images), images.manifest.recipe("kfac")
    right = measured.score(recipe, RIGHT, "accuracy")
    cost = measured.cost(recipe)
    assert cost.value[0] == 1.0
    assert cost.value[-1] == pytest.approx(1.0 + right.value[0] - right.value[-1], abs=1e-4)
    assert cost.low[-1] <= cost.value[-1] <= cost.high[-1]
    row = clean.at_equal_loss(measured, [(recipe, "K-FAC", CHOSEN)]).iloc[0]
    assert row["Right-label accuracy"].startswith("100\u00a0%")


def _track(*points: tuple[float, float, float]) -> Track:
    value, low, high = zip(*points, strict=True)
    return Track(value, low, high, 100)


BEFORE = (1.0, 0.96, 1.0)
STAYS = _track(BEFORE, BEFORE)


@pytest.mark.parametrize(
    ("after", "head"),
    [
        ((0.02, 0.0, 0.07), "The wrong labels are forgotten: 2 of 100"),
        ((0.2, 0.13, 0.29), "Most wrong labels are forgotten"),
        ((0.45, 0.35, 0.55), "About half of the wrong labels are forgotten"),
        ((0.8, 0.71, 0.87), "Some wrong labels are forgotten"),
        ((0.98, 0.93, 0.99), "The wrong labels hold: 98 of 100 are said, 100 before."),
    ],
)
def test_the_finding_follows_the_interval(after: tuple[float, float, float], head: str) -> None:
    found = labels_finding(
        1, _track(BEFORE, after), _track((0, 0, 0), (0.8, 0.7, 0.9)), STAYS, STAYS
    )
    assert found.head.startswith(head)
    assert "Not told apart from before" in found.rest


def test_of_few_wrong_labels_nothing_is_said_that_their_interval_leaves_open() -> None:
    six = _track((1.0, 0.61, 1.0), (5 / 6, 0.44, 0.97))
    found = labels_finding(1, six, _track((0, 0, 0), (0, 0, 0.39)), STAYS, STAYS)
    assert found.head.startswith("These are too few wrong labels to tell how many are forgotten: ")


def test_what_is_claimed_and_false_reads_so(images: Study) -> None:
    fallen = _track(BEFORE, (0.7, 0.6, 0.78))
    risen = _track((0.8, 0.75, 0.85), (0.95, 0.9, 0.98))
    never = _track((0, 0, 0), (0.1, 0.05, 0.2))
    found = labels_finding(1, _track(BEFORE, (0.0, 0.0, 0.04)), never, fallen, risen)
    assert "said for no more than 10" in found.rest
    assert "down from 100\u00a0% to 70\u00a0%" in found.rest and "up from 80\u00a0%" in found.rest
    measured = Measured(images)
    kept = label_claims.verdicts(labels.tracks(measured, images.manifest.recipe("svd")), CHOSEN)
    assert kept["reproduced"].holds is False and kept["recovered"].holds is False
    cut = labels.tracks(measured, images.manifest.recipe("kfac"))
    assert label_claims.verdicts(cut, CHOSEN)["recovered"].holds is not False
    told = label_claims.claims(measured, images.manifest.recipe("svd"), CHOSEN)
    assert "2 fail" in told.alt


def test_the_strongest_cut_that_costs_no_more() -> None:
    nan = float("nan")
    assert clean.strongest((1.0, 0.99, 1.0, 1.03, nan, 1.3), 1.01) == 2
    assert clean.strongest((1.0, 1.2), 0.9) == 0


@pytest.mark.parametrize(
    ("own", "verdict"),
    [(True, "is this image's own."), (False, "is not this image's own.")],
)
def test_slices_are_told_by_their_numbers(own: bool, verdict: str) -> None:
    described = label_slices.slices(image_documents.landscape(own))
    assert verdict in described.alt and "string" not in described.alt
    drawing = draw_walks.valleys(described, "light")
    assert drawing.layout.yaxis.title.text == "rise (nats an image)"
    told = set(described.table()["of"])
    assert "the image itself" in told and "images kept from training" in told


def test_stored_slices_stand_on_the_page(monkeypatch: pytest.MonkeyPatch, image_path: Path) -> None:
    monkeypatch.setattr(Study, "landscape", property(lambda _: image_documents.landscape()))
    at = open_page(monkeypatch, image_path, "vision")
    assert not at.error and len(charts(at)) == 6
