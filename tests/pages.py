"""The pages of the dashboard, as dashboard/app.py lists them."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from streamlit.testing.v1 import AppTest

from dashboard import blocks

APP = Path(__file__).resolve().parents[1] / "dashboard" / "app.py"


@dataclass(frozen=True)
class Page:
    """One `st.Page`: its script, its title, and where the browser finds it ("" at the root)."""

    script: str
    title: str
    path: str


def listed() -> tuple[Page, ...]:
    """Every page, in the order of the menu."""
    found = []
    for node in ast.walk(ast.parse(APP.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "st.Page"):
            continue
        said = {k.arg: ast.literal_eval(k.value) for k in node.keywords}
        found.append((node.lineno, ast.literal_eval(node.args[0]), said))
    found.sort(key=lambda entry: entry[0])
    pages = tuple(Page(file, said["title"], said.get("url_path", "")) for _, file, said in found)
    assert pages, "dashboard/app.py lists no page"
    return pages


def visited() -> AppTest:
    """The dashboard as a session has it that has seen a page painted: pages come whole."""
    at = AppTest.from_file(str(APP), default_timeout=110)
    at.session_state[blocks.PAINTED] = True
    return at
