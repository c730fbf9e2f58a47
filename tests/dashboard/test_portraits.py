"""Single examples on their page: what is told follows the numbers; pins, search, and live maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.curvature.examples import Example
from core.curvature.maps import example_map
from core.projection import find_projections
from core.study import Study
from dashboard import loading, map_section, portraits_sections
from dashboard.figures import averaging, bands, draw_estimates, draw_portraits, portraits, rows
from dashboard.figures.describe import MAX_POINTS
from dashboard.figures.portraits import Portraits
from tests.dashboard import documents
from tests.dashboard.documents import CHOSEN, COUNT
from tests.dashboard.test_pages import charts, component, open_page

PINS = {"A": "passage/0", "B": f"fresh/{COUNT}"}


def read(outcome: documents.Outcome = True) -> Portraits:
    return Portraits.read(documents.portraits(outcome), CHOSEN)


FLATTER = ("lie in flatter directions", "but in steeper ones", "not told apart")
FASTER = ("flatten faster than fresh text.", "no, slower", "is undecided")
OVER = ("12 of 12 memorized strings", "0 of 12 memorized strings", "")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_sentences_follow_the_numbers_not_the_story(place: int) -> None:
    found = read((True, False, None)[place])
    groups = bands.groups(found, [1.0] * 6, None)
    assert f"{FLATTER[place]} (medians" in groups.alt
    assert FASTER[place] in averaging.averaging(found).alt
    assert OVER[place] in bands.heatmap(found, "share", PINS, None).alt
    kept = averaging.averaging(found).alt
    memorized, fresh = kept.split("Another fresh")
    assert ("flattens the spike" in memorized) == (place == 0)
    assert ("keeps most of it" in fresh) == (place == 0)


def test_bars_are_means_over_the_first_examples() -> None:
    found = read()
    made = averaging.averaging(found)
    assert (made.steps[0], made.steps[-1]) == (1, COUNT)
    for group, skyline in zip(("memorized", "fresh"), made.skylines, strict=True):
        table = found.kappa[group]
        for n, heights in zip(made.steps, skyline.heights, strict=True):
            truth = [table[x, :n].mean() / table[x, x] for x in range(COUNT)]
            assert np.allclose(heights, truth, rtol=5e-3)
        assert skyline.heights[0][0] == 1.0
    payload = json.loads(json.dumps(made.payload(), allow_nan=False))
    assert len(payload["said"]) == len(payload["steps"])
    left = made.table().iloc[len(made.steps) - 1]
    assert f"{left.iloc[3] * 100:.1f}" in made.said[-1]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_charts_show_the_stored_numbers(theme: Any) -> None:
    found = read()
    groups = bands.groups(found, [0.1] * 6, 100.0)
    assert groups.panels[0].guide is not None and "left out" not in groups.how
    unknown = bands.groups(found, None, 100.0)  # of factors whose scale nobody knows
    assert unknown.panels[0].guide is None and "their scale is unknown" in unknown.how
    pair = bands.pinned(found, PINS, None)
    for chart in (groups, pair):
        fig = draw_estimates.lines(chart, theme)
        assert max(len(trace.x) for trace in fig.data) <= MAX_POINTS
        drawn = {trace.meta: trace for trace in fig.data if trace.meta}
        for panel in chart.panels:
            for line in panel.lines:
                assert list(drawn[line.key].y) == [panel.y.shown(e.value) for e in line.y]
    memorized = next(line for line in groups.panels[1].lines if line.key == "share memorized")
    mine = found.shares[found.groups["memorized"]]
    assert np.allclose([e.value for e in memorized.y], np.median(mine, axis=0), rtol=1e-4)
    assert np.allclose(found.shares.sum(1), 1.0)
    for colour, values in (("share", found.shares), ("density", found.densities)):
        described = bands.heatmap(found, colour, PINS, 100.0)
        ids = [id_ for id_, _ in described.rows]
        assert sorted(ids) == sorted(found.ids)
        assert np.array_equal(described.values, values[[found.ids.index(id_) for id_ in ids]])
        # In each group the flattest come first, and the pins stand at their rows.
        for _, first, after in described.groups:
            flat = [found.flat[found.ids.index(id_)] for id_ in ids[first:after]]
            assert flat == sorted(flat, reverse=True)
        assert {pin: ids[row] for pin, row in described.pins.items()} == PINS
        fig = draw_portraits.heatmap(described, theme)
        marks = next(trace for trace in fig.data if trace.meta == "rows")
        assert list(marks.customdata) == ids and len(marks.x) <= MAX_POINTS
        assert len(fig.to_json()) < 60_000


def test_the_list_is_searched_by_words_and_says_what_came_back(study: Study) -> None:
    recipe = study.manifest.recipe("kfac")
    said = rows.continuations(study.outputs, recipe)
    ids = tuple(r["id"] for r in rows.pick(study.items, "memory", "passage"))[:2]
    found = Portraits.read(documents.portraits(True, ids), CHOSEN)
    pins = {"A": ids[0], "B": f"fresh/{COUNT}"}
    last = len(recipe.ticks) - 1
    table = portraits.listed(found, said, last, pins)
    assert tuple(table.index) == found.ids
    for id_ in ids:
        outcome = [("recited" if said[id_][1][t] else "broken") for t in (0, last)]
        assert [table.loc[id_, "before"], table.loc[id_, "after"]] == outcome
    assert table["pin"].tolist().count("A") == 1 and table.loc[ids[0], "pin"] == "A"
    assert table.loc[f"fresh/{COUNT}", "after"] == "–"
    assert portraits.listed(found, said, 0, pins, "KETTLE 25 mill").index.tolist() == [
        found.ids[25]
    ]
    assert portraits.listed(found, said, 0, pins, "nowhere").empty
    side = portraits.compared(found, said, last, pins).set_index("Measure")
    assert side.loc["What it is"].tolist() == ["Memorized string, shown 256×", "Fresh text"]
    shares = [row for row in side.index if row.startswith("Of it at ranks")]
    assert shares[-1].endswith("to 2,048")


# -- the page --------------------------------------------------------------------------------------


def whole(study: Path, folder: Path, outcome: documents.Outcome = True) -> Path:
    found = {
        "curvature.json": documents.curvature(outcome),
        "examples.json": documents.portraits(outcome),
    }
    return documents.documented(study, folder, found)


def pinned_now(at: AppTest) -> list[str]:
    table = next(frame.value for frame in at.dataframe if "pin" in frame.value.columns)
    marked = table[table["pin"] != ""]
    return [marked.index[marked["pin"] == name][0] for name in ("A", "B")]


def test_pins_stand_in_the_address(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path
) -> None:
    folder = whole(study_path, tmp_path)
    at = open_page(monkeypatch, folder, "examples")
    assert not at.error and not at.warning
    assert pinned_now(at) == list(PINS.values()) and "a" not in at.query_params
    assert sum(len(chart.spec) for chart in charts(at)) < 300_000
    assert all(chart.alt.endswith(".") for chart in charts(at))
    assert component(at, "hillshade_averaging")["steps"][-1] == COUNT

    at.session_state["a"] = "passage/5"
    at.run()
    assert pinned_now(at) == ["passage/5", PINS["B"]]
    assert at.query_params["a"] in ("passage/5", ["passage/5"])
    at.session_state["b"] = "logic/24"
    at.run()
    assert pinned_now(at) == ["passage/5", "logic/24"]
    again = open_page(monkeypatch, folder, "examples", a="passage/5", b="logic/24")
    assert pinned_now(again) == ["passage/5", "logic/24"]
    bad = open_page(monkeypatch, folder, "examples", a="<b>nothing", b="logic/24")
    assert pinned_now(bad) == ["passage/0", "logic/24"]


def test_pin_takes_turns_and_ignores_what_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    memory: dict[str, str] = {"a": "x", "b": "y"}
    monkeypatch.setattr(st, "session_state", memory)
    for id_, pins in (("p", "py"), ("q", "pq"), ("p", "pq"), ("r", "rq")):
        portraits_sections.pin(id_)
        assert memory["a"] + memory["b"] == pins


@pytest.mark.parametrize(
    ("document", "sentence"),
    [(None, "no single examples one by one"), ({"examples": []}, "another version")],
)
def test_without_single_examples_the_rest_is_shown(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path, document: Any, sentence: str
) -> None:
    found = {"curvature.json": documents.curvature()}
    found |= {} if document is None else {"examples.json": document}
    at = open_page(monkeypatch, documents.documented(study_path, tmp_path, found), "examples")
    said = [element.value for element in (*at.info, *at.error)]
    assert len(said) == 1 and sentence in said[0]
    assert len(charts(at)) == 9


def test_another_projection_in_view_is_said(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path
) -> None:
    at = open_page(monkeypatch, whole(study_path, tmp_path), "examples")
    assert at.selectbox(key="projection").value == CHOSEN  # where single examples are told
    at.selectbox(key="projection").set_value("model.layers.1.mlp.down_proj").run()
    assert any("not in layer 1, down" in info.value for info in at.info)
    assert not at.error and not at.exception


def compute(at: AppTest, text: str) -> Any:
    at.text_area(key="map-text").set_value(text)
    next(b for b in at.button if b.label == "Compute the map").click()
    at.run()
    job = at.session_state["hillshade_jobs"].get(map_section.JOB)
    if job is not None:
        job.wait(60)
        at.run()
    assert not at.exception
    return job


def test_a_map_of_ones_own_text_is_the_engines_and_stays_out_of_the_address(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path
) -> None:
    at = open_page(monkeypatch, whole(study_path, tmp_path), "examples")
    text = "The old kettle faces the quiet mill."
    result = compute(at, text).state.result
    study = loading.open_study(tmp_path / "study")
    model, tokenizer = loading.model_of(study)
    projection = next(p for p in find_projections(model) if p.name == CHOSEN)
    example = Example.of_text(tokenizer.encode(text))
    truth = example_map(model, study.basis(CHOSEN), projection, example)
    assert result.cells.sum() == pytest.approx(float(truth.sum()), rel=1e-5)
    assert result.sums.sum() == pytest.approx(float(truth.sum()), rel=1e-5)
    assert max(result.cells.shape) <= 64
    assert any(chart.alt.startswith("In layer 1, up, your text") for chart in charts(at))
    assert "kettle" not in json.dumps(dict(at.query_params))
    assert "too short" in compute(at, "a").state.error
    assert any("too short" in error.value for error in at.error)
    assert "pin A" in compute(at, "").state.result.name
