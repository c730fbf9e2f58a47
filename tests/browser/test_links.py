"""Links reopen what a hand has set; lessons present it; the last release wins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Playwright

from core.study import Study
from tests.browser.driver import Visit, browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def asked(visit: Visit) -> dict[str, str]:
    """What the address of a visit asks for."""
    return {name: said[0] for name, said in parse_qs(urlsplit(visit.page.url).query).items()}


def to_tick(tick: int) -> Callable[[Visit], None]:
    def move(visit: Visit) -> None:
        last = int(visit.thumb.get_attribute("max"))
        visit.hold(visit.tick() / last, tick / last)
        visit.let_go()

    return move


def choosing(key: str, option: str) -> Callable[[Visit], None]:
    return lambda visit: visit.choose(key, option)


@dataclass(frozen=True)
class Row:
    """A page, what a hand does there, and what the address says after each of it."""

    path: str
    does: tuple[Callable[[Visit], None], ...]
    says: tuple[tuple[str, str], ...]
    drawn: str = ".finding .head"  # what the page draws after its run has ended


# A new page is one more row.
ROWS = {
    "Recall": Row(
        "recall",
        (choosing("recipe", "SVD"), to_tick(3), choosing("text", "Passages")),
        (("recipe", "svd"), ("mass", ""), ("text", "passage")),
    ),
    "Spectrum": Row(
        "spectrum",
        (choosing("projection", "In view: layer 1, up"), to_tick(2)),
        (("projection", "model.layers.1.mlp.up_proj"), ("mass", "")),
    ),
    "Studies": Row(
        "studies",
        (choosing("recipe", "SVD"), to_tick(3)),
        (("recipe", "svd"), ("mass", "")),
        ".readouts dd",
    ),
}


def view_of(visit: Visit, drawn: str) -> dict[str, str]:
    """What a person would compare: every selector, the readouts, and the words of the finding."""
    page = visit.page
    for last in (drawn, ".st-key-projection input"):  # each part comes when its code has
        page.locator(last).first.wait_for()
    found = {
        f"selector {number}": said
        for number, said in enumerate(
            page.locator(".stSelectbox input").evaluate_all("all => all.map(n => n.value)")
        )
    }
    found["readouts"] = " | ".join(page.locator(".readouts dd").all_inner_texts())
    found["finding"] = " | ".join(page.locator(".finding .head").all_inner_texts())
    return found


@pytest.mark.parametrize("name", ROWS)
def test_a_link_reopens_what_a_hand_has_set(
    playwright: Playwright, chromium_path: str, address: str, name: str
) -> None:
    row = ROWS[name]
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{address}/{row.path}")
        seen = [view_of(visit, row.drawn)]
        for act, (parameter, value) in zip(row.does, row.says, strict=True):
            act(visit)
            said = asked(visit)
            assert said.get(parameter), (parameter, visit.page.url)
            assert value in ("", said[parameter])
            seen.append(view_of(visit, row.drawn))
        assert seen[-1] != seen[0]
        with browser(playwright, chromium_path) as other:
            again = Visit(other, visit.page.url)
            assert view_of(again, row.drawn) == seen[-1]
            assert asked(again) == asked(visit)
            assert not again.complaints
        visit.page.go_back()
        visit.page.wait_for_timeout(500)
        visit.settle()
        assert view_of(visit, row.drawn) == seen[-2]
        visit.page.go_forward()
        visit.page.wait_for_timeout(500)
        visit.settle()
        assert view_of(visit, row.drawn) == seen[-1]
        assert not visit.complaints


def test_charts_follow_a_release_in_place_and_the_last_release_wins(
    playwright: Playwright, chromium_path: str, address: str, study_folder: Path
) -> None:
    recipe = Study.open(study_folder).manifest.recipe("kfac")
    last = len(recipe.ticks) - 1
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{address}/recall")
        page = visit.page
        plot = ".st-key-chart-curves .js-plotly-plot"
        page.locator(f"{plot} .main-svg").first.wait_for()
        page.evaluate(f"document.querySelector('{plot}').marked = true")
        # Two releases, the second while the answer to the first is on its way.
        visit.hold(visit.tick() / last, 2 / last, steps=2)
        page.mouse.up()
        visit.hold(2 / last, 6 / last, steps=2)
        page.mouse.up()
        visit.settle()
        page.wait_for_function(
            "([plot, at]) => "
            "Math.abs(document.querySelector(plot).layout.shapes[0].x0 - at) < 1e-6",
            arg=[plot, 6 / last],
        )
        visit.settle()
        assert visit.tick() == 6
        assert asked(visit)["mass"] == f"{recipe.ticks[6]:g}"
        # The chart is the one that was first sent, with its zoom; only what moved was set in it.
        assert page.evaluate(f"document.querySelector('{plot}').marked")
        label = page.locator(".st-key-chart-repeats [role=figure]").get_attribute("aria-label")
        assert label and page.get_by_text(label, exact=True).count()
        assert not visit.complaints


def test_a_lesson_is_presented_with_the_controls_it_names(
    playwright: Playwright, chromium_path: str, address: str
) -> None:
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{address}/recall")
        page = visit.page
        size = "parseFloat(getComputedStyle(document.documentElement).fontSize)"
        small = page.evaluate(size)
        for key in ("recipe", "show-curves", "own-prompt"):
            assert page.locator(f".st-key-{key}").is_visible(), key
        page.get_by_role("button", name="Present this page").click()
        visit.settle()
        assert asked(visit) == {"present": "1"}
        assert page.evaluate(size) > small
        assert visit.thumb.is_visible()
        for key in ("recipe", "study", "projection", "text", "show-curves", "own-prompt"):
            assert not page.locator(f".st-key-{key}").is_visible(), key
        start = visit.tick()
        page.keyboard.press("ArrowRight")  # the button that was pressed still has the focus
        assert visit.tick() == start + 1
        page.wait_for_timeout(600)
        visit.settle()
        page.get_by_role("link", name="Spectrum").click()
        visit.settle()
        assert asked(visit)["present"] == "1" and not page.locator(".st-key-recipe").is_visible()
        lesson = Visit(context, f"{address}/recall?present=1&show=recipe,tables,everything")
        assert lesson.page.get_by_text("asks to show everything").is_visible()
        assert asked(lesson) == {"present": "1", "show": "recipe,tables"}
        for key, stays in (("recipe", True), ("show-curves", True), ("study", False)):
            assert lesson.page.locator(f".st-key-{key}").is_visible() is stays, key
        assert not lesson.thumb.is_visible()
        lesson.page.get_by_role("button", name="Leave present mode").click()
        lesson.settle()
        assert not asked(lesson)
        assert lesson.page.locator(".st-key-study").is_visible()
        page.keyboard.press("Escape")
        visit.settle()
        assert "present" not in asked(visit) and page.locator(".st-key-study").is_visible()
        page.keyboard.press("Escape")  # there is nothing to leave: it does not lead in
        visit.settle()
        assert "present" not in asked(visit)
        assert not visit.complaints + lesson.complaints
