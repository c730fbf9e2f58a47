"""Find a Chromium for the browser tests, or install one where that is allowed.

`make test` runs this file before pytest: it prints one line and fails only under CI=true.
The tests ask `find()` through the fixture `chromium_path` in tests/conftest.py.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_APPS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
ADVICE = (
    "No Chromium found: install one (Debian: apt install chromium; elsewhere: "
    f"{sys.executable} -m playwright install --with-deps chromium) "
    "or point HILLSHADE_CHROMIUM to its program."
)


@cache
def find() -> str | None:
    """The path of a Chromium that starts, or None."""
    for path in _candidates():
        if _starts(path):
            return path
    return None


def _candidates() -> Iterator[str]:
    if named := os.environ.get("HILLSHADE_CHROMIUM"):
        yield named
    for name in NAMES:
        if path := shutil.which(name):
            yield path
    yield from (app for app in MAC_APPS if Path(app).exists())
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    if Path(own).exists():
        yield own


def _starts(path: str) -> bool:
    # A program of that name may be a stub, or lack its libraries: only a rendered page proves it.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            path, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={profile}", "--dump-dom", "data:text/html,<p>hillshade</p>",
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
    return "hillshade" in done.stdout


def install() -> None:
    """Try the system's package where we are root, then playwright's own build; never raises."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root and shutil.which("apt-get"):
        _run(["apt-get", "-qq", "update"], 180)
        packages = ["chromium", "fonts-liberation"]
        if _run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages], 420):
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
