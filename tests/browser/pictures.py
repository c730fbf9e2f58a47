"""Takes the README's pictures from the running dashboard: `python -m tests.browser.pictures`.

Serves the shipped study, opens the pages as a visitor finds them, and writes PNGs to assets/.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from playwright.sync_api import Playwright, sync_playwright

from tests import browser_setup
from tests.browser.driver import ROOT, Visit, browser, served

ASSETS = ROOT / "assets"
SHOTS: tuple[tuple[str, str, Literal["light", "dark"], tuple[int, int]], ...] = (
    ("start", "/", "light", (1440, 900)),
    ("recall", "/recall", "light", (1440, 900)),
    ("recall-dark", "/recall", "dark", (1440, 900)),
    ("recall-phone", "/recall", "light", (390, 844)),
    ("spectrum", "/spectrum", "light", (1440, 900)),
    ("examples", "/examples", "light", (1440, 900)),
    ("landscape", "/landscape", "light", (1440, 900)),
    ("vision", "/vision", "light", (1440, 900)),
    ("vision-dark", "/vision", "dark", (1440, 900)),
    ("studies", "/studies", "light", (1440, 900)),
)


def shoot(playwright: Playwright, path: str, address: str, folder: Path) -> None:
    """One picture a shot, the thumb at rest."""
    for name, page, scheme, size in SHOTS:
        with browser(playwright, path, scheme, size) as context:
            visit = Visit(context, address + page)
            visit.page.emulate_media(reduced_motion="reduce")
            visit.page.wait_for_timeout(1500)
            visit.page.screenshot(path=folder / f"{name}.png")
            if visit.complaints:
                raise SystemExit(f"{name}: {visit.complaints}")
            print(folder / f"{name}.png")


def main(folder: Path) -> None:
    path = browser_setup.find()
    if path is None:
        raise SystemExit(browser_setup.ADVICE)
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, served(None) as address:
        shoot(playwright, path, address, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ASSETS)
