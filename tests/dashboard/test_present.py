"""Present mode as the server runs it; what the browser hides is tested in tests/browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import loading
from dashboard.present import CONTROLS
from tests.dashboard.test_pages import open_page
from tests.pages import visited


def rules(at: AppTest) -> str:
    return " ".join(element.proto.body for element in at.get("html"))


def hidden(at: AppTest) -> set[str]:
    """The controls whose places the page's rules hide."""
    return {name for name, (_, where) in CONTROLS.items() if where in rules(at)}


def test_nothing_is_hidden_before_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, study_path: Path
) -> None:
    at = open_page(monkeypatch, study_path, "spectrum")
    assert not hidden(at) and "zoom" not in rules(at)


def test_present_mode_is_kept_over_pages_and_left_again(
    monkeypatch: pytest.MonkeyPatch, study_path: Path
) -> None:
    at = open_page(monkeypatch, study_path, "spectrum", present="1")
    assert hidden(at) == set(CONTROLS) - {"bar"} and "zoom" in rules(at)
    at.button(key="present-turn").click().run()
    assert not hidden(at) and "present" not in at.query_params


def test_a_lesson_names_what_it_keeps(monkeypatch: pytest.MonkeyPatch, study_path: Path) -> None:
    monkeypatch.setenv(loading.ENVIRONMENT, str(study_path))
    at = visited()
    at.query_params["show"] = "recipe, TABLES,nonsense<b>"
    at.run()
    assert "nonsenseb" in at.warning[0].value and "recipe" in at.warning[0].value
    assert hidden(at) == set(CONTROLS) - {"recipe", "tables"}
    assert "zoom" not in rules(at)  # the type stays as it is without present=1
    assert at.query_params["show"] in ("recipe,tables", ["recipe,tables"])
    at.switch_page("app_pages/spectrum.py").run()
    assert not at.warning and hidden(at) == set(CONTROLS) - {"recipe", "tables"}
