"""The Studies page in a real browser: a study made while another visitor is served."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from playwright.sync_api import Playwright

from tests.browser.driver import Visit, browser
from tests.study_factory import sentence

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
BUSY_S = 240  # pages may be slow while the server computes


def test_a_study_is_made_while_another_visitor_is_served(
    playwright: Playwright, chromium_path: str, address: str, study_folder: Path, tmp_path: Path
) -> None:
    rng = random.Random(4)
    (tmp_path / "texts.txt").write_text("\n".join(sentence(rng) for _ in range(80)))
    with browser(playwright, chromium_path) as context:
        context.set_default_timeout(BUSY_S * 1000)
        visit = Visit(context, f"{address}/studies")
        page = visit.page
        for label, text in (
            ("Model", str(study_folder.parent / "model")),
            ("Text file, or folder of images", str(tmp_path / "texts.txt")),
            ("Name or folder of the study", str(tmp_path / "mine")),
            ("Tokens a window", "24"),
        ):
            page.get_by_label(label, exact=True).fill(text)
        page.get_by_role("button", name="Estimate what it takes").click()
        page.get_by_role("button", name="Make the study").click()
        page.get_by_role("button", name="Cancel").wait_for()
        other = Visit(context, f"{address}/spectrum")
        assert not other.complaints
        other.page.close()
        page.get_by_role("button", name="Show it").click(timeout=2 * BUSY_S * 1000)
        visit.settle()
        page.get_by_text("Yes: all").wait_for()
        assert "study=mine" in page.url and str(tmp_path) not in page.url
        with page.expect_download() as download:
            page.get_by_role("button", name="points.csv").click()
        assert download.value.path().read_text().startswith("recipe,tick,seed,setting")
        assert not visit.complaints
