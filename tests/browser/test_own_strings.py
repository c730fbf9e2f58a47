"""One's own strings in a real browser, while a second visitor moves the threshold."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Playwright

from core.study import Study
from tests.browser.driver import Visit, browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
BUSY_S = 240  # pages may be slow while the server computes


def test_a_list_is_asked_while_another_visitor_moves_the_threshold(
    playwright: Playwright, chromium_path: str, address: str, study_folder: Path
) -> None:
    last = len(Study.open(study_folder).manifest.recipe("kfac").ticks) - 1
    lines = [f"The old kettle faces the quiet mill number {i} of many." for i in range(120)]
    with browser(playwright, chromium_path) as context:
        context.set_default_timeout(BUSY_S * 1000)
        other = Visit(context, f"{address}/spectrum")
        visit = Visit(context, f"{address}/recall?mass=0.9")
        page = visit.page
        box = page.get_by_label("One string a line")
        box.fill("\n".join(lines))
        box.press("Control+Enter")
        other.page.bring_to_front()
        other.hold(other.tick() / last, 1.0)
        other.let_go()
        assert other.tick() == last
        page.bring_to_front()
        table = page.locator("[data-kind=own] tbody tr")
        table.first.wait_for()
        visit.settle()
        assert table.count() == 6 and page.get_by_text("1 of 20").count() == 1
        shown = table.first.inner_text()
        assert "Line 1" in shown and "The old kettle" in shown
        # These texts belong to the cut they were made at and do not follow the thumb.
        page.keyboard.press("Escape")
        visit.hold(visit.tick() / last, 0.0)
        assert table.first.inner_text() == shown
        visit.let_go()
        page.get_by_text("the slider has moved since").wait_for()
        page.get_by_label("Next page").last.click()
        page.locator("[data-kind=own]").get_by_text("Line 7").wait_for()
        with page.expect_download() as download:
            page.get_by_role("button", name="As CSV", exact=True).click()
        found = pd.read_csv(download.value.path(), keep_default_na=False)
        assert list(found["prompt"] + found["truth"]) == lines
        assert set(found["setting"]) == {0.9}
        assert "kettle" not in page.url
        assert not visit.complaints + other.complaints
