"""The Vision page in a real browser: the wall follows the thumb, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright

from tests.browser.axe import violations
from tests.browser.driver import Visit, browser, served
from tests.image_study import CHOSEN, TICKS, write_image_study

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
LAST = len(TICKS) - 1


@pytest.fixture(scope="module")
def digits(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    study: Path = write_image_study(tmp_path_factory.mktemp("digits"))
    with served(study) as url:
        yield url


def verdicts(visit: Visit) -> list[str]:
    return [text.strip() for text in visit.page.locator(".tiles .verdict").all_inner_texts()]


def test_the_wall_changes_while_the_thumb_is_held(
    playwright: Playwright, chromium_path: str, digits: str
) -> None:
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{digits}/vision")
        page = visit.page
        assert visit.tick() == CHOSEN
        url, start = page.url, verdicts(visit)
        assert len(start) == 24 and set(start) == {"true label", "another label"}
        after = page.locator(".tiles .after dd").first
        said = after.inner_text()
        visit.hold(CHOSEN / LAST, 0.0)
        # Still held: every label has moved, nothing has been said to the server.
        assert set(verdicts(visit)) == {"wrong label"} and after.inner_text() != said
        assert "Nothing is cut yet: 24 of 24" in page.locator(".finding .head").inner_text()
        assert page.url == url
        visit.let_go()
        assert "mass=1" in page.url
        drawn = page.locator(".tiles canvas").first.evaluate(
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_and_the_wall_of_a_lecture_room(
    playwright: Playwright, chromium_path: str, digits: str, scheme: str
) -> None:
    with browser(playwright, chromium_path, scheme, (390, 844)) as context:  # type: ignore[arg-type]
        visit = Visit(context, f"{digits}/vision")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert visit.page.locator(".tiles li").first.is_visible()
        assert not violations(visit.page)
        lesson = Visit(context, f"{digits}/vision?present=1")
        assert lesson.page.locator(".tiles li").first.is_visible()
        assert not lesson.page.locator(".st-key-recipe").is_visible()
        assert not visit.complaints + lesson.complaints
