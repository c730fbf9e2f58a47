"""Takes the README's pictures from the running dashboard: `python -m tests.browser.pictures`.

Serves the shipped study, opens the pages as a visitor finds them, and writes PNGs to assets/; and
one moving picture, of the threshold under a hand.
"""

from __future__ import annotations

import sys
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Playwright, sync_playwright

from tests import browser_setup
from tests.browser.driver import ROOT, Visit, browser, served

ASSETS = ROOT / "assets"
SHOTS: tuple[tuple[str, str, Literal["light", "dark"], tuple[int, int]], ...] = (
    ("start", "/", "light", (1440, 900)),
    ("recall-dark", "/recall", "dark", (1440, 900)),
    ("spectrum", "/spectrum", "light", (1440, 900)),
    ("examples", "/examples", "light", (1440, 900)),
    ("landscape", "/landscape", "light", (1440, 900)),
    ("vision", "/vision", "light", (1440, 900)),
    ("vision-dark", "/vision", "dark", (1440, 900)),
    ("studies", "/studies", "light", (1440, 900)),
)

FILM = "recall-moving"
STEP_MS, REST_MS = 120, 2000  # how long a picture stands while the thumb moves, and where it rests


def way(chosen: float) -> list[tuple[float, int]]:
    """Shares of the thumb's track, from nothing cut over the chosen setting to nearly the end."""
    stops = (0.0, chosen, 0.99)
    moves = [
        (start + (end - start) * step / 16, STEP_MS)
        for start, end in pairwise(stops)
        for step in range(1, 16)
    ]
    return sorted([*moves, *((stop, REST_MS) for stop in stops)])


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


def film(playwright: Playwright, path: str, address: str, target: Path) -> None:
    """The Recall page while the thumb is drawn from one end to the other, as animated WebP."""
    frames = []
    with browser(playwright, path, "light", (1200, 860)) as context:
        visit = Visit(context, f"{address}/recall?show=bar")
        visit.page.emulate_media(reduced_motion="reduce")
        chosen = visit.tick() / int(visit.thumb.get_attribute("max"))  # where it stands at first
        visit.hold(chosen, 0.0)
        for share, _ in way(chosen):
            visit.page.mouse.move(*visit.thumb_at(share))
            visit.page.wait_for_timeout(250)
            frames.append(Image.open(BytesIO(visit.page.screenshot())).convert("RGB"))
        visit.let_go()
    first, *others = frames
    stands = [stand for _, stand in way(chosen)]
    first.save(
        target, save_all=True, append_images=others, duration=stands, loop=0, quality=70, method=6
    )
    print(target)


def main(folder: Path) -> None:
    path = browser_setup.find()
    if path is None:
        raise SystemExit(browser_setup.ADVICE)
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, served(None) as address:
        shoot(playwright, path, address, folder)
        film(playwright, path, address, folder / f"{FILM}.webp")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ASSETS)
