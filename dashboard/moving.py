"""Charts that are sent once: when the threshold moves, only what changed follows.

Streamlit builds a chart anew whenever a number or the alt sentence of it changes, which takes a
browser longer than everything else a release asks for. So the chart is sent again as it was first,
and beside it what is different now, which the browser sets in place. A chart whose axes or lines
are others (another theme, another projection) is sent anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from dashboard import address

MOVABLE = ("shapes", "annotations")  # what may change in a layout: boundary, marks, notes
_PACKED = ("bdata", "dtype", "shape")
_SENT = "hillshade_sent"


@dataclass
class Sent:
    """A chart as the browser first got it, and what has changed in it since.

    traces  the numbers of the traces that ever changed, and which paths in them
    layout  the parts of the layout that ever changed
    """

    drawing: go.Figure
    content: dict[str, Any]
    alt: str
    traces: dict[int, set[str]] = field(default_factory=dict)
    layout: set[str] = field(default_factory=set)

    def moves(self, now: dict[str, Any]) -> dict[str, Any] | None:
        """What Plotly.update has to set to show `now`; None where that does not suffice.

        What changed once is always told: the browser does not know how it was at first.
        """
        was, data = self.content["data"], now["data"]
        if len(was) != len(data):
            return None
        if _without(self.content["layout"]) != _without(now["layout"]):
            return None
        for number, (before, after) in enumerate(zip(was, data, strict=True)):
            differ = _paths(before, after)
            if differ is None:
                return None
            if differ:
                self.traces.setdefault(number, set()).update(differ)
        for part in MOVABLE:
            if self.content["layout"].get(part) != now["layout"].get(part):
                self.layout.add(part)
        numbers = sorted(self.traces)
        paths = sorted(set().union(*self.traces.values()))
        return {
            "traces": numbers,
            "data": {path: [_at(data[number], path) for number in numbers] for path in paths},
            "layout": {part: now["layout"].get(part, []) for part in sorted(self.layout)},
        }


def plain(value: Any) -> Any:
    """The same as JSON has it: no tuples, and null for what is no number."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _without(layout: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in layout.items() if name not in MOVABLE}


def _paths(before: dict[str, Any], after: dict[str, Any], above: str = "") -> set[str] | None:
    """The dotted paths of all that differs; None where one has what the other lacks."""
    if before.keys() != after.keys():
        return None
    found: set[str] = set()
    for name, value in before.items():
        path = f"{above}{name}"
        if isinstance(value, dict) and isinstance(after[name], dict):
            deeper = _paths(value, after[name], f"{path}.")
            if deeper is None:
                return None
            found |= deeper
        elif value != after[name]:
            if name in _PACKED:  # numbers as bytes, which Plotly unpacks in whole charts only
                return None
            found.add(path)
    return found


def _at(trace: dict[str, Any], path: str) -> Any:
    """The value at a dotted path; None (as Plotly has it) where the trace has none."""
    value: Any = trace
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def follow(name: str, drawing: go.Figure, alt: str) -> tuple[Sent, dict[str, Any]]:
    """The chart to send under `name`, and what has to move in it to show `drawing`."""
    memory = st.session_state.setdefault(_SENT, {})
    if memory.get("page") != address.page():  # another page's charts are gone from the browser
        memory.clear()
        memory["page"] = address.page()
    content = plain(drawing.to_dict())
    sent: Sent | None = memory.get(name)
    moves = None if sent is None else sent.moves(content)
    if sent is None or moves is None:
        memory[name] = sent = Sent(drawing, content, alt)
        moves = {"traces": [], "data": {}, "layout": {}}
    return sent, moves
