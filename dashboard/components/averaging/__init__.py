"""The mean over n examples under the hand: a slider over n, and the bars that it flattens.

A components-v2 part like the scrubber's, of finished numbers; the server is never asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent
_SHARED = _HERE.parent / "scrubber"


def _read(*paths: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


_averaging = st.components.v2.component(
    "hillshade_averaging",
    html='<div class="root"></div>',
    css=_read(_SHARED / "common.css", _HERE / "averaging.css"),
    js=_read(_SHARED / "common.js", _HERE / "averaging.js"),
)


def averaging(data: Mapping[str, Any], alt: str, key: str) -> None:
    """Draw it; `data` is `dashboard.figures.averaging.Averaging.payload()`."""
    _averaging(key=key, data={**data, "alt": alt})
