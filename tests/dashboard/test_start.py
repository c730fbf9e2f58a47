"""The guided tour: answers by the intervals, six steps walked, whatever the study holds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from core.intervals import Estimate
from core.manifest import Manifest, StoredRecipe, digest_of
from core.study import Study
from core.tables import write_table
from dashboard import glossary, start_sections
from dashboard.figures import answers, draw_tour, outcome, tour
from dashboard.figures.describe import MAX_POINTS
from dashboard.figures.measured import Measured, Track
from dashboard.figures.texts import Row
from dashboard.figures.words import percent
from tests.dashboard import documents
from tests.dashboard.documents import CHOSEN
from tests.dashboard.studies import unfit_studies
from tests.dashboard.test_pages import charts, component, open_page

SHIPPED = Path(__file__).resolve().parents[2] / "assets" / "language" / "study"
STEPS = range(1, len(start_sections.STEPS) + 1)


def contrary(scores: pd.DataFrame) -> pd.DataFrame:
    """A world against the story.

    Memory holds at every cut, abilities fall, and text that was never shown comes back like any.
    """
    scores = scores.copy()
    memory = scores["repeats"].notna()
    fallen = ~memory & (scores["tick"] >= 3)
    for mask, value in ((memory, 1.0), (fallen, 0.0)):
        spread = {"value": value, "low": max(value - 0.05, 0.0), "high": min(value + 0.05, 1.0)}
        for column, number in spread.items():
            scores.loc[mask & (scores["measure"] != "distance"), column] = number
    return scores


@dataclass(frozen=True)
class Told:
    """A study's tables with other scores."""

    recipes: tuple[StoredRecipe, ...]
    items: pd.DataFrame
    points: pd.DataFrame
    scores: pd.DataFrame


def against(study: Study) -> Measured:
    return Measured(Told(study.recipes, study.items, study.points, contrary(study.scores)))


# -- answers ---------------------------------------------------------------------------------------


def track(value: float, low: float, high: float, n: int = 20) -> Track:
    return Track((value,), (low,), (high,), n)


@pytest.mark.parametrize(
    ("memory", "unseen", "said"),
    [
        (track(1.0, 0.84, 1.0), track(0.0, 0.0, 0.16), ": it recites."),
        (track(0.1, 0.03, 0.3), track(0.0, 0.0, 0.02), "recites few of them"),
        (track(0.6, 0.39, 0.78), track(0.0, 0.0, 0.16), "stays undecided"),
        (track(1.0, 0.84, 1.0), track(0.95, 0.76, 0.99), "no more than without any training"),
    ],
)
def test_reciting_is_told_against_what_was_never_shown(
    memory: Track, unseen: Track, said: str
) -> None:
    row = Row("a", "Passage", "One two", "three four five six", ("three four five six",), (True,))
    found = answers.recites(row, memory, unseen)
    assert found.right == "all" and said in found.said
    for output, right in (("no", "none"), ("three four", "half"), ("three four five", "most")):
        other = dataclasses.replace(row, outputs=(output,), strict=(False,))
        assert answers.recites(other, memory, unseen).right == right


@pytest.mark.parametrize(
    ("sharp", "flat", "right"),
    [
        ((1.0, 0.9, 1.1), (0.01, 0.008, 0.012), "lots"),
        ((1.0, 0.9, 1.1), (0.0, -0.01, 0.01), "lots"),
        ((1.0, 0.9, 1.1), (0.2, 0.15, 0.25), "some"),
        ((1.0, 0.95, 1.1), (0.8, 0.75, 0.9), "alike"),
        ((1.0, 0.9, 1.1), (0.1, 0.05, 0.2), None),  # the ratio may lie on either side of 10
        ((1.0, 0.5, 1.5), (0.8, 0.4, 1.2), None),
        ((0.1, 0.05, 0.15), (0.8, 0.7, 0.9), None),
    ],
)
def test_valleys_are_compared_by_intervals(
    sharp: tuple[float, float, float], flat: tuple[float, float, float], right: str | None
) -> None:
    found = answers.steeper(Estimate(*sharp, 26), Estimate(*flat, 26), 0.1)
    assert found.right == right
    if sharp[1] <= flat[2]:
        assert ("no steeper" if sharp[2] < flat[1] else "not told apart") in found.said


