"""The Landscape page: what is said follows the numbers, and every state of a study is shown."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from core.study import Study
from dashboard import cutting, loading
from dashboard.figures import cuts, draw_planes, draw_walks, planes, valleys, walks
from tests.dashboard import slices
from tests.dashboard.documents import documented
from tests.dashboard.test_pages import charts, component, open_page


@pytest.fixture(scope="module")
def land_path(study_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("land")
    return documented(study_path, folder, {"landscape.json": slices.landscape(True)})


# -- figures, without Streamlit --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "head", "sentence"),
    [
        (True, "fresh text does not feel it", "2,000× (95 % interval 1,818× to 2,222×)"),
        (
            None,
            "but fresh text feels it too",
            "2× (95 % interval 1.8× to 2.2×) the rise of fresh text",
        ),
        (False, "no valley of its own", "not this string's own"),
    ],
)
def test_the_story_is_told_by_the_numbers(outcome: bool | None, head: str, sentence: str) -> None:
    lines = slices.landscape(outcome)["lines"]
    assert head in valleys.headline(lines)
    described = valleys.valleys(lines)
    assert sentence in described.alt.replace("\u00a0", " ")
    assert "raises fresh text by 0.15" in described.alt


def test_flat_hills_are_called_flat() -> None:
    document = slices.landscape(True)
    document["lines"]["high"] = document["lines"]["low"]
    group = document["lines"]["high"]["groups"]["fresh"]
    group["half"] = [1.0] * len(group["rise"])
    assert "does not rise for sure" in valleys.valleys(document["lines"]).alt


def test_a_walk_draws_what_was_stored() -> None:
    told = slices.landscape(True)["lines"]["spike"]
    described = walks.walk(told, "A spike", of="string")
    figure = draw_walks.walk(described, "light")
    by_meta = {trace.meta: trace for trace in figure.data if trace.meta}
    for key, group in told["groups"].items():
        assert list(by_meta[key].y) == group["rise"]
        assert list(by_meta[key].x) == told["axes"][0]["values"]
    recall = by_meta["recall string"]
    assert list(recall.y) == [float(right) for right in told["groups"]["string"]["right"]]
    assert "recall fresh" not in by_meta  # nothing of it is ever said word for word
    table = described.table()
    assert (
        table["the string itself: rise (nats a token)"].tolist()
        == (told["groups"]["string"]["rise"])
    )
    assert "0.1 % of the curvature mass" in described.how.replace("\u00a0", " ")


def test_a_prediction_is_said_to_hold_as_far_as_it_does() -> None:
    lines = slices.landscape(True)["lines"]
    spike = walks.walk(lines["spike"], "A spike", of="string")
    assert "Exact curvature (GGN) tells the rise of the string itself as far as" in spike.alt
    assert "K-FAC's curvature does not tell the rise of the string itself" in spike.alt
    edit = walks.walk(lines["edit"], "The edit", of="memorized")
    assert "Exact curvature (GGN) does not tell" in edit.alt
    flat = walks.walk(lines["low"], "Flat", of="fresh")
    assert "nothing to predict" in flat.alt


def test_reach_is_the_last_point_before_the_first_miss() -> None:
    x = [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]
    rise = [0.9, 0.4, 0.1, 0.0, 0.1, 0.4, 0.9]
    assert cuts.reaches(x, rise, rise) == 0.3
    assert cuts.reaches(x, rise, [0.9, 0.4, 0.1, 0.0, 0.1, 0.6, 0.9]) == 0.1
    assert cuts.reaches(x, rise, [5.0, 5.0, 5.0, 0.0, 0.1, 0.4, 0.9]) == 0.0
    assert cuts.reaches(x, [0.0] * 7, rise) is None
    assert cuts.reaches(x, [math.nan, *rise[1:]], rise) == 0.2


def test_a_loss_beyond_numbers_leaves_a_gap() -> None:
    told = slices.landscape(True)["lines"]["spike"]
    group = told["groups"]["string"]
    group["rise"][0] = group["half"][0] = None
    described = walks.walk(told, "A spike")
    figure = draw_walks.walk(described, "dark")
    drawn = next(trace for trace in figure.data if trace.meta == "string")
    assert drawn.y[0] is None
    assert math.isfinite(described.span[1])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_plane_and_its_marks_agree(theme: Any) -> None:
    told = slices.landscape(True)["planes"]["spikes"]
    for described in planes.maps(told, planes.AXES["spikes"], (5, 1), "spikes"):
        key = described.id.rpartition("-")[2]
        figure = draw_planes.plane(described, theme)
        contour, lower, upper = figure.data[:3]
        cells = [
            cell
            for marks in (lower, upper)
            for cell in zip(marks.x, marks.y, marks.customdata, marks.text, strict=True)
        ]
        assert len(cells) == len(described.x) * len(described.y)
        for x, y, (i, j), text in cells:
            assert (contour.x[i], contour.y[j]) == (x, y)
            assert contour.z[j][i] == told["groups"][key]["rise"][i][j]
            assert cuts.nats(contour.z[j][i]) in text
        assert draw_planes.relief(described, theme).data[0].type == "surface"
        assert len(described.table()) == len(slices.SIDE) ** 2


def test_a_map_says_which_axis_a_group_feels() -> None:
    true, false = (slices.landscape(outcome)["planes"]["spikes"] for outcome in (True, False))
    names = planes.AXES["spikes"]
    string, second, fresh = planes.maps(true, names, (0, 0), "x")
    assert "feels the first axis, not the second" in string.alt
    assert "feels the second axis, not the first" in second.alt
    assert "feels neither axis" in fresh.alt
    assert "Fresh text feels both axes" in planes.maps(false, names, (0, 0), "x")[2].alt


def test_a_cell_holds_every_group() -> None:
    told = slices.landscape(True)["planes"]["spikes"]
    found = planes.cell(told, (5, 3))
    assert found.at == (0.2, 0.0)
    rows = {row["of"]: row for row in found.rows}
    assert rows["The string itself"]["rise"] == cuts.nats(0.5 * slices.OWN * 0.2**2)
    assert rows["The string itself"]["word for word"] == "no"
    assert rows["The other string"]["word for word"] == "yes"
    assert len(rows) == len(told["groups"])


def test_the_run_is_told_with_its_recall(study: Study) -> None:
    training = dict(study.training or {})
    training |= {"plane": {"held": 0.5}, "grid": {"x": [0, 1], "y": [0, 1], "loss": [[1, 2]] * 2}}
    described = planes.run(training)
    figure = draw_planes.run(described, "light")
    path = next(trace for trace in figure.data if trace.meta == "path")
    assert list(path.x) == list(described.x)
    assert "falls" in described.alt and "shown 256 times" in described.alt
    assert "50 %" in described.how.replace("\u00a0", " ")
    training["points"] = list(reversed(training["points"]))
    assert "does not fall" in planes.run(training).alt


# -- the page --------------------------------------------------------------------------------------


def test_the_page_shows_the_document(monkeypatch: pytest.MonkeyPatch, land_path: Path) -> None:
    at = open_page(monkeypatch, land_path, "landscape")
    assert not at.error and not at.warning
    assert any("valley of its own" in text.value for text in at.header)
    drawn = charts(at)
    assert len(drawn) == 5  # valleys, one direction, three maps; the small study's run has no plane
    assert all(chart.alt.endswith(".") for chart in drawn)
    assert sum(len(chart.spec) for chart in drawn) < 300_000
    at.segmented_control(key="direction").set_value("edit").run()
    assert not at.exception and "whole edit" in charts(at)[1].alt
    assert at.query_params["direction"] in ("edit", ["edit"])


def test_a_cell_from_the_address_speaks(monkeypatch: pytest.MonkeyPatch, land_path: Path) -> None:
    from core.recall import evaluate

    monkeypatch.setenv(loading.ENVIRONMENT, str(land_path))
    at = open_page(monkeypatch, land_path, "landscape", alpha="0.3", beta="-0.1")
    assert not at.error
    assert any(text.value == "At α = 0.3, β = -0.1" for text in at.subheader)
    rows = component(at, "hillshade_texts")["rows"]
    assert [row["id"] for row in rows] == [slices.STRING, slices.SECOND]
    study = Study.open(land_path)
    model, _ = loading.model_of(study)
    items = [item for item in study.item_list() if item.id in (slices.STRING, slices.SECOND)]
    assert [row["strict"][0] for row in rows] == [int(x) for x in evaluate(model, items).strict]


def test_a_study_without_slices_says_so(monkeypatch: pytest.MonkeyPatch, study_path: Path) -> None:
    at = open_page(monkeypatch, study_path, "landscape")
    assert not at.error and not charts(at)
    assert any("landscape.json" in info.value for info in at.info)
    assert any("Estimate" in button.label for button in at.button)


def test_a_damaged_document_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path
) -> None:
    broken = slices.landscape(True)
    del broken["lines"]["spike"]["axes"]
    path = documented(study_path, tmp_path, {"landscape.json": broken})
    at = open_page(monkeypatch, path, "landscape")
    assert len(at.error) == 1 and "landscape.json" in at.error[0].value


def test_a_slice_is_cut_from_the_page(monkeypatch: pytest.MonkeyPatch, land_path: Path) -> None:
    at = open_page(monkeypatch, land_path, "landscape")
    at.selectbox(key="slice-0-kind").set_value("eigendirection").run()
    at.number_input(key="slice-points-1").set_value(5)
    at.text_area(key="slice-pasted").set_value("The old kettle faces the quiet mill.").run()
    at.button(key="slice-estimate").click().run()
    assert any("grid points" in text.value for text in at.markdown)
    at.button(key="slice-start").click().run()
    state = at.session_state["hillshade_jobs"][cutting.JOB].wait(120)
    assert state.error is None and state.result is not None
    told = state.result.told
    assert told["axes"][0]["origin"]["kind"] == "eigendirection"
    assert "pasted" in told["groups"]
    at.run()
    assert not at.exception and not at.error
    assert any(text.value == "Your slice" for text in at.subheader)
    assert "kettle" not in json.dumps({k: at.query_params[k] for k in at.query_params})


def test_impossible_orders_get_a_sentence(monkeypatch: pytest.MonkeyPatch, land_path: Path) -> None:
    at = open_page(monkeypatch, land_path, "landscape", mass="1")
    at.selectbox(key="slice-0-kind").set_value("edit").run()
    assert any("Nothing is cut" in error.value for error in at.error)
    at.selectbox(key="slice-0-kind").set_value("band").run()
    at.number_input(key="slice-0-start").set_value(200).run()
    assert any("ends before it begins" in error.value for error in at.error)
