"""The house rules that keep the rooms apart: who may import whom, and how long a file may grow."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for room in ("core", "dashboard") for path in (ROOT / room).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_engine_knows_no_screen_and_files_stay_short(path: Path) -> None:
    if path.is_relative_to(ROOT / "core"):
        tops = {name.partition(".")[0] for name in imported(path)}
        assert not tops & {"streamlit", "plotly", "dashboard", "tests"}
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 350