@pytest.mark.parametrize(
    ("outcome_", "whose", "average", "why"),
    [
        (True, "own", "below", "the cut takes them first"),
        (False, "everyone", "above", "is not borne out"),
        (None, None, None, "stays undecided"),
    ],
)
def test_answers_follow_the_verdicts(
    outcome_: documents.Outcome, whose: str | None, average: str | None, why: str
) -> None:
    document = documents.curvature(outcome_)
    own = answers.whose(document, CHOSEN, answers.usual(document))
    assert own.right == whose
    assert ("spike of its own" in own.said) is (whose == "own")
    found = answers.average(document, CHOSEN)
    assert found.right == average
    assert why in answers.why(document, 0.1)[0]
    line = answers.compared(answers.AVERAGE, found, "below")
    assert ("so it is here" in line) is (average == "below")
    assert ("cannot say" in line) is (average is None)


@pytest.mark.parametrize(("left", "right"), [(0, "none"), (1, "more")])
def test_the_audit_answers_the_last_question(left: int, right: str) -> None:
    document = documents.audit(left)
    found = answers.left(document)
    assert found.right == right and found.said == document["sentence"]


def test_what_breaks_first_is_read_from_the_intervals(study: Study, measured: Measured) -> None:
    recipe = study.manifest.recipe("kfac")
    found, tick = outcome.first(measured, recipe)
    assert found.right == outcome.MEMORY
    assert "The memorized strings fell to half first" in found.said
    assert outcome.relative(measured, recipe)[outcome.MEMORY].high[tick] < 0.5
    end = len(recipe.ticks) - 1
    assert outcome.outcome(measured, recipe, end).broken is True
    other = against(study)
    found, tick = outcome.first(other, recipe)
    assert found.right == outcome.TOGETHER and tick == 3
    assert "memorized strings" not in found.said.partition(" fell ")[0]
    told = outcome.outcome(other, recipe, 3)
    assert told.broken is False and outcome.verdict(told).startswith("Not by this cut.")
    assert told.those(stay=False) and not told.those(stay=True)
    svd = study.manifest.recipe("svd")
    nothing, tick = outcome.first(Measured(_still(study)), svd)
    assert nothing.right is None and tick == 1


def _still(study: Study) -> Told:
    """A study in which no cut changes anything."""
    scores = study.scores.copy()
    scores.loc[scores["measure"] != "distance", ["value", "low", "high"]] = (1.0, 0.9, 1.0)
    return Told(study.recipes, study.items, study.points, scores)


def estimates(memory: float, **abilities: tuple[float, float, float]) -> outcome.Outcome:
    return outcome.Outcome(
        Estimate(memory, memory - 0.05, memory + 0.05, 20),
        {name: Estimate(*value, 20) for name, value in abilities.items()},
        20,
    )


@pytest.mark.parametrize(
    ("found", "head"),
    [
        (estimates(0.1, logic=(1.0, 0.95, 1.0), sums=(1.0, 0.95, 1.0)), "By these measures, yes."),
        (estimates(0.1, logic=(0.88, 0.8, 1.0), sums=(1.0, 0.95, 1.0)), "Largely."),
        (estimates(0.1, logic=(0.5, 0.4, 0.6), sums=(1.0, 0.95, 1.0)), "Only in part."),
        (estimates(0.1, logic=(0.5, 0.4, 0.6)), "Not by this cut. The reciting breaks"),
        (estimates(0.8, logic=(1.0, 0.95, 1.0)), "Not by this cut. At least half"),
        (estimates(0.48, logic=(1.0, 0.95, 1.0)), "Undecided."),
        (outcome.Outcome(None, {}, 0), "This study holds no memorized strings"),
    ],
)
def test_the_verdict_is_chosen_by_what_is_left(found: outcome.Outcome, head: str) -> None:
    assert outcome.verdict(found).startswith(head)


