"""Every page as Streamlit runs it: with a good study, and with every kind of unfit one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.projection import weight_digest
from core.study import Study
from dashboard import loading
from dashboard.prompts import shown
from tests.dashboard.studies import unfit_studies
from tests.pages import APP, visited

PAGES = ("recall", "spectrum")
BARRED = (*PAGES, "examples", "landscape")  # the others have a test of this of their own
UNFIT = ("missing", "half-written", "empty", "truncated", "changed", "incomplete")


def open_page(
    monkeypatch: pytest.MonkeyPatch, study: Path, page: str = "recall", **address: str
) -> AppTest:
    """The page as a link opens it; `start` is what the app opens with."""
    monkeypatch.setenv(loading.ENVIRONMENT, str(study))
    at = visited()
    if page != "start":
        at.run()
        at.switch_page(f"app_pages/{page}.py")
    for name, value in address.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception, at.exception
    return at


def component(at: AppTest, name: str) -> dict[str, Any]:
    """What a component was given."""
    for element in at.get("bidi_component"):
        if element.proto.component_name == name:
            found: dict[str, Any] = json.loads(element.proto.json or element.proto.mixed.json)
            return found
    raise AssertionError(f"no {name} on the page")


def charts(at: AppTest) -> list[Any]:
    return [element.proto for element in at.get("plotly_chart")]


@pytest.mark.parametrize("page", PAGES)
def test_good_study_shows_everything(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, page: str
) -> None:
    at = open_page(monkeypatch, study_path, page)
    assert not at.error and not at.warning
    recipe = Study.open(study_path).manifest.recipe("kfac")
    bar, live = component(at, "hillshade_bar"), component(at, "hillshade_live")
    assert bar["tick"] == live["tick"] == recipe.chosen
    assert bar["axis"]["settings"] == list(recipe.ticks)
    assert all(len(readout["at"]) == len(recipe.ticks) for readout in bar["readouts"])
    assert len(live["findings"]) == len(recipe.ticks)
    assert all(alt.endswith(".") for alt in live["alts"])
    for chart in charts(at):
        assert chart.alt.endswith(".")
    assert len(at.expander) >= len(charts(at)) - 2 * (page == "spectrum")
    size = sum(len(chart.spec) for chart in charts(at)) + len(json.dumps(live))
    assert size < 300_000


@pytest.mark.parametrize("page", BARRED)
@pytest.mark.parametrize("kind", UNFIT)
def test_unfit_study_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path, kind: str, page: str
) -> None:
    folder, sentence = unfit_studies(study_path, tmp_path)[kind]
    at = open_page(monkeypatch, folder, page)
    assert len(at.error) == 1
    assert sentence in at.error[0].value
    assert at.title[0].value == "No study to show"
    assert not charts(at)


@pytest.mark.parametrize("page", PAGES)
def test_a_first_visit_gets_the_first_screen_alone(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, page: str
) -> None:
    """The browser tests see the rest come; here that nothing of it is made before."""
    whole = open_page(monkeypatch, study_path, page)
    monkeypatch.setenv(loading.ENVIRONMENT, str(study_path))
    at = AppTest.from_file(str(APP), default_timeout=60).run()
    at.switch_page(f"app_pages/{page}.py").run()
    names = {element.proto.component_name for element in at.get("bidi_component")}
    assert "hillshade_painted" in names and "hillshade_live" in names
    assert len(charts(at)) < len(charts(whole))
    rest = {element.proto.component_name for element in whole.get("bidi_component")}
    assert "hillshade_painted" not in rest


def test_the_method_is_shown_whatever_the_study(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at = open_page(monkeypatch, tmp_path / "nowhere", "method")
    assert "Fisher" in at.markdown[0].value
    assert not at.error


def test_turning_the_page_brings_other_rows(
    monkeypatch: pytest.MonkeyPatch, study_path: Path
) -> None:
    at = open_page(monkeypatch, study_path)
    first = component(at, "hillshade_texts")
    assert first["page"] == 1 and first["pages"] > 1
    at.session_state["hillshade_page_memory_mixed"] = 2
    at.run()
    second = component(at, "hillshade_texts")
    assert second["page"] == 2
    assert not {row["id"] for row in first["rows"]} & {row["id"] for row in second["rows"]}


def test_address_reopens_the_view(monkeypatch: pytest.MonkeyPatch, study_path: Path) -> None:
    at = open_page(monkeypatch, study_path, mass="0.95")
    recipe = Study.open(study_path).manifest.recipe("kfac")
    assert component(at, "hillshade_bar")["tick"] == recipe.ticks.index(0.95)
    assert at.query_params["mass"] in ("0.95", ["0.95"])


def test_a_release_wins_over_an_address_that_is_on_its_way(
    monkeypatch: pytest.MonkeyPatch, study_path: Path
) -> None:
    at = open_page(monkeypatch, study_path, mass="0.95")
    recipe = Study.open(study_path).manifest.recipe("kfac")

    def release(tick: int, told: str) -> None:
        """The thumb is let go while the address bar still says `told`."""
        at.query_params["mass"] = told
        at.session_state["hillshade_ticks"] = {"kfac": tick}
        at.run()
        assert component(at, "hillshade_bar")["tick"] == tick
        assert recipe.tick_at(float(at.query_params["mass"])) == tick

    first = recipe.ticks.index(0.95)
    release(first + 1, "0.95")
    release(first + 2, "0.95")  # the browser has nothing of the last release yet
    release(first - 1, "0.9")  # it has that of the one before
    release(first, "0.8")
    at.query_params["mass"] = "0.99"  # a link to where no release was, while nothing is on its way
    at.run()
    assert component(at, "hillshade_bar")["tick"] == recipe.ticks.index(0.99)


@pytest.mark.parametrize("mass", ["2", "-0.1", "nan", "many", "<b>0.9"])
def test_a_bad_mass_is_said_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, mass: str
) -> None:
    at = open_page(monkeypatch, study_path, mass=mass)
    assert "no number from 0 to 1" in at.warning[0].value
    chosen = Study.open(study_path).manifest.recipe("kfac").chosen
    assert component(at, "hillshade_bar")["tick"] == chosen


def test_another_method_opens_at_the_same_cost(
    monkeypatch: pytest.MonkeyPatch, study_path: Path
) -> None:
    at = open_page(monkeypatch, study_path, mass="0.9")
    at.selectbox(key="recipe").set_value("svd").run()
    study = Study.open(study_path)
    costs = study.points.set_index(["recipe", "tick"])["ratio_report"]
    tick = component(at, "hillshade_bar")["tick"]
    wanted = costs["kfac"][study.manifest.recipe("kfac").ticks.index(0.9)]
    assert abs(costs["svd"][tick] - wanted) == min(abs(costs["svd"] - wanted))
    at.selectbox(key="recipe").set_value("kfac").run()
    assert not at.exception


def test_the_projection_in_view_never_changes_the_edit(
    monkeypatch: pytest.MonkeyPatch, study_path: Path
) -> None:
    at = open_page(monkeypatch, study_path, "spectrum")
    before = component(at, "hillshade_bar")
    at.selectbox(key="projection").set_value("model.layers.1.mlp.up_proj").run()
    after = component(at, "hillshade_bar")
    assert after["tick"] == before["tick"]
    assert after["readouts"][:3] == before["readouts"][:3]
    assert after["readouts"][3] != before["readouts"][3]


def test_own_prompt_runs_on_both_models(monkeypatch: pytest.MonkeyPatch, study_path: Path) -> None:
    at = open_page(monkeypatch, study_path)
    at.text_area(key="own-prompt-text").set_value("The old kettle")
    next(b for b in at.button if "Continue" in b.label).click()
    at.run()
    assert not at.error and not at.exception
    said = [text.value for text in at.text]
    model, tokenizer = loading.model_of(loading.open_study(study_path))
    from core.recall import complete

    ids = tokenizer.encode("The old kettle")
    assert said[0] == shown(tokenizer, list(complete(model, ids, 40)))
    assert len(said) == 2
    # The shared model is what it was, bit for bit, however often it was edited.
    study = loading.open_study(study_path)
    for tick in (3, 7, 11):
        assert loading.edited_model(study, "kfac", tick) is not model
    assert weight_digest(model) == study.manifest.model.weight_digest


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [("   ", "prompt is empty"), ("kettle " * 400, "reads at most 128")],
)
def test_unusable_prompts_get_a_sentence(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, prompt: str, sentence: str
) -> None:
    at = open_page(monkeypatch, study_path)
    at.text_area(key="own-prompt-text").set_value(prompt)
    next(b for b in at.button if "Continue" in b.label).click()
    at.run()
    assert len(at.error) == 1 and sentence in at.error[0].value
    assert not at.exception


def test_another_model_is_refused(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path
) -> None:
    shutil.copytree(study_path.parent, tmp_path / "other")
    manifest = tmp_path / "other" / "study" / "study.json"
    raw = json.loads(manifest.read_text(encoding="utf-8"))
    raw["model"]["weight_digest"] = "1" * 64
    manifest.write_text(json.dumps(raw), encoding="utf-8")
    at = open_page(monkeypatch, manifest.parent)
    next(b for b in at.button if "Continue" in b.label).click()
    at.run()
    assert "made of other weights" in at.error[0].value


def test_without_eigenvectors_stored_results_are_shown(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path
) -> None:
    shutil.copytree(study_path.parent, tmp_path / "light")
    (tmp_path / "light" / "study" / "basis.safetensors").unlink()
    at = open_page(monkeypatch, tmp_path / "light" / "study")
    assert any("without its eigenvectors" in info.value for info in at.info)
    assert component(at, "hillshade_texts")["rows"]
    assert not any("Continue" in b.label for b in at.button)
