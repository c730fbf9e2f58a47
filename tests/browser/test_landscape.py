"""A cell of a plane is clicked: its point, its losses and what the model says there are shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Playwright

from tests.browser.driver import Visit, browser, served
from tests.dashboard import slices
from tests.dashboard.documents import documented

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def test_a_clicked_cell_speaks_and_is_in_the_address(
    playwright: Playwright, chromium_path: str, study_folder: Path, tmp_path: Path
) -> None:
    land = documented(study_folder, tmp_path, {"landscape.json": slices.landscape(True)})
    with served(land) as address, browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{address}/landscape")
        page = visit.page
        i, j = 5, 2  # of a grid that fills the plot from edge to edge
        last = len(slices.SIDE) - 1
        visit.click_chart("chart-map-spikes-string", i / last, 1 - j / last)
        assert f"alpha={slices.SIDE[i]:g}" in page.url
        assert f"beta={slices.SIDE[j]:g}" in page.url
        assert page.get_by_text(f"At α = {slices.SIDE[i]:g}, β = {slices.SIDE[j]:g}").count()
        page.wait_for_selector("[data-kind^=spoken] tbody tr, tbody tr[data-id]")
        said = page.locator(f"tr[data-id={slices.STRING}]")
        assert said.count() == 1
        link = page.url
        again = Visit(context, link)
        assert again.page.get_by_text(f"At α = {slices.SIDE[i]:g}").count()
        assert not visit.complaints + again.complaints
