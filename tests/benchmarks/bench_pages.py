"""How long a visitor waits for each page, against a page of Streamlit and Plotly alone.

*First useful paint*: from the start of the navigation, in a new browser profile, to the frame in
which the title or the finding stands and, above the fold, every chart is drawn. The server is warm:
it has shown the page once before. The empty page is measured in the same turn as the others.
Beside it what each page sends: bytes of chart data, and points of its longest trace.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
from pathlib import Path
from unittest import mock

from playwright.sync_api import Playwright, sync_playwright

from dashboard import loading
from tests import browser_setup
from tests.browser.driver import Visit, browser, served
from tests.dashboard.studies import whole_study
from tests.dashboard.test_weight import chart_bytes, longest, opened
from tests.pages import listed

HERE = Path(__file__).resolve().parent
SHIPPED = HERE.parents[1] / "assets" / "language" / "study"
TURNS = 5

# Useful: words to read, and as many charts and parts drawn in the first screen as it will have.
_SEEN = """
() => {
  const seen = (node) => {
    const box = node.getBoundingClientRect();
    return box.height > 0 && box.top < innerHeight && box.bottom > 0;
  };
  const all = (selector) => [...document.querySelectorAll(selector)].filter(seen).length;
  return [
    all("h1, h2, h3, h4"),
    all("[data-testid=stPlotlyChart]:has(.main-svg)"),
    all("[data-testid^=stBidiComponent]"),
  ];
}
"""
_USEFUL = f"(whole) => ({_SEEN})().every((count, index) => count >= whole[index])"
_PAINTED = """
() => new Promise((done) => {
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
})
"""


def run() -> dict[str, float | int | str]:
    """Medians in milliseconds; every page over the empty one, measured in turn."""
    path = browser_setup.find()
    if path is None:
        raise SystemExit(browser_setup.ADVICE)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        shipped = (SHIPPED / "study.json").is_file()
        study = SHIPPED if shipped else whole_study(Path(folder))
        playwright = stack.enter_context(sync_playwright())
        empty = stack.enter_context(served(None, HERE / "empty_page.py"))
        address = stack.enter_context(served(study))
        urls = {"empty": empty} | {p.title.lower(): f"{address}/{p.path}" for p in listed()}
        times: dict[str, list[float]] = {name: [] for name in urls}
        whole = {name: _at_rest(playwright, path, url) for name, url in urls.items()}
        for _ in range(TURNS):
            for name, url in urls.items():
                times[name].append(_first_paint(playwright, path, url, whole[name]))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    result: dict[str, float | int | str] = {"study": "shipped" if shipped else "small"}
    for name, median in medians.items():
        result[f"{name}_first_paint_ms"] = median
        if name != "empty":
            result[f"{name}_over_empty"] = median / medians["empty"]
    return result | _weights(study)


def _weights(study: Path) -> dict[str, float | int | str]:
    result: dict[str, float | int | str] = {}
    with mock.patch.dict(os.environ, {loading.ENVIRONMENT: str(study)}):
        for page in listed():
            at = opened(page)
            result[f"{page.title.lower()}_chart_kB"] = chart_bytes(at) / 1000
            result[f"{page.title.lower()}_longest_trace"] = longest(at)
    return result


def _at_rest(playwright: Playwright, path: str, url: str) -> list[int]:
    """What the first screen holds once nothing more comes; the server is warm then."""
    with browser(playwright, path) as context:
        visit = Visit(context, url)
        visit.page.wait_for_timeout(3000)
        visit.settle()
        found: list[int] = visit.page.evaluate(_SEEN)
        return found


def _first_paint(playwright: Playwright, path: str, url: str, whole: list[int]) -> float:
    with browser(playwright, path) as context:
        page = context.new_page()
        page.goto(url, wait_until="commit")
        page.wait_for_function(_USEFUL, arg=whole, polling="raf")
        return float(page.evaluate(_PAINTED))
