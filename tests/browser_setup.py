"""Find a Chromium for the browser tests, or install one where that is allowed.

`make test` runs this file before pytest: it prints one line and fails only under CI=true.
The tests ask `find()` through the fixture `chromium_path` in tests/conftest.py.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_APPS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
# The second package is for playwright itself: its driver links to it, a bare Debian lacks it.
DEBIAN = ("chromium", "libatomic1", "fonts-liberation")
ADVICE = (
    f"No Chromium that playwright can drive: install one (Debian: apt install {' '.join(DEBIAN)}; "
    f"elsewhere: {sys.executable} -m playwright install --with-deps chromium) "
    "or point HILLSHADE_CHROMIUM to its program."
)
# A program of the right name may be a stub or lack its libraries: only a page it has shown counts.
PROBE = """
import sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    path = sys.argv[1] or playwright.chromium.executable_path
    browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
    page = browser.new_page()
    page.set_content("<p>shown</p>")
    assert page.inner_text("p", timeout=10_000) == "shown"
    browser.close()
    print(path)
"""


@cache
def find() -> str | None:
    """The path of a Chromium that playwright can drive here, or None."""
    # In a process of its own: a test may already be running playwright in this one.
    for candidate in _candidates():
        command = [sys.executable, "-c", PROBE, candidate]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            continue
        if done.returncode == 0:
            return done.stdout.strip()
    return None


def _candidates() -> Iterator[str]:
    if named := os.environ.get("HILLSHADE_CHROMIUM"):
        yield named
    yield from filter(None, map(shutil.which, NAMES))
    yield from (app for app in MAC_APPS if Path(app).exists())
    yield ""  # the build that playwright may have installed


def install() -> None:
    """Try the system's package where we are root, then playwright's own build; never raises."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root and shutil.which("apt-get"):
        _run(["apt-get", "-qq", "update"], 180)
        if _run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", *DEBIAN], 420):
            return
    dependencies = ["--with-deps"] if root else []
    _run([sys.executable, "-m", "playwright", "install", *dependencies, "chromium"], 420)


def _run(command: list[str], limit: float) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def main() -> int:
    """Find or install; print what the browser tests will use; 1 only where they must run."""
    path = find()
    if path is None:
        print("No Chromium on this machine: trying to install one (a few minutes at most).")
        install()
        find.cache_clear()
        path = find()
    if path is None:
        print(ADVICE)
        return 1 if os.environ.get("CI") == "true" else 0
    print(f"Browser tests use {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
