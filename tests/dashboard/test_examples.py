"""The charts of single examples and of the audit: sentences by the intervals, numbers as stored."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from core.intervals import Estimate
from dashboard.figures import activations, audit, draw_estimates, examples, shared, stages
from dashboard.figures.describe import MAX_POINTS
from dashboard.figures.estimates import Forest, Line, Lines, Panel, log_scale, multiple, stored
from tests.dashboard import documents
from tests.dashboard.documents import CHOSEN
from tests.dashboard.studies import unfit_studies
from tests.dashboard.test_pages import charts, component, open_page

STEP = 0.1


def described(outcome: documents.Outcome) -> dict[str, Lines | Forest]:
    document = documents.curvature(outcome)
    grown = stages.growth(document)
    assert grown is not None
    every: list[Lines | Forest] = [
        examples.spikes(document, CHOSEN, STEP, "memorized"),
        examples.spikes(document, CHOSEN, STEP, "fresh"),
        examples.claims(document, CHOSEN, STEP),
        grown,
        shared.flattening(document, CHOSEN),
        shared.overlaps(document, CHOSEN),
        shared.hills(document, CHOSEN, STEP),
        activations.detector(document),
        activations.activation(document),
    ]
    left = documents.audit()
    numbers = audit.canaries(left)
    assert numbers is not None
    every += [audit.ways(left), audit.relearning(left), numbers]
    return {chart.id: chart for chart in every}


def drawn(chart: Lines | Forest, theme: Any) -> go.Figure:
    if isinstance(chart, Lines):
        return draw_estimates.lines(chart, theme)
    return draw_estimates.forest(chart, theme)


def centres(chart: Lines | Forest) -> Iterator[tuple[str, list[float], list[Estimate]]]:
    """By trace: where its values must lie, and what they are."""
    if isinstance(chart, Lines):
        for panel in chart.panels:
            for line in panel.lines:
                yield line.key, [panel.y.shown(e.value) for e in line.y], list(line.y)
        return
    marks = [mark for row in chart.rows for mark in row.marks]
    for key in dict.fromkeys(f"{mark.group} {mark.name}" for mark in marks):
        values = [mark.value for mark in marks if f"{mark.group} {mark.name}" == key]
        yield key, [chart.x.shown(e.value) for e in values], values


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("outcome", [True, False, None])
def test_charts_show_the_stored_numbers(outcome: documents.Outcome, theme: str) -> None:
    for chart in described(outcome).values():
        fig = drawn(chart, theme)
        table = chart.table()
        traces = {trace.meta: trace for trace in fig.data if trace.meta}
        told = []
        for key, places, values in centres(chart):
            trace = traces[key]
            assert list(trace.y if isinstance(chart, Lines) else trace.x) == places
            assert list(trace.customdata) == [draw_estimates.said(e) for e in values]
            bar = trace.error_y if isinstance(chart, Lines) else trace.error_x
            if bar.array is not None:
                assert min(bar.array) >= 0 and min(bar.arrayminus) >= 0
            told += values
        assert sorted(table["low"]) == sorted(e.low for e in told)
        assert chart.alt.endswith(".") and chart.how.endswith(".")
        assert max(len(trace.x) for trace in fig.data) <= MAX_POINTS
        text = fig.to_json()
        assert len(text) < 60_000
        assert not {"NaN", "Infinity"} & set(text.replace('"', " ").split())
        json.loads(text, parse_constant=lambda said: pytest.fail(said))


HEADS = {
    "spikes-memorized": ("at least 10× holds", "at least 10× fails", "at least 10× is undecided"),
    "spikes-fresh": ("1.5 holds", "1.5 fails", "1.5 is undecided"),
    "claims": ("9 of 9 hold, 0 fail", "0 of 9 hold, 9 fail", "0 of 9 hold, 0 fail, 9 are"),
    "flattening": (
        "strings flatten faster than fresh text: over",
        "flatten no faster",
        "stays undecided",
    ),
    "overlaps": ("point further apart than those", "point no further", "stays undecided"),
    "hills": ("directions are hills for all kinds", "are not hills for all", "stays undecided"),
    "detector": (
        "exceeds it beyond the intervals in 6 of 6",
        "exceeds it beyond the intervals in none of 6",
        "exceeds it beyond the intervals in none of 6",
    ),
    "activation": ("as in the paper: more", "the other way round", "not as in the paper"),
}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_sentences_follow_the_intervals_not_the_story(place: int) -> None:
    outcome = (True, False, None)[place]
    charts = described(outcome)
    for name, said in HEADS.items():
        assert said[place] in charts[name].alt, name
        for other in {said[0], said[1], said[2]} - {said[place]}:
            assert other not in charts[name].alt, name
    answer = examples.headline(documents.curvature(outcome), CHOSEN, STEP)
    assert (": memorized strings have", " no: ", " undecided: ")[place] in answer
    detector = charts["detector"].alt
    assert ("better than the loss", "The loss tells", "Neither is told apart")[place] in detector
    assert "In pairs of texts of equal loss nothing can be said" in detector
    assert charts["claims"].rows[1].judged == ("✓ holds", "✗ fails", "? undecided")[place]  # type: ignore[union-attr]


def test_every_ratio_stands_beside_what_it_compares() -> None:
    alt = described(True)["spikes-memorized"].alt
    assert "Own is 80× (95 % interval 67× to 96×) that of fresh text" in alt
    assert "It is 12× (95 % interval 10× to 14×) that of the other memorized" in alt
    assert "own loss rises by 0.2 nats a token, that of the other memorized strings by 0.017" in alt


def test_growth_is_told_only_where_the_intervals_part() -> None:
    """Spikes that shrink beyond the intervals, that may, and that are largest at the end."""
    document = documents.curvature()

    def alt(*ratios: tuple[float, float]) -> str:
        for stage, (value, wide) in zip(document["stages"], ratios, strict=True):
            measured = {"value": value, "low": value / wide, "high": value * wide, "n": 26}
            stage["rises"]["verdicts"][1]["measured"] = measured
        grown = stages.growth(document)
        assert grown is not None
        return grown.alt

    assert "stood out more before: after 100 steps, 30×" in alt((30, 1.2), (9, 1.2), (3, 1.2))
    assert "not told apart" in alt((4, 1.5), (2, 1.5), (3, 1.5))
    assert "most at the end" in alt((1, 1.2), (2, 1.2), (3, 1.2))
    for few in (0, 1):
        assert stages.growth({**document, "stages": document["stages"][:few]}) is None


def test_what_is_infinite_or_negative_is_said_and_drawn_at_the_edge() -> None:
    ratio = stored({"value": None, "low": 12.8, "high": None, "n": 32})
    assert ratio == Estimate(math.inf, 12.8, math.inf, 32)
    said = "beyond any multiple of fresh text, which is not positive (95 % interval from 13×)"
    assert multiple(ratio, "fresh text") == said
    values = (Estimate(-0.01, -0.02, 0.001, 9), Estimate(0.2, 0.1, 0.3, 9), ratio)
    scale = log_scale("rise", values[:2])
    assert scale.span[0] == pytest.approx(0.6 * 0.2) and scale.span[1] == pytest.approx(0.375)
    line = Line("own", "memorized own", "Own", (0.03, 0.1, 0.3), values)
    chart = Lines("x", "X", examples.steps_scale((0.03, 0.1, 0.3)), (), "How.", "Alt.")
    panel = Panel(scale, (line,))
    chart = Lines(chart.id, chart.title, chart.x, (panel,), chart.how, chart.alt)
    trace = next(t for t in draw_estimates.lines(chart, "light").data if t.meta == "own")
    assert list(trace.y) == [scale.span[0], 0.2, scale.span[1]]
    assert trace.customdata[0].startswith("−0.01 ")
    assert chart.table()["value"].tolist() == [-0.01, 0.2, math.inf]


def test_an_audit_is_told_as_it_came_out() -> None:
    left, clean = documents.audit(left=1), documents.audit(left=0)
    ways = audit.ways(left)
    assert "0\u00a0% of the strings come back, 100\u00a0% before" in ways.alt
    assert "the prompt that gets most is “half of the suffix more”, 5\u00a0%" in ways.alt
    assert "in any way at all 10\u00a0%" in ways.alt  # one by a prompt, another after training
    assert "no other prompt gets more" in audit.ways(clean).alt
    assert "1 of 20 strings comes back" in audit.relearning(left).alt
    assert "None of 20 strings comes back" in audit.relearning(clean).alt
    exposed, unexposed = audit.canaries(left), audit.canaries(clean)
    assert exposed is not None and unexposed is not None
    assert "1 of 2 planted numbers is likelier" in exposed.alt
    assert "0 of 2 planted numbers are likelier" in unexposed.alt
    after = [row.marks[1].value for row in exposed.rows]
    for shown, record in zip(after, left["canaries"], strict=True):
        assert shown == stored(record["bits"])
    assert audit.canaries({**left, "canaries": []}) is None


# -- the pages -------------------------------------------------------------------------------------


def both(study: Path, folder: Path, outcome: documents.Outcome = True) -> Path:
    found = {"curvature.json": documents.curvature(outcome), "audit.json": documents.audit()}
    return documents.documented(study, folder, found)


def test_the_page_shows_every_chart_and_keeps_the_view(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path
) -> None:
    folder = both(study_path, tmp_path, False)
    at = open_page(monkeypatch, folder, recipe="svd", mass="0.95", step="0.3")
    at.switch_page("app_pages/examples.py").run()
    assert not at.exception and not at.error and not at.warning
    assert len(charts(at)) == len(at.expander) == 9
    assert all(chart.alt.endswith(".") for chart in charts(at))
    assert sum(len(chart.spec) for chart in charts(at)) < 300_000
    said = " ".join(element.value for element in (*at.markdown, *at.header))
    assert "at a step of 0.3 ‖W‖, no: memorized strings show no spikes" in said
    assert component(at, "hillshade_bar")["axis"]["recipe"] == "svd"
    at.selectbox(key="projection").set_value(documents.PROJECTIONS[2]).run()
    at.selectbox(key="step").set_value("0.03").run()
    assert any("In layer 1, gate, at 0.03 ‖W‖" in element.value for element in at.markdown)
    assert at.query_params["step"] in ("0.03", ["0.03"])
    assert at.query_params["recipe"] in ("svd", ["svd"])
    at.switch_page("app_pages/recall.py").run()
    assert not at.exception and at.selectbox(key="recipe").value == "svd"
    assert at.query_params["mass"] in ("0.95", ["0.95"])


@pytest.mark.parametrize(
    ("document", "sentence"),
    [(None, "holds no measurement of single examples"), ({"findings": {}}, "another version")],
)
def test_without_findings_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path, document: Any, sentence: str
) -> None:
    found = {} if document is None else {"curvature.json": document}
    at = open_page(monkeypatch, documents.documented(study_path, tmp_path, found), "examples")
    said = [*at.info, *at.error]
    assert len(said) == 1 and sentence in said[0].value
    assert not charts(at)


def test_unfit_studies_get_a_sentence(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path
) -> None:
    folder, sentence = unfit_studies(study_path, tmp_path)["changed"]
    at = open_page(monkeypatch, folder, "examples")
    assert len(at.error) == 1 and sentence in at.error[0].value


def test_the_audit_stands_under_its_own_edit(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path
) -> None:
    folder = both(study_path, tmp_path)
    at = open_page(monkeypatch, folder)
    assert "Residual audit: what is left" in [header.value for header in at.header]
    said = " ".join(element.value for element in (*at.markdown, *at.header))
    assert documents.audit()["sentence"] in said
    assert any("chosen setting of 99.0" in caption.value for caption in at.caption)
    assert not at.error
    titles = [chart.alt for chart in charts(at)]
    assert any("in any way at all" in alt for alt in titles)
    at.selectbox(key="recipe").set_value("svd").run()
    assert not at.header
    at = open_page(monkeypatch, study_path)
    assert not at.header
