"""What a page sends to the browser: at most 300 kB of chart data, at most 400 points a trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import loading
from tests.pages import Page, listed, visited

MOST_BYTES = 300_000
MOST_POINTS = 400
SHIPPED = loading.SHIPPED / "language" / "study"


def opened(page: Page) -> AppTest:
    at = visited()
    at.run()
    at.switch_page(page.script).run()
    assert not at.exception, at.exception
    return at


def chart_bytes(at: AppTest) -> int:
    """Of Plotly's charts, of the figures that follow the thumb, and of images."""
    size = sum(len(element.proto.spec) for element in at.get("plotly_chart"))
    for element in at.get("bidi_component"):
        data = json.loads(element.proto.json or element.proto.mixed.json or "{}")
        parts = (data.get("figures", []), data.get("images", []), data.get("moves", {}))
        size += sum(len(json.dumps(part)) for part in parts)
    return size


def longest(at: AppTest) -> int:
    """Points of the longest trace; a band goes there and back along as many."""
    lengths = [0]
    for element in at.get("plotly_chart"):
        for trace in json.loads(element.proto.spec)["data"]:
            for axis in ("x", "y"):
                values: Any = trace.get(axis)
                count = len(values) if isinstance(values, list) else 0
                lengths.append(count // 2 if trace.get("fill") == "toself" else count)
    return max(lengths)


@pytest.mark.parametrize("page", listed(), ids=lambda page: page.title)
def test_no_page_is_heavier_than_a_browser_carries(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, page: Page
) -> None:
    shipped = (SHIPPED / "study.json").is_file()
    monkeypatch.setenv(loading.ENVIRONMENT, str(SHIPPED if shipped else study_path))
    at = opened(page)
    assert chart_bytes(at) <= MOST_BYTES
    assert longest(at) <= MOST_POINTS
