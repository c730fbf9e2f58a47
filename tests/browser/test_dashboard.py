"""The dashboard as a person meets it: a real browser, a real server, the small study."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Playwright

from core.model import load_model, load_tokenizer
from core.recall import complete
from core.study import Study
from dashboard.loading import edit
from dashboard.prompts import shown
from tests.browser.driver import Visit, browser, served
from tests.dashboard.studies import unfit_studies

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_texts_change_while_the_thumb_is_held(
    playwright: Playwright, chromium_path: str, address: str, study_folder: Path
) -> None:
    recipe = Study.open(study_folder).manifest.recipe("kfac")
    last = len(recipe.ticks) - 1
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{address}/recall")
        page = visit.page
        assert visit.tick() == recipe.chosen
        start, url = visit.after_texts(), page.url
        assert any("broken" in text for text in start)
        edge = page.locator("line.edge").first
        head = page.locator(".finding .head")
        before = (edge.get_attribute("transform"), head.inner_text())
        visit.hold(recipe.chosen / last, 0.0)
        # Still held: everything live has moved, nothing has been said to the server.
        assert visit.tick() == 0
        assert all("recited" in text for text in visit.after_texts() if "recited" in text)
        assert visit.after_texts() != start
        assert edge.get_attribute("transform") != before[0]
        assert head.inner_text() != before[1]
        assert "Nothing is cut" in head.inner_text()
        page.mouse.move(*visit.thumb_at(1.0), steps=10)
        assert visit.tick() == last
        assert page.url == url
        visit.let_go()
        assert f"mass={recipe.ticks[last]:g}" in page.url
        assert visit.tick() == last
        rows = page.locator("[data-kind=memory] tbody tr")
        first = rows.first.get_attribute("data-id")
        page.get_by_label("Next page").first.click()
        page.wait_for_timeout(300)
        visit.settle()
        assert rows.first.get_attribute("data-id") != first
        assert page.get_by_text("2 of").count()
        assert not visit.complaints


def test_address_follows_and_reopens(
    playwright: Playwright, chromium_path: str, address: str, study_folder: Path
) -> None:
    study = Study.open(study_folder)
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{address}/recall")
        visit.choose("recipe", "SVD")
        svd = study.manifest.recipe("svd")
        last = len(svd.ticks) - 1
        visit.hold(visit.tick() / last, 3 / last)
        visit.let_go()
        assert visit.tick() == 3
        for name in ("Method", "Spectrum"):
            visit.page.get_by_role("link", name=name).click()
            visit.settle()
        assert visit.tick() == 3
        link = visit.page.url
        assert "recipe=svd" in link and f"mass={svd.ticks[3]:g}" in link and "spectrum" in link
        again = Visit(context, link)
        assert again.tick() == 3
        assert "SVD" in again.page.locator(".st-key-recipe input").input_value()
        again.page.get_by_role("link", name="Recall").click()
        again.settle()
        assert again.tick() == 3
        again.hold(3 / last, 1.0)
        again.let_go()
        assert again.tick() == last
        again.page.go_back()
        again.page.wait_for_timeout(400)
        again.settle()
        assert again.tick() == 3  # one step of history a release
        again.page.go_forward()
        again.page.wait_for_timeout(400)
        again.settle()
        assert again.tick() == last
        assert not visit.complaints + again.complaints


def test_keys_move_the_thumb_and_space_plays(
    playwright: Playwright, chromium_path: str, address: str
) -> None:
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{address}/recall?mass=0.99")
        page = visit.page
        start = visit.tick()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert visit.tick() == start + 2
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(600)
        visit.settle()
        assert visit.tick() == start + 1
        assert "mass=0.98" in page.url
        page.keyboard.press("Space")
        page.wait_for_function(
            f"document.querySelector('.st-key-bar, [data-testid]') && "
            f"window.hillshadeBus.tick > {start + 2}"
        )
        page.keyboard.press("Space")
        page.wait_for_timeout(400)
        visit.settle()
        stopped = visit.tick()
        assert stopped > start + 2
        area = page.get_by_label("Prompt", exact=True)
        area.click()
        page.keyboard.press("ArrowLeft")
        page.keyboard.type(" ")
        assert visit.tick() == stopped
        assert not visit.complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/recall", "/spectrum"])
def test_pages_draw_in_both_themes(
    playwright: Playwright,
    chromium_path: str,
    address: str,
    scheme: Literal["light", "dark"],
    path: str,
) -> None:
    with browser(playwright, chromium_path, scheme) as context:
        visit = Visit(context, address + path)
        page = visit.page
        page.locator(".js-plotly-plot .main-svg").locator("visible=true").first.wait_for()
        assert page.locator("[data-theme]").first.get_attribute("data-theme") == scheme
        paper = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
        assert paper == {"light": "rgb(252, 251, 248)", "dark": "rgb(18, 24, 29)"}[scheme]
        assert not wider_than_the_screen(visit)
        assert not page.locator("[data-testid=stException]").count()
        assert not visit.complaints


def wider_than_the_screen(visit: Visit) -> bool:
    return bool(
        visit.page.evaluate(
            "['.stAppViewContainer', '.stMain'].some("
            "s => document.querySelector(s).scrollWidth > innerWidth + 1)"
        )
    )


def test_a_phone_shows_everything_in_its_width(
    playwright: Playwright, chromium_path: str, address: str
) -> None:
    with browser(playwright, chromium_path, "light", (390, 844)) as context:
        for path in ("/recall", "/spectrum"):
            visit = Visit(context, address + path)
            assert not wider_than_the_screen(visit)
            box = visit.thumb.bounding_box()
            assert box["width"] > 240
            visit.page.mouse.move(195, 600)
            visit.page.mouse.wheel(0, 1500)
            visit.page.wait_for_timeout(300)
            assert 0 < visit.thumb.bounding_box()["y"] < 200  # the bar stays in reach
            assert not visit.complaints


@pytest.mark.parametrize("path", ["", "/recall"])  # without a threshold bar, and with one
def test_switching_the_theme_recolours_everything(
    playwright: Playwright, chromium_path: str, address: str, path: str
) -> None:
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, address + path)
        page = visit.page
        page.get_by_test_id("stMainMenuButton").click()
        page.locator("text=Dark").first.click()
        page.keyboard.press("Escape")
        page.wait_for_timeout(400)
        visit.settle()
        themes = page.locator("[data-theme]").evaluate_all("all => all.map(n => n.dataset.theme)")
        assert set(themes) <= {"dark"}
        tick = page.locator(".js-plotly-plot .xtick text").first
        tick.wait_for()
        page.wait_for_function(
            "getComputedStyle(document.querySelector('.js-plotly-plot .xtick text')).fill"
            " === 'rgb(169, 178, 184)'"
        )
        assert not visit.complaints


def test_two_visitors_never_meet(
    playwright: Playwright, chromium_path: str, address: str, study_folder: Path
) -> None:
    study = Study.open(study_folder)
    source = study_folder.parent / "model"
    model, tokenizer = load_model(source), load_tokenizer(source)
    recipe = study.manifest.recipe("kfac")
    prompt = "The old kettle faces"
    ids = tokenizer.encode(prompt)

    def expected(tick: int) -> str:
        one = model if tick == 0 else edit(study, model, "kfac", tick)
        return shown(tokenizer, list(complete(one, ids, 40)))

    ticks = (8, len(recipe.ticks) - 1)
    assert expected(ticks[0]) != expected(ticks[1]) != expected(0)
    with (
        browser(playwright, chromium_path) as here,
        browser(playwright, chromium_path) as there,
    ):
        visits = [
            Visit(context, f"{address}/recall?mass={recipe.ticks[tick]:g}")
            for context, tick in zip((here, there), ticks, strict=True)
        ]
        for turn in range(2):  # the second time with both edits cached and both buttons pressed
            for visit in visits:
                visit.page.get_by_label("Prompt", exact=True).fill(prompt)
            for visit in visits:
                visit.page.get_by_role("button", name="Continue with both models").click()
            for visit, tick in zip(visits, ticks, strict=True):
                visit.page.wait_for_timeout(300)
                visit.settle()
                said = visit.page.locator("[data-testid=stText]").all_inner_texts()
                assert [text.strip() for text in said] == [expected(0), expected(tick)], turn
        assert not visits[0].complaints + visits[1].complaints


def test_what_is_typed_is_shown_as_text_only(
    playwright: Playwright, chromium_path: str, address: str
) -> None:
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{address}/recall")
        page = visit.page
        page.get_by_label("Prompt", exact=True).fill("<img src=x onerror=alert(1)> **bold**")
        page.get_by_role("button", name="Continue with both models").click()
        page.wait_for_timeout(300)
        visit.settle()
        assert page.locator("[data-testid=stText]").count() == 2
        assert not page.locator("img[src=x]").count()
        assert "img" not in page.url and "bold" not in page.url
        page.get_by_label("Prompt", exact=True).fill(" ")
        page.get_by_role("button", name="Continue with both models").click()
        page.get_by_text("The prompt is empty").wait_for()
        assert not visit.complaints


def test_unfit_studies_are_answered_by_a_sentence(
    playwright: Playwright, chromium_path: str, study_folder: Path, tmp_path: Path
) -> None:
    folder, sentence = unfit_studies(study_folder, tmp_path)["truncated"]
    with served(folder) as url, browser(playwright, chromium_path) as context:
        for path in ("/", "/recall", "/spectrum"):
            visit = Visit(context, url + path)
            visit.page.get_by_text(sentence).wait_for()
            assert not visit.page.locator("[data-testid=stException]").count()
            assert not visit.complaints
