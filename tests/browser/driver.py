"""A server of the dashboard and a Chromium to visit it; every wait has an end."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import BrowserContext, Page, Playwright

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 90
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# Opened by a page's own address, Streamlit first asks for its server below that address and takes
# the 404 for an answer. Nothing else may appear in the console.
EXPECTED = "/_stcore/"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(study: Path | None, app: Path = ROOT / "dashboard" / "app.py") -> Iterator[str]:
    """The dashboard on a free port, for as long as the block runs; yields its address."""
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] = "false"  # an app without our settings
    environment.pop("HILLSHADE_STUDY", None)
    if study is not None:
        environment["HILLSHADE_STUDY"] = str(study)
    command = [
        sys.executable, "-m", "streamlit", "run", str(app),
        "--server.port", str(port), "--server.headless", "true",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            address = f"http://localhost:{port}"
            _wait_for(address, server, log)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(10)


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Any) -> None:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=5) as answer,
        ):
            if answer.status == 200:
                return
        if server.poll() is not None:
            break
        time.sleep(0.2)
    log.seek(0)
    raise RuntimeError(f"The dashboard did not start:\n{log.read().decode(errors='replace')}")


@contextlib.contextmanager
def browser(
    playwright: Playwright,
    path: str,
    scheme: Literal["light", "dark"] = "light",
    size: tuple[int, int] = (1440, 900),
) -> Iterator[BrowserContext]:
    """A fresh profile in a headless Chromium."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=path,
            headless=True,
            args=list(ARGUMENTS),
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
        )
        context.set_default_timeout(WAIT_S * 1000)
        try:
            yield context
        finally:
            context.close()


class Visit:
    """A tab of the dashboard, and what its console said."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)
        self.settle()

    def _console(self, message: Any) -> None:
        url = message.location.get("url", "")
        if message.type in ("error", "warning") and EXPECTED not in url:
            self.complaints.append(f"{message.text} ({url})")

    def settle(self) -> None:
        """Wait until the run of the page has ended, the bar stands, and all has come."""
        self.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
        self.page.wait_for_timeout(250)  # the component answers a run after it has ended
        self.page.wait_for_selector(".st-key-painted", state="detached")
        self.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")

    @property
    def thumb(self) -> Any:
        return self.page.locator("input.thumb")

    def tick(self) -> int:
        return int(self.thumb.input_value())

    def thumb_at(self, share: float) -> tuple[float, float]:
        """Where on the screen the thumb lies at a share of its travel."""
        box = self.thumb.bounding_box()
        assert box is not None
        radius = 11
        return box["x"] + radius + share * (box["width"] - 2 * radius), box["y"] + box["height"] / 2

    def hold(self, start: float, end: float, steps: int = 12) -> None:
        """Press at the thumb and move, without letting go."""
        mouse = self.page.mouse
        mouse.move(*self.thumb_at(start))
        mouse.down()
        mouse.move(*self.thumb_at(end), steps=steps)

    def let_go(self) -> None:
        self.page.mouse.up()
        self.page.wait_for_timeout(150)
        self.settle()

    def after_texts(self) -> list[str]:
        found: list[str] = self.page.locator("[data-kind=memory] td.after").all_inner_texts()
        return found

    def click_chart(self, chart: str, across: float, down: float, plot: str = "xy") -> None:
        """Click a place of a chart's panel, given in shares of its width and height."""
        panel = self.page.locator(f".st-key-{chart} .nsewdrag[data-subplot={plot}]")
        panel.evaluate("panel => panel.scrollIntoView({block: 'center'})")  # clear of the bar
        drawn = f"document.querySelector('.st-key-{chart} .js-plotly-plot')"
        self.page.wait_for_function(f"{drawn}.hillshade")  # it listens
        self.page.wait_for_timeout(400)
        box = panel.bounding_box()
        assert box is not None
        place = (box["x"] + across * box["width"], box["y"] + down * box["height"])
        self.page.mouse.move(*place)
        self.page.wait_for_timeout(300)
        self.page.mouse.click(*place)
        self.page.wait_for_timeout(500)
        self.settle()

    def choose(self, key: str, option: str) -> None:
        """Pick an option of one of the selectors."""
        self.page.locator(f".st-key-{key} input").click()
        self.page.get_by_role("option", name=option).first.click()
        self.settle()
