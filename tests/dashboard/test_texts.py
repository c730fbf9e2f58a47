"""The tables of texts: what is marked, what is chosen, what travels."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from core.study import Study
from dashboard.figures import rows
from dashboard.figures.texts import Row, Texts, marks, page


def matched(truth: str, output: str) -> list[str]:
    return [text for text, same in marks(truth, output) if same]


def test_marks_join_to_the_output_and_mark_only_true_words() -> None:
    truth = "the old kettle leans against the mill."
    for output in (truth, "the old ferry leans against a mill.", "", "  odd   spaces ", "mill."):
        assert "".join(text for text, _ in marks(truth, output)) == output
    assert matched(truth, truth) == [truth]
    assert matched(truth, "the old ferry leans against a mill.") == [
        "the old", "leans against", "mill.",
    ]  # fmt: skip
    assert matched(truth, "nothing here") == []
    assert matched("86.", "68.") == []


def test_texts_travel_once() -> None:
    outputs = ("a b c", "a b c", "a x c", "a b c")
    table = Texts("memory", "kfac", rows.MEMORY_HEADS,
                  (Row("1", "n", "p", "a b c", outputs, (True, True, False, True)),),
                  {"yes": "recited", "no": "broken"})  # fmt: skip
    payload = table.payload()
    assert payload["rows"][0]["at"] == [0, 0, 1, 0]
    assert len(payload["pool"]) == 2
    assert table.at(2)[0]["After the cut"] == "a x c"


def test_pages_are_clipped() -> None:
    assert page(list(range(10)), 2, 4) == [4, 5, 6, 7]
    assert page(list(range(10)), 99, 4) == [8, 9]
    assert page(list(range(10)), -1, 4) == [0, 1, 2, 3]


def test_rows_are_of_the_reporting_half_and_never_chosen_by_outcome(study: Study) -> None:
    items = study.items
    for kind, choices in (
        ("memory", rows.memory_choices(items)),
        ("probe", rows.probe_choices(items)),
    ):
        for group in choices:
            picked = [r["id"] for r in rows.pick(items, kind, group)]
            assert len(picked) == len(set(picked))
            halves = items.set_index("id").loc[picked, "split"]
            assert set(halves) <= {"report"}
    passages = [r["repeats"] for r in rows.pick(items, "memory", "passage")]
    assert passages == sorted(passages, reverse=True)
    mixed = [r["group"] for r in rows.pick(items, "memory", rows.MIXED)]
    assert mixed[:3] == ["passage", "recited", "passage"]


@pytest.mark.parametrize("kind", ["memory", "probe"])
def test_a_table_is_small_and_complete(study: Study, kind: str) -> None:
    recipe = study.manifest.recipe("kfac")
    said = rows.continuations(study.outputs, recipe)
    table = rows.table(study.items, said, recipe, kind, rows.MIXED, 1)
    assert 0 < len(table.rows) <= max(rows.MEMORY_SIZE, rows.PROBE_SIZE)
    stored = study.outputs
    stored = stored[(stored["recipe"] == "kfac") & (stored["tick"] == 7)]
    by_item = dict(zip(stored["item"].astype(str), stored["output"].astype(str), strict=True))
    for row in table.rows:
        assert len(row.outputs) == len(recipe.ticks)
        assert row.outputs[7] == by_item[row.id].strip()
    assert len(json.dumps(table.payload())) < 100_000


def test_special_tokens_are_said_in_words(study: Study) -> None:
    recipe = study.manifest.recipe("kfac")
    said = rows.continuations(study.outputs, recipe)
    first = rows.pick(study.items, "memory", rows.MIXED)[0]["id"]
    texts = ("a man.\n<|endoftext|>It", *said[first][0][1:])
    table = rows.table(
        study.items, {**said, first: (texts, said[first][1])}, recipe, "memory", rows.MIXED, 1
    )
    assert table.rows[0].outputs[0] == "a man. ⟨end⟩ It"


def test_notes_say_what_was_seen() -> None:
    row = {"group": "passage", "repeats": 256, "exact_copies": 231}
    assert rows.note(row) == "Passage, shown 256×, 231 exact"
    assert rows.note({**row, "repeats": 1, "exact_copies": pd.NA}) == "Passage, shown once"
    assert rows.note({**row, "repeats": 0}) == "Passage, never seen in training"
    assert rows.note({"group": "logic", "repeats": pd.NA, "exact_copies": pd.NA}) == "Logic"
