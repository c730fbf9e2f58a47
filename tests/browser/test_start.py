"""The guided tour in a real browser: six guesses by hand, and back and forward between steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright

from tests.browser.driver import Visit, browser, served
from tests.dashboard import documents

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

GUESSES = (
    "Every word",
    "About as much",
    "That of all memorized strings",
    "On it: no difference",
    "Sums",
    "None at all",
)


@pytest.fixture(scope="module")
def told(chromium_path: str, study_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> (
    Iterator[str]
):  # fmt: skip
    found = {"curvature.json": documents.curvature(), "audit.json": documents.audit()}
    folder = documents.documented(study_folder, tmp_path_factory.mktemp("told"), found)
    with served(folder) as url:
        yield url


def test_six_steps_are_walked_by_hand(
    playwright: Playwright, chromium_path: str, told: str
) -> None:
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, told)
        page = visit.page
        page.get_by_text("thinking?").first.wait_for()
        page.locator(".js-plotly-plot .main-svg").first.wait_for()  # the story, before any touch
        for number, guess in enumerate(GUESSES, start=1):
            show = page.get_by_role("button", name="Show me")
            assert show.is_disabled()
            assert not page.get_by_text("You guessed").count()
            option = page.get_by_role("radio", name=guess, exact=True)
            if number == 1:  # by keys alone
                option.focus()
                page.keyboard.press("Space")
                visit.settle()
                show.focus()
                page.keyboard.press("Enter")
            else:
                page.get_by_text(guess, exact=True).click()
                visit.settle()
                show.click()
            visit.settle()
            if number == 5:
                page.get_by_text("Move the slider to the right").wait_for()
                assert visit.tick() == 0
                visit.hold(0.0, 1.0)
                assert "broken" in page.locator("[data-kind=memory] .badge").inner_text()
                visit.let_go()
            page.get_by_text(f"You guessed “{guess}”").wait_for()
            assert not page.locator("[data-testid=stException]").count()
            if number < len(GUESSES):
                page.get_by_role("button", name="Next:").click()
                page.wait_for_timeout(150)
                visit.settle()
                assert f"step={number + 1}" in page.url
        assert "guess" not in page.url.lower()
        page.go_back()
        page.wait_for_timeout(400)
        visit.settle()
        # One step of history back: the slider as it was let go, the guess still made.
        assert "step=5" in page.url and visit.tick() > 0
        page.get_by_text("You guessed “Sums”").wait_for()
        page.go_forward()
        page.wait_for_timeout(400)
        visit.settle()
        page.get_by_text("You guessed “None at all”").wait_for()
        page.get_by_role("button", name="Go on").click()
        page.wait_for_url("**/recall*")
        visit.settle()
        assert not visit.complaints


def test_words_open_by_key(playwright: Playwright, chromium_path: str, told: str) -> None:
    with browser(playwright, chromium_path, "dark", (390, 844)) as context:
        visit = Visit(context, f"{told}/?step=2")
        page = visit.page
        word = page.get_by_role("button", name="Curvature", exact=False).first
        word.focus()
        page.keyboard.press("Enter")
        page.get_by_text("How steeply the loss rises to both sides").wait_for()
        page.keyboard.press("Escape")
        page.get_by_text("How steeply the loss rises to both sides").wait_for(state="hidden")
        assert page.evaluate("document.querySelector('.stMain').scrollWidth <= innerWidth + 1")
        assert not visit.complaints
