"""The Vision page in a real browser: the wall follows the thumb, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import pytest
from playwright.sync_api import Playwright

from tests.browser.axe import violations
from tests.browser.driver import Visit, browser, served
from tests.dashboard import image_documents
from tests.dashboard.documents import documented
from tests.image_study import CHOSEN, TICKS, write_image_study, wrongly_labelled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
LAST = len(TICKS) - 1


@pytest.fixture(scope="module")
def digits(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    study: Path = write_image_study(tmp_path_factory.mktemp("digits"))
    documents = {
        "curvature.json": image_documents.curvature(),
        "examples.json": image_documents.examples(wrongly_labelled()),
        "landscape.json": image_documents.landscape(),
    }
    with served(documented(study, tmp_path_factory.mktemp("whole"), documents)) as url:
        yield url


WALL, ALONE = ".tiles:not(.alone)", ".tiles.alone"


def verdicts(visit: Visit) -> list[str]:
    return [text.strip() for text in visit.page.locator(f"{WALL} .verdict").all_inner_texts()]


def test_the_wall_changes_while_the_thumb_is_held(
    playwright: Playwright, chromium_path: str, digits: str
) -> None:
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{digits}/vision")
        page = visit.page
        assert visit.tick() == CHOSEN
        url, start = page.url, verdicts(visit)
        assert len(start) == 24 and set(start) == {"true label", "another label"}
        after = page.locator(f"{WALL} .after dd").first
        said = after.inner_text()
        visit.hold(CHOSEN / LAST, 0.0)
        # Still held: every label has moved, nothing has been said to the server.
        assert set(verdicts(visit)) == {"wrong label"} and after.inner_text() != said
        assert "Nothing is cut yet: 24 of 24" in page.locator(".finding .head").inner_text()
        assert page.url == url
        visit.let_go()
        assert "mass=1" in page.url
        drawn = page.locator(f"{WALL} canvas").first.evaluate(
            "one => one.getContext('2d').getImageData(0, 0, 8, 8).data"
            ".filter((value) => value === 250).length"
        )
        assert drawn == 3 * 6  # the blob of a class: six pixels, grey in all three channels
        page.keyboard.press("ArrowRight")
        assert visit.tick() == 1
        page.get_by_role("link", name="Spectrum").click()
        visit.settle()
        assert visit.page.locator("line.edge").count()
        assert not visit.complaints


def test_an_image_is_picked_by_mouse_and_by_keys(
    playwright: Playwright, chromium_path: str, digits: str
) -> None:
    ids = wrongly_labelled()
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{digits}/vision")
        page = visit.page
        page.emulate_media(reduced_motion="reduce")
        tiles = page.locator(f"{WALL} li")
        alone = page.locator(f"{ALONE} li")
        assert alone.get_attribute("data-id") == ids[0]
        tick = visit.tick()
        tiles.nth(6).locator("button").click()
        visit.settle()
        assert alone.get_attribute("data-id") == ids[6]
        assert f"image={ids[6]}" in unquote(page.url)
        assert page.locator("#own-spike").is_visible()
        # One stop of the Tab key; the arrows go on inside and leave the threshold where it is.
        assert page.locator(f"{WALL} button[tabindex='0']").count() == 1
        tiles.nth(6).locator("button").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        visit.settle()
        assert alone.get_attribute("data-id") == ids[7] and visit.tick() == tick
        assert tiles.nth(7).locator("button").get_attribute("aria-pressed") == "true"
        # The portrait follows the thumb as the wall does.
        before = alone.locator(".verdict").inner_text()
        visit.hold(CHOSEN / LAST, 0.0)
        assert alone.locator(".verdict").inner_text() == "wrong label" != before
        visit.let_go()
        again = Visit(context, page.url)
        assert again.page.locator(f"{ALONE} li").get_attribute("data-id") == ids[7]
        assert not visit.complaints + again.complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_and_the_wall_of_a_lecture_room(
    playwright: Playwright, chromium_path: str, digits: str, scheme: Literal["light", "dark"]
) -> None:
    with browser(playwright, chromium_path, scheme, (390, 844)) as context:
        visit = Visit(context, f"{digits}/vision")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert visit.page.locator(f"{WALL} li").first.is_visible()
        assert not violations(visit.page)
        lesson = Visit(context, f"{digits}/vision?present=1")
        assert lesson.page.locator(f"{WALL} li").first.is_visible()
        assert not lesson.page.locator(".st-key-recipe").is_visible()
        assert not visit.complaints + lesson.complaints