# -- pictures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_show_the_stored_numbers(study: Study, measured: Measured, theme: Any) -> None:
    recipe, curvature, audit = study.recipes[0], documents.curvature(), documents.audit()
    training = study.training
    assert training is not None
    bars = [tour.own(curvature), tour.left_over(measured, recipe, 6), tour.got_back(audit)]
    over = tour.overview(measured, recipe, 6)
    run = tour.descent(training)
    ground = {"x": [0.0, 1.0], "y": [0.0, 1.0], "loss": [[1.0, 2.0], [3.0, 4.0]]}
    figures = [
        draw_tour.overview(over, 6, theme),
        draw_tour.descent(run, theme),
        draw_tour.descent(tour.descent(training | {"grid": ground}), theme),
        *(draw_tour.bars(one, theme, percent) for one in bars),
    ]
    for fig in figures:
        assert go.Figure(json.loads(fig.to_json()))  # Plotly knows every property
        assert max(len(trace.x) for trace in fig.data) <= MAX_POINTS
        assert len(fig.to_json()) < 60_000
    line = next(trace for trace in figures[0].data if trace.meta == "memory")
    assert list(line.y) == list(over.panels[0].series[0].y)
    path = next(trace for trace in figures[1].data if trace.meta == "path")
    assert list(zip(path.x, path.y, strict=True)) == list(run.places)
    for one, fig in zip(bars, figures[-3:], strict=True):
        low, high = one.x.span
        drawn = [trace.x[0] for trace in fig.data]
        assert drawn == [min(max(row.marks[0].value.value, low), high) for row in one.rows]
        assert list(one.table()["low"]) == [row.marks[0].value.low for row in one.rows]
    hidden = draw_tour.bars(bars[0], theme, percent, 1)
    assert len(hidden.data) == 1
    assert sum(note.text == "<b>?</b>" for note in hidden.layout.annotations) == 2
    assert [line.key for line in tour.only_fresh(tour.averaged(curvature)).panels[0].lines] == [
        "fresh"
    ]


# -- the page --------------------------------------------------------------------------------------


def rewritten(study: Path, scores: pd.DataFrame) -> None:
    """Put other scores into a study's folder."""
    write_table(scores, "scores", study / "scores.parquet")
    manifest = Manifest.read(study)
    files = {**manifest.files, "scores.parquet": digest_of(study / "scores.parquet")}
    text = dataclasses.replace(manifest, files=files).dumps()
    (study / "study.json").write_text(text, encoding="utf-8")


def said(at: AppTest) -> str:
    return "\n".join(element.value for element in (*at.markdown, *at.header, *at.info))


def guess(at: AppTest, number: int, option: int = 0) -> str:
    """Make a guess at a step and show the answer; what is said before it."""
    before = said(at)
    assert at.button(key=f"reveal-{number}").disabled
    radio = at.radio(key=f"guess-{number}")
    radio.set_value(list(asked(at, number).options)[option]).run()
    assert not at.button(key=f"reveal-{number}").disabled
    at.button(key=f"reveal-{number}").click().run()
    return before


def asked(at: AppTest, number: int) -> answers.Question:
    """The question of a step."""
    fixed = {1: answers.RECITES, 2: answers.STEEPER, 3: answers.WHOSE, 4: answers.AVERAGE,
             6: answers.LEFT}  # fmt: skip
    measured = at.session_state["hillshade_view"].measured
    return fixed.get(number) or outcome.first_question(measured, measured.recipes[0])


def walk(at: AppTest, option: int = 0) -> dict[int, str]:
    """All six steps by their buttons, a guess at each; what each says at its end."""
    told = {}
    for number in STEPS:
        before = guess(at, number, option)
        assert "You guessed" not in before
        assert not at.exception and not at.error
        if number == 5:
            bar = component(at, "hillshade_bar")
            assert bar["tick"] == 0 and "Move the slider" in said(at)
            at.query_params["mass"] = str(bar["axis"]["settings"][-1])
            at.run()
        told[number] = said(at)
        mine = list(asked(at, number).options.values())[option]
        assert f"You guessed “{mine}”" in told[number]
        for chart in charts(at):
            assert chart.alt.endswith(".") and len(chart.spec) < 60_000
        if number < len(STEPS):
            at.button(key=f"start-next-{number}").click().run()
            assert at.query_params["step"] in (str(number + 1), [str(number + 1)])
    return told


