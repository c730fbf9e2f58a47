"""The one-file page in a real browser with no network: it opens, moves, turns pages, and draws."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Playwright

from core.study import Study
from dashboard import onefile
from tests.browser.driver import WAIT_S, browser
from tests.dashboard.test_onefile import view_of

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def test_the_file_opens_without_a_network_and_its_slider_moves(
    playwright: Playwright, chromium_path: str, study_folder: Path, tmp_path: Path
) -> None:
    view = view_of(Study.open(study_folder))
    path = tmp_path / "saved.html"
    path.write_bytes(onefile.page(view))
    with browser(playwright, chromium_path) as context:
        context.set_offline(True)
        page = context.new_page()
        complaints: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri(), timeout=3 * WAIT_S * 1000)
        head = page.locator("#recall-live .head")
        drawn = page.locator("#recall-live .canvas").first
        before = head.inner_text(), drawn.get_attribute("aria-label")
        texts = page.locator("#memory td.after")
        cut = texts.all_inner_texts()
        page.locator("input.thumb").focus()
        for _ in range(view.tick):
            page.keyboard.press("ArrowLeft")
        assert "Nothing is cut" in head.inner_text()
        assert (head.inner_text(), drawn.get_attribute("aria-label")) != before
        assert "Nothing is cut" in page.locator("#spectrum-live .head").inner_text()
        assert texts.all_inner_texts() != cut
        rows = page.locator("#memory tbody tr")
        first = rows.first.get_attribute("data-id")
        page.locator("#memory").get_by_label("Next page").click()
        assert rows.first.get_attribute("data-id") != first
        # Plotly has drawn every figure that does not follow the slider; a table opens under it.
        charts = page.locator("#fixed section")
        assert charts.count() == page.locator("#fixed .main-svg:first-child").count() > 0
        charts.first.get_by_text("Show as table").click()
        charts.first.locator("tbody tr").first.wait_for()
        # The camera under the mouse saves the figure as SVG.
        charts.first.locator(".js-plotly-plot").hover()
        with page.expect_download() as download:
            charts.first.locator("[data-title*=ownload]").first.click()
        assert download.value.suggested_filename == "hillshade-controls.svg"
        assert "<svg" in download.value.path().read_text(encoding="utf-8")[:300]
        assert not complaints
        assert {url for url in asked if not url.startswith(("blob:", "data:"))} == {path.as_uri()}
