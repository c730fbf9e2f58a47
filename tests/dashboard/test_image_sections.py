"""Single images on the Vision page: portraits, spikes, the gain; each sentence by its numbers."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import t
from streamlit.testing.v1 import AppTest

from core.images import HELD_OUT, RIGHT
from core.intervals import Estimate, wilson
from core.study import Study
from dashboard import image_sections
from dashboard.figures import (
    averaging,
    draw_estimates,
    draw_planes,
    draw_walks,
    examples,
    label_gain,
    labels,
    own_spike,
    planes,
    wall,
)
from dashboard.figures.kinds import IMAGES
from dashboard.figures.measured import ANOTHER, Measured
from dashboard.figures.portraits import Portraits
from tests.dashboard import documents, image_documents
from tests.dashboard.documents import CHOSEN as PROJECTION
from tests.dashboard.documents import Outcome
from tests.dashboard.test_figures import drawn
from tests.dashboard.test_pages import charts, component, open_page
from tests.image_study import CHOSEN, TICKS, write_image_study, wrongly_labelled


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study.open(write_image_study(tmp_path_factory.mktemp("digits")))


def holds(monkeypatch: pytest.MonkeyPatch, name: str, document: object) -> None:
    """The study holds this document."""
    monkeypatch.setattr(Study, name, property(lambda _: document))


def told(monkeypatch: pytest.MonkeyPatch, outcome: Outcome = True) -> None:
    """The study holds what single images show."""
    made = {
        "curvature": image_documents.curvature(outcome),
        "examples": image_documents.examples(wrongly_labelled(), outcome),
        "landscape": image_documents.landscape(outcome),
    }
    for name, document in made.items():
        holds(monkeypatch, name, document)


def picked(at: AppTest) -> dict[str, Any]:
    """What the component of the one picked image was given."""
    found = [
        json.loads(element.proto.json or element.proto.mixed.json)
        for element in at.get("bidi_component")
        if element.proto.component_name == "hillshade_wall"
    ]
    assert len(found) == 2
    one: dict[str, Any] = found[1]
    return one


def test_the_page_shows_single_images_and_keeps_the_one_picked(
    monkeypatch: pytest.MonkeyPatch, images: Study
) -> None:
    told(monkeypatch)
    ids = wrongly_labelled()
    at = open_page(monkeypatch, images.path, "vision", image=ids[5])
    assert not at.error and not at.warning
    assert len(charts(at)) == 10 and {chart.alt[-1] for chart in charts(at)} == {"."}
    assert component(at, "hillshade_wall")["picked"] == ids[5]
    assert component(at, "hillshade_wall")["picks"] and not picked(at)["picks"]
    assert [one["id"] for one in picked(at)["images"]] == [ids[5]]
    at.selectbox(key="image").set_value(ids[7]).run()
    assert [one["id"] for one in picked(at)["images"]] == [ids[7]]
    assert at.query_params["image"] == ids[7]
    at.session_state[image_sections.IMAGE] = ids[2]  # as a click on the wall does
    at.run()
    assert component(at, "hillshade_wall")["picked"] == ids[2] and not at.exception
    at.selectbox(key="recipe").set_value("svd").run()
    assert any("SVD takes is not stored" in text.value for text in at.markdown)
    assert not at.exception


def test_an_older_study_gets_a_sentence_and_no_buttons(
    monkeypatch: pytest.MonkeyPatch, images: Study
) -> None:
    at = open_page(monkeypatch, images.path, "vision")
    assert [note.value for note in at.info] == [image_sections.MISSING]
    assert not component(at, "hillshade_wall")["picks"] and not at.error


@pytest.mark.parametrize("broken", ["curvature", "examples"])
def test_documents_of_another_form_are_said(
    monkeypatch: pytest.MonkeyPatch, images: Study, broken: str
) -> None:
    told(monkeypatch)
    holds(monkeypatch, broken, {"own": {"ids": 3}, "findings": {}})
    at = open_page(monkeypatch, images.path, "vision")
    assert len(at.error) == 1 and f"{broken}.json" in at.error[0].value
    assert len(charts(at)) == (7 if broken == "curvature" else 9)
    assert component(at, "hillshade_wall")["tick"] == CHOSEN


@pytest.mark.parametrize("place", [0, 1, 2])
def test_sentences_follow_the_intervals_not_the_story(place: int) -> None:
    outcome: Outcome = (True, False, None)[place]
    document = image_documents.curvature(outcome)
    head = examples.headline(document, PROJECTION, 0.1, IMAGES)
    assert (
        "yes: wrongly labelled images have spikes",
        "no: wrongly labelled images show no spikes",
        "undecided",
    )[place] in head
    spikes = examples.spikes(document, PROJECTION, 0.1, "memorized", IMAGES)
    claims = examples.claims(document, PROJECTION, 0.1, IMAGES)
    found = Portraits.read(documents.portraits(outcome), PROJECTION)
    flat = averaging.averaging(found, IMAGES)
    for told_ in (head, spikes.alt, spikes.how, claims.alt, claims.how, flat.alt, *flat.said):
        assert not {"text", "texts", "string", "strings", "token", "memorized"} & set(
            told_.replace(",", " ").replace("'s", " ").split()
        )
    assert [line.name for line in spikes.panels[0].lines] == [
        "The image itself",
        "Other wrongly labelled images",
        "Rightly labelled images",
        "Images kept from training",
    ]
    assert list(drawn(draw_estimates.lines(spikes, "light"))["memorized to probes"].y)


def test_that_rightly_labelled_images_have_spikes_too_is_said() -> None:
    document = image_documents.curvature(True)
    for part in document["findings"]["projections"]:
        for step in part["steps"]:
            step["verdicts"][2]["measured"] |= {"value": 54.0, "low": 36.0, "high": 99.0}
    head = examples.headline(document, PROJECTION, 0.1, IMAGES)
    assert head.endswith("have spikes of their own; so have rightly labelled images.")


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [(True, "is this image's own."), (False, "is not this image's own."),
     (None, "but the others feel it too.")],
)  # fmt: skip
def test_a_portrait_is_told_by_its_numbers(images: Study, outcome: Outcome, verdict: str) -> None:
    ids, recipe = wrongly_labelled(), images.manifest.recipe("kfac")
    document = image_documents.own(ids, outcome)
    found = own_spike.portrait(document, ids[3], recipe, CHOSEN)
    assert found.walk.alt.endswith(verdict)
    assert "60\u00a0% lies in what the cut takes" in found.said
    shown_ = drawn(draw_walks.walk(found.walk, "dark"))
    assert list(shown_["string"].x) == [-0.2, -0.1, 0.0, 0.1, 0.2]
    for key, name in (("string", "the image itself"), (RIGHT, "rightly labelled images")):
        column = found.walk.table()[f"{name}: rise (nats an image)"]
        assert list(shown_[key].y) == list(column) and column[2] == 0.0
    rows = found.table().set_index("Along its own direction")
    assert list(rows["Own ÷ it"])[0] == "1×" and len(rows) == 5
    assert rows.loc["Other wrongly labelled images, mean of 23", "Own ÷ it"] == {
        True: "100×", False: "0.83×", None: "1.7×"
    }[outcome]  # fmt: skip
    assert list(rows["Curvature κ"])[0] == "0.53"


def test_what_an_edit_takes_is_told_only_where_it_is_known(images: Study) -> None:
    ids, recipe = wrongly_labelled(), images.manifest.recipe("kfac")
    document = image_documents.own(ids)
    still = {id_: number < 12 for number, id_ in enumerate(ids)}
    assert own_spike.taken(document, still, recipe, 0) == ""
    assert own_spike.taken(document, still, images.manifest.recipe("svd"), 3) == ""
    alike = own_spike.taken(document, still, recipe, 3)
    assert "30\u00a0% where the wrong label is gone (12)" in alike and "not told apart" in alike
    rng = np.random.default_rng(0)
    for number, row in enumerate(document["cut"]):
        document["cut"][number] = [
            value * (0.5 if still[ids[number]] else 1.0) * rng.uniform(0.95, 1.05) for value in row
        ]
    apart = own_spike.taken(document, still, recipe, 3)
    assert "told apart" in apart and "not told apart" not in apart
    few = own_spike.taken(document, dict.fromkeys(ids, False), recipe, 3)
    assert few.startswith("Over all 24 images the median is")


def test_the_gain_is_paired_image_by_image(images: Study) -> None:
    recipe, tick = images.manifest.recipe("kfac"), len(TICKS) - 1
    outputs = images.outputs
    outputs.loc[(outputs["tick"] == 0) & (outputs.index % 7 == 0), "strict"] = False
    found = label_gain.paired(outputs, images.items, recipe, tick)
    assert found is not None
    rows = outputs[outputs["recipe"] == "kfac"].set_index(["item", "tick"])["strict"]
    held = images.items[images.items["group"] == HELD_OUT]["id"]
    changes = [float(rows[id_, tick]) - float(rows[id_, 0]) for id_ in held]
    assert set(changes) == {-1.0, 0.0, 1.0}
    assert found.value == pytest.approx(np.mean(changes)) and found.n == 20
    half = t.ppf(0.975, 19) * np.std(changes, ddof=1) / math.sqrt(20)
    assert found.high - found.value == pytest.approx(half)
    none = images.outputs[images.outputs["item"].isin(set(wrongly_labelled()))]
    assert label_gain.paired(none, images.items, recipe, tick) is None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_gain_is_told_over_images_and_over_trainings(images: Study, theme: Any) -> None:
    recipe, seeds = images.manifest.recipe("kfac"), images.acceptance["seeds"]  # type: ignore[index]
    sure = label_gain.gain(Estimate(0.02, 0.01, 0.03, 20), recipe, CHOSEN, seeds)
    assert "changes by +2.0 points (95 % interval +1.0 to +3.0): that it rises holds" in sure.alt
    assert "Over 3 trainings, each at its chosen setting, the mean is +3.0 points" in sure.alt
    assert sure.alt.endswith("Of the trainings alone it holds in 2.")
    rows = sure.table().set_index("of")
    assert rows.loc["Mean of the 3", sure.x.title] == pytest.approx(3.0)
    spread = t.ppf(0.975, 2) * np.std([1.0, 3.0, 5.0], ddof=1) / math.sqrt(3)
    assert rows.loc["Mean of the 3", "high"] == pytest.approx(3.0 + spread, rel=1e-4)
    assert rows.loc["Training 1", "claim"] == "? undecided"
    drawing = draw_estimates.forest(sure, theme)
    assert set(drawing.data[0].x) == set(rows[sure.x.title])
    json.dumps(drawing.to_dict(), allow_nan=False)  # the field of a gain ends with the chart
    worse = label_gain.gain(Estimate(-0.02, -0.03, -0.01, 20), recipe, CHOSEN)
    assert "that it rises fails" in worse.alt and "trainings" not in worse.alt
    nothing = label_gain.gain(Estimate(0.0, 0.0, 0.0, 20), recipe, 0)
    assert "changes by 0.0 points" in nothing.alt and "that it rises fails" in nothing.alt


def test_another_label_has_an_interval_of_its_own(images: Study) -> None:
    measured, recipe = Measured(images), images.manifest.recipe("kfac")
    said = labels.story(measured, recipe, CHOSEN).said.table(CHOSEN).set_index("said")
    row = said.loc["Another label said"]
    count = round(row["after, share"] * row["images"])
    hung = wall.wall(images, recipe, CHOSEN)
    assert hung is not None
    assert count == sum(tile.verdict(CHOSEN) == ANOTHER for tile in hung.tiles) > 0
    assert (row["low"], row["high"]) == pytest.approx(wilson(count, int(row["images"])), abs=1e-4)


def test_planes_are_drawn_where_asked_for(monkeypatch: pytest.MonkeyPatch, images: Study) -> None:
    told(monkeypatch)
    before = charts(open_page(monkeypatch, images.path, "vision"))
    at = open_page(monkeypatch, images.path, "vision", around="planes")
    assert not at.error and len(charts(at)) == len(before) + 2  # three maps for one chart of lines
    plane = image_documents.landscape()["planes"]["spikes"]
    found = planes.maps(plane, planes.AXES_OF_IMAGES["spikes"], (0, 0), "spikes")
    assert [one.title for one in found] == [
        "The image itself", "The other image", "Rightly labelled images"
    ]  # fmt: skip
    assert "nats an image" in found[0].alt and "given label is said" in found[0].said[3][3]
    marks = drawn(draw_planes.plane(found[0], "light"))["cells from 0"]
    assert "rise" in marks.text[0]
    assert "label given said" in planes.cell(plane, (0, 0)).table().columns