@pytest.mark.parametrize("outcome_", [True, False])
def test_all_six_steps_say_what_the_study_shows(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path, outcome_: bool
) -> None:
    found: Mapping[str, Any] = {
        "curvature.json": documents.curvature(outcome_),
        "audit.json": documents.audit(0 if outcome_ else 3),
    }
    folder = documents.documented(study_path, tmp_path, found)
    if not outcome_:
        rewritten(folder, contrary(Study.open(folder).scores))
    at = open_page(monkeypatch, folder, "start")
    opening = said(at)
    assert ("Not by this cut" in opening) is not outcome_
    told = walk(at)
    assert ("it recites." in told[1]) is outcome_
    assert ("no more than without any training" in told[1]) is not outcome_
    assert ("A spike of its own" in told[3]) is outcome_
    assert ("no spike of the size that was claimed" in told[3]) is not outcome_
    assert ("strings flatten faster than fresh" in told[4]) is outcome_
    assert ("flatten no faster than fresh" in told[4]) is not outcome_
    assert ("The memorized strings fell to half first" in told[5]) is outcome_
    assert ("so it is here" in told[5]) is outcome_
    assert found["audit.json"]["sentence"] in told[6]
    assert ("Here it is: “More than its own prompt gets”" in told[6]) is not outcome_


def test_the_shipped_study_can_be_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (SHIPPED / "study.json").is_file():
        pytest.skip("the shipped study is not here")
    at = open_page(monkeypatch, SHIPPED, "start")
    assert len(charts(at)) == 1
    told = walk(at, option=1)
    assert all("cannot say" in text or "Here it is" in text or "so it is" in text
               for text in told.values())  # fmt: skip
    at.button(key="start-on").click().run()
    assert component(at, "hillshade_bar") and not at.exception


def test_a_study_without_documents_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, study_path: Path
) -> None:
    at = open_page(monkeypatch, study_path, "start")
    for number, lacks in ((2, "curvature.json"), (3, "curvature.json"), (4, "curvature.json"),
                          (6, "audit.json")):  # fmt: skip
        at.query_params["step"] = str(number)
        at.run()
        assert lacks in said(at) and not at.exception and not at.error
        assert not [radio for radio in at.radio if radio.key == f"guess-{number}"]


@pytest.mark.parametrize("name", ["curvature.json", "audit.json"])
def test_a_document_of_another_form_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path, name: str
) -> None:
    found = {"curvature.json": documents.curvature(), "audit.json": documents.audit()}
    at = open_page(
        monkeypatch, documents.documented(study_path, tmp_path, found | {name: {"a": 1}}), "start"
    )
    for number in (2, 3, 4) if name == "curvature.json" else (6,):
        at.query_params["step"] = str(number)
        at.run()
        assert not at.exception
        assert any(name in error.value for error in at.error)


@pytest.mark.parametrize("kind", ["missing", "empty", "truncated"])
def test_an_unfit_study_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path, kind: str
) -> None:
    folder, sentence = unfit_studies(study_path, tmp_path)[kind]
    at = open_page(monkeypatch, folder, "start")
    assert len(at.error) == 1 and sentence in at.error[0].value
    assert at.title[0].value == "No study to show" and not charts(at)


def test_steps_set_the_view_and_guesses_stay(
    monkeypatch: pytest.MonkeyPatch, study_path: Path
) -> None:
    recipe = Study.open(study_path).manifest.recipe("kfac")
    at = open_page(monkeypatch, study_path, "start", recipe="svd", mass="0.9")
    at.segmented_control(key=start_sections.STEP).set_value("5").run()
    view = at.session_state["hillshade_view"]
    assert view.recipe.id == "kfac" and view.tick == 0
    guess(at, 5)
    at.segmented_control(key=start_sections.STEP).set_value("6").run()
    assert at.session_state["hillshade_view"].tick == recipe.chosen
    at.segmented_control(key=start_sections.STEP).set_value("5").run()
    assert component(at, "hillshade_bar")["tick"] == 0  # the guess is still there
    again = open_page(monkeypatch, study_path, "start", step="nine")
    assert again.title[0].value == start_sections.QUESTION


def test_every_word_a_page_names_is_in_the_glossary() -> None:
    named = [*glossary.WORDS.values(), *(step.words for step in start_sections.STEPS)]
    for names in named:
        assert len(names) == len(set(names))
        assert set(names) <= set(glossary.TERMS)
    assert {name for names in named for name in names} == set(glossary.TERMS)
    assert all(term.meaning.endswith(".") for term in glossary.TERMS.values())
