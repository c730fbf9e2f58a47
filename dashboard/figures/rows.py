"""Which strings and questions stand in the tables of texts, in what order, with what note."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.manifest import StoredRecipe
from dashboard.figures.measured import SPLIT, probe_groups
from dashboard.figures.palette import style
from dashboard.figures.texts import END, Row, Texts, page

MEMORY_SIZE, PROBE_SIZE = 6, 8
MIXED = "mixed"

_SPECIAL = re.compile(r"\s*<\|[^|<>]{1,40}\|>\s*")  # a special token, as tokenizers write it

Said = Mapping[str, tuple[tuple[str, ...], tuple[bool, ...]]]

MEMORY_HEADS = ("Prompt", "The truth", "Before the cut", "After the cut")
PROBE_HEADS = ("Question", "Right answer", "Before the cut", "After the cut")


def continuations(outputs: pd.DataFrame, recipe: StoredRecipe) -> Said:
    """Item id -> its continuation and exactness at every tick of the recipe."""
    rows = outputs[outputs["recipe"] == recipe.id].sort_values("tick", kind="stable")
    found: dict[str, tuple[tuple[str, ...], tuple[bool, ...]]] = {}
    for item, part in rows.groupby("item", observed=True, sort=False):
        if len(part) == len(recipe.ticks):
            found[str(item)] = (
                tuple(part["output"].astype(str)),
                tuple(bool(flag) for flag in part["strict"]),
            )
    return found


def memory_choices(items: pd.DataFrame) -> dict[str, str]:
    """The filter over memorized strings: key -> label."""
    present = set(items.loc[items["kind"] == "memory", "group"])
    choices = {MIXED: "A few of each"}
    names = (
        ("recited", "Recited works"),
        ("passage", "Passages"),
        ("canary", "Numbers"),
        ("unseen", "Never seen"),
    )
    return choices | {group: name for group, name in names if group in present}


def probe_choices(items: pd.DataFrame) -> dict[str, str]:
    """The filter over probes: key -> label."""
    short = {"open-book": "Open book", "facts": "Facts"}
    groups = probe_groups(items)
    return {MIXED: "One of each"} | {g: short.get(g, style(g).name) for g in groups}


def pick(items: pd.DataFrame, kind: str, group: str) -> list[dict[str, Any]]:
    """The rows of a filter, of the reporting half, in stored order; never chosen by outcome.

    Memorized strings stand from the most repeated down; the mixed view takes turns by group.
    """
    rows = items[(items["kind"] == kind) & (items["split"] == SPLIT)]
    if kind == "memory":
        rows = rows.assign(order=-rows["repeats"].fillna(0).astype(int))
        rows = rows.sort_values("order", kind="stable")
    if group != MIXED:
        return _records(rows[rows["group"] == group])
    groups: Sequence[str] = (
        ("passage", "recited", "passage", "canary") if kind == "memory" else probe_groups(items)
    )
    queues = {g: _records(rows[rows["group"] == g]) for g in dict.fromkeys(groups)}
    mixed: list[dict[str, Any]] = []
    while any(queues.values()):
        mixed += [queues[g].pop(0) for g in groups if queues[g]]
    return mixed


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    columns = ["id", "group", "prompt", "truth", "repeats", "exact_copies"]
    records: list[dict[str, Any]] = rows[columns].to_dict("records")
    return records


def note(row: Mapping[str, Any]) -> str:
    """What an item is, in a few words."""
    single = {
        "passage": "Passage",
        "canary": "Number",
        "recited": "Recited",
        "unseen": "Passage",
    }
    name = single.get(str(row["group"]), style(str(row["group"])).name)
    if pd.isna(row["repeats"]):
        return name
    times = int(row["repeats"])
    if times == 0:
        return f"{name}, never seen in training"
    said = f"{name}, shown {times:,}×" if times > 1 else f"{name}, shown once"
    return said if pd.isna(row["exact_copies"]) else f"{said}, {int(row['exact_copies']):,} exact"


def table(
    items: pd.DataFrame, said: Said, recipe: StoredRecipe, kind: str, group: str, number: int
) -> Texts:
    """One page of the table of memorized strings or of probes."""
    memory = kind == "memory"
    records = [r for r in pick(items, kind, group) if r["id"] in said]
    rows = [
        Row(
            str(r["id"]),
            note(r),
            str(r["prompt"]).strip(),
            str(r["truth"]).strip(),
            *_clean(said[r["id"]]),
        )
        for r in page(records, number, MEMORY_SIZE if memory else PROBE_SIZE)
    ]
    return Texts(
        id="memory" if memory else "probes",
        recipe=recipe.id,
        heads=MEMORY_HEADS if memory else PROBE_HEADS,
        rows=tuple(rows),
        said={"yes": "recited", "no": "broken"} if memory else {"yes": "right", "no": "wrong"},
    )


def _clean(
    entry: tuple[tuple[str, ...], tuple[bool, ...]],
) -> tuple[tuple[str, ...], tuple[bool, ...]]:
    outputs, strict = entry
    return tuple(_SPECIAL.sub(f" {END} ", text).strip() for text in outputs), strict


def pages(items: pd.DataFrame, said: Said, kind: str, group: str) -> int:
    """How many pages a filter has."""
    size = MEMORY_SIZE if kind == "memory" else PROBE_SIZE
    return max(1, -(-sum(r["id"] in said for r in pick(items, kind, group)) // size))
