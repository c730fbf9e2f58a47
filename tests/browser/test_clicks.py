"""What a click on a chart does, in a real browser: pins, edit and threshold, projection in view."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Playwright

from core.study import Study
from tests.browser.driver import Visit, browser, served
from tests.dashboard import documents

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def folder(study_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = {"curvature.json": documents.curvature(), "examples.json": documents.portraits()}
    return documents.documented(study_folder, tmp_path_factory.mktemp("clicks"), found)


@pytest.fixture(scope="module")
def address(chromium_path: str, folder: Path) -> Iterator[str]:
    with served(folder) as url:
        yield url


def layout(visit: Visit, chart: str, path: str) -> Any:
    drawn = visit.page.locator(f".st-key-{chart} .js-plotly-plot:has(.main-svg)")
    return drawn.evaluate(f"plot => plot.{path}")


def named(visit: Visit) -> list[str]:
    """The pins in the legend of their chart."""
    names: list[dict[str, Any]] = layout(visit, "chart-pins", "data")
    return [str(t["name"]) for t in names if str(t["name"]).startswith(("A:", "B:"))][:2]


def test_an_example_shows_its_curve_and_is_pinned(
    playwright: Playwright, chromium_path: str, address: str
) -> None:
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{address}/examples")
        page = visit.page
        assert named(visit) == ["A: memorized string", "B: fresh text"]
        visit.click_chart("chart-heatmap", 0.3, 0.55)
        assert "a=fresh" in page.url and "b=" not in page.url
        assert named(visit)[0] == "A: fresh text"
        before = layout(visit, "chart-heatmap", "layout.xaxis.range")
        visit.click_chart("chart-heatmap", 0.6, 0.12)
        assert "b=passage" in page.url
        assert named(visit) == ["A: fresh text", "B: memorized string"]
        assert layout(visit, "chart-heatmap", "layout.xaxis.range") == before
        visit.click_chart("chart-heatmap", 0.5, 0.97)
        assert "a=sums" in page.url and "b=passage" in page.url
        again = Visit(context, page.url)
        assert named(again) == named(visit) == ["A: sums", "B: memorized string"]
        assert not visit.complaints + again.complaints


def test_the_mean_flattens_under_the_hand(
    playwright: Playwright, chromium_path: str, address: str
) -> None:
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{address}/examples")
        page = visit.page
        slider = page.get_by_label("Examples averaged").last
        slider.scroll_into_view_if_needed()
        first = page.locator("rect.bar").first

        def tall() -> float:
            return float(first.get_attribute("height") or "nan")

        url, start = page.url, tall()
        heights = [start]
        for _ in range(3):
            slider.press("ArrowRight")
            heights.append(tall())
        assert heights[0] > heights[1] > heights[2] > heights[3] > 0
        n = documents.portraits()["projections"][0]["averaged"]["kappa"]["memorized"]
        assert heights[1] / start == pytest.approx((n[0][0] + n[0][1]) / 2, rel=0.02)
        assert page.get_by_text("Averaged over 4,").count()
        assert page.url == url and not visit.complaints


def test_a_point_of_a_tradeoff_sets_edit_and_threshold(
    playwright: Playwright, chromium_path: str, address: str, folder: Path
) -> None:
    recipe = Study.open(folder).manifest.recipe("kfac")
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{address}/recall?recipe=svd")

        (left, right), (low, high) = (
            layout(visit, "chart-controls", f"layout.{axis}.range") for axis in ("xaxis", "yaxis")
        )
        points = {
            trace["meta"]: [
                ((math.log10(x) - left) / (right - left), (high - y) / (high - low))
                for x, y in zip(trace["x"], trace["y"], strict=True)
            ]
            for trace in layout(visit, "chart-controls", "data")
            if trace.get("meta") in ("svd", "kfac", "magnitude", "random", "noise")
        }
        mine = points.pop("kfac")
        others = [place for some in points.values() for place in some]

        def apart(tick: int) -> float:
            """How far the nearest other point is; a click takes the nearest."""
            rest = [place for other, place in enumerate(mine) if other != tick]
            return min(math.dist(mine[tick], place) for place in [*others, *rest])

        first, second = sorted(range(len(mine)), key=apart)[-2:]
        for tick in (first, second, first):
            visit.click_chart("chart-controls", *mine[tick])
            assert visit.tick() == tick
            assert f"mass={recipe.ticks[tick]:g}" in visit.page.url
        assert "K-FAC" in visit.page.locator(".st-key-recipe input").input_value()
        assert not visit.complaints


def test_a_panel_becomes_the_projection_in_view(
    playwright: Playwright, chromium_path: str, address: str
) -> None:
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{address}/spectrum")
        for plot, kind in (("x3y3", "down"), ("xy", "gate"), ("x2y2", "up")):
            visit.click_chart("chart-multiples", 0.6, 0.4, plot)
            assert (
                f"In view: layer 1, {kind}"
                in visit.page.locator(".st-key-projection input").input_value()
            )
            assert f"projection=model.layers.1.mlp.{kind}_proj" in visit.page.url
        assert not visit.complaints
