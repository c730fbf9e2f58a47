"""Every page by keyboard and by axe-core, light and dark."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import Playwright

from tests.browser.axe import violations
from tests.browser.driver import Visit, browser
from tests.pages import Page, listed

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

# The control that has the focus, however deep in shadow roots, and whether one sees that it has.
_FOCUSED = """
() => {
  let node = document.activeElement;
  while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  if (!node || node === document.body) return null;
  node.reached = true;
  const marks = (one) => {
    const look = getComputedStyle(one);
    return (look.outlineStyle !== "none" && parseFloat(look.outlineWidth) > 0)
      || look.boxShadow !== "none";
  };
  let shown = false;
  for (let one = node, up = 0; one && up < 4; one = one.parentElement, up += 1) {
    shown ||= marks(one);
  }
  return [node.outerHTML.slice(0, 140), Boolean(shown)];
}
"""
# Controls that Tab should reach: visible, in use, and no second button of a group that arrows walk.
_MISSED = """
() => {
  const found = [];
  const walk = (root) => {
    for (const node of root.querySelectorAll("*")) {
      if (node.shadowRoot) walk(node.shadowRoot);
      if (!node.matches("button, a[href], input, textarea, select, summary")) continue;
      const box = node.getBoundingClientRect();
      if (node.disabled || node.tabIndex < 0 || !box.width || !box.height) continue;
      if (!node.checkVisibility({ visibilityProperty: true, opacityProperty: false })) continue;
      if (node.closest(".modebar, [role=radiogroup]")) continue;
      if (!node.reached) found.push(node.outerHTML.slice(0, 140));
    }
  };
  walk(document.querySelector("[data-testid=stMain]"));
  return found;
}
"""
MOST_TABS = 150


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", listed(), ids=lambda page: page.title)
def test_axe_finds_nothing(
    playwright: Playwright,
    chromium_path: str,
    address: str,
    page: Page,
    scheme: Literal["light", "dark"],
) -> None:
    with browser(playwright, chromium_path, scheme) as context:
        visit = Visit(context, f"{address}/{page.path}")
        visit.page.wait_for_timeout(1000)
        assert not violations(visit.page)
        assert not visit.complaints


@pytest.mark.parametrize("path", ["recall", "spectrum"])
def test_every_control_is_reached_by_keyboard_and_shows_it(
    playwright: Playwright, chromium_path: str, address: str, path: str
) -> None:
    with browser(playwright, chromium_path) as context:
        visit = Visit(context, f"{address}/{path}")
        page = visit.page
        page.wait_for_timeout(1000)  # the last chart is drawn, and nothing takes the focus away
        unseen = []
        for _ in range(MOST_TABS):
            page.keyboard.press("Tab")
            found = page.evaluate(_FOCUSED)
            if found is None:
                break
            if not found[1]:
                unseen.append(found[0])
        assert not page.evaluate(_MISSED)
        assert not unseen
        assert not visit.complaints
