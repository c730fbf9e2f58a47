"""axe-core, the accessibility checker, in a page that a test has opened."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

PACKAGE = "axe_playwright_python"  # brings axe.min.js
ADVICE = f"axe-core is not installed: pip install {PACKAGE.replace('_', '-')}, or make test."


def script() -> str:
    """The source of axe-core; the test is skipped without it, or fails under CI=true."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        if os.environ.get("CI") == "true":
            pytest.fail(ADVICE)
        pytest.skip(ADVICE)
    folder = Path(next(iter(found.submodule_search_locations)))
    return (folder / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """One line a violated rule: its name, what it asks for, and where it is broken."""
    page.evaluate(script())
    found: list[dict[str, Any]] = page.evaluate(
        "axe.run(document, { resultTypes: ['violations'] }).then((all) => all.violations)"
    )
    return [
        f"{rule['id']}: {rule['help']}: "
        + "; ".join(f"{node['target']} {node['html'][:120]}" for node in rule["nodes"][:4])
        for rule in found
    ]
