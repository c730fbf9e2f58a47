"""How fast the page follows the hand: from the thumb's input event to the painted picture.

Measured inside headless Chromium, from the event's own time stamp to the second animation frame
after it, which begins when the first has been painted. Then the release, from the pointer's own
time stamp: until the last change of anything in the window ("shown"), and of anything on the page,
down to its foot, with the script at its end ("still").
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests import browser_setup
from tests.browser.driver import Visit, browser, served
from tests.dashboard.studies import whole_study

SHIPPED = Path(__file__).resolve().parents[2] / "assets" / "language" / "study"
MOVES = 60
RELEASES = 7

_RECORD = """
() => {
  window.paints = [];
  document.addEventListener("input", (event) => {
    requestAnimationFrame(() => requestAnimationFrame(() => {
      window.paints.push(performance.now() - event.timeStamp);
    }));
  }, true);
}
"""

# What a release changes: nodes, words, and the attributes that place what is drawn.
_WATCH = """
() => {
  const app = document.querySelector("[data-testid=stApp]");
  let begun = 0, changes = [], ran = false;
  const now = () => performance.now();
  addEventListener("pointerup", (event) => {
    begun = event.timeStamp;
    changes = [];
    ran = false;
  }, true);
  new MutationObserver((all) => all.forEach((one) => changes.push([now(), one.target]))).observe(
    document.querySelector("[data-testid=stMain]"),
    { subtree: true, childList: true, characterData: true,
      attributeFilter: ["d", "transform", "points", "x", "y", "width", "aria-label"] },
  );
  new MutationObserver(() => {
    ran ||= app.dataset.testScriptState === "running";
    if (ran) changes.push([now(), app]);
  }).observe(app, { attributeFilter: ["data-test-script-state"] });
  const inView = (node) => {
    const element = node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement;
    const box = element?.getBoundingClientRect();
    return box && box.height > 0 && box.top < innerHeight && box.bottom > 0;
  };
  window.quiet = () =>
    ran && app.dataset.testScriptState === "notRunning" && now() - changes.at(-1)[0] > 700;
  window.released = () => ({
    shown: Math.max(0, ...changes.filter(([, node]) => node !== app && inView(node))
      .map(([at]) => at - begun)),
    still: Math.max(...changes.map(([at]) => at - begun)),
  });
}
"""
_QUIET = "window.quiet()"


def run() -> dict[str, float | int | str]:
    """Median and 95th percentile of the milliseconds a move takes, on both live pages."""
    path = browser_setup.find()
    if path is None:
        raise SystemExit(browser_setup.ADVICE)
    with tempfile.TemporaryDirectory() as folder:
        shipped = (SHIPPED / "study.json").is_file()
        study = SHIPPED if shipped else whole_study(Path(folder))
        result: dict[str, float | int | str] = {"study": "shipped" if shipped else "small"}
        with sync_playwright() as playwright, served(study) as address:
            for name in ("recall", "spectrum"):
                with browser(playwright, path) as context:
                    visit = Visit(context, f"{address}/{name}")
                    result |= _measure(visit, name)
    return result


def _measure(visit: Visit, name: str) -> dict[str, float | int | str]:
    page = visit.page
    page.evaluate(_RECORD)
    last = int(visit.thumb.get_attribute("max") or 1)
    visit.hold(visit.tick() / last, 0.0, steps=4)
    page.evaluate("window.paints.length = 0")
    for move in range(MOVES):
        tick = (move + 1) % (last + 1)
        page.mouse.move(*visit.thumb_at(tick / last))
        page.wait_for_timeout(60)
    paints: list[float] = page.evaluate("window.paints")
    page.mouse.up()
    visit.settle()
    page.evaluate(_WATCH)
    shown, still = [], []
    for turn in range(RELEASES):
        start, end = visit.tick() / last, ((turn % 2) * 3 + 2) / last
        visit.hold(start, end, steps=2)
        page.mouse.up()
        page.wait_for_function(_QUIET)
        times: dict[str, float] = page.evaluate("window.released()")
        shown.append(times["shown"])
        still.append(times["still"])
    return {
        f"{name}_moves": len(paints),
        f"{name}_input_to_paint_median_ms": statistics.median(paints),
        f"{name}_input_to_paint_p95_ms": statistics.quantiles(paints, n=20)[-1],
        f"{name}_release_to_shown_median_ms": statistics.median(shown),
        f"{name}_release_to_still_median_ms": statistics.median(still),
    }
