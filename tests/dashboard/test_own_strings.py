"""One's own strings: what is found of them, and the section from paste to CSV."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.items import Item
from core.recall import Outcome, evaluate
from core.strings import halved_strings
from dashboard import exports, loading, own_strings
from dashboard.figures import own
from dashboard.figures.own import Asked
from tests.dashboard.test_pages import component, open_page

SENTENCE = "The old kettle faces the quiet mill."


def outcome(strict: str) -> Outcome:
    flags = np.array([flag == "1" for flag in strict])
    n = len(flags)
    return Outcome(flags, flags, 1.0 - flags, np.zeros(n, dtype=np.int64), ((),) * n)


def asked(before: str, after: str, setting: float = 0.9) -> Asked:
    items = tuple(
        Item(f"recited-{i:05d}", "memory", "recited", "report", (1,), (2,), "a", " b")
        for i in range(1, len(before) + 1)
    )
    texts = tuple(f" said {i}" for i in range(len(before)))
    return Asked(items, outcome(before), outcome(after), texts, texts, "kfac", "K-FAC", setting)


@pytest.mark.parametrize(
    ("before", "after", "head"),
    [
        ("1110", "1000", "Of your 4 strings 3 came back word for word before the cut, and 1 of "),
        ("1110", "0000", "Of your 4 strings 3 came back word for word before the cut, and none "),
        ("1110", "1111", "Of your 4 strings 3 came back word for word before the cut, and all "),
        ("0000", "0000", "None of your 4 strings comes back word for word from the original model, "
                         "so the cut has nothing to take."),
        ("0000", "0100", "None of your 4 strings comes back word for word from the original "
                         "model."),
        ("1", "0", "Your string came back word for word before the cut, and no longer does"),
    ],
)  # fmt: skip
def test_the_finding_follows_the_strings(before: str, after: str, head: str) -> None:
    found = own.finding(asked(before, after))
    assert found.head.startswith(head)
    assert f"{before.count('1')} come" in found.rest
    gained = any(b < a for b, a in zip(before, after, strict=True))
    assert ("only after it" in found.rest) == gained
    assert "Nothing is cut" in own.finding(asked(before, before, 1.0)).rest


def test_rows_turn_pages_and_do_not_follow_the_thumb() -> None:
    many = asked("1" * 8, "0" * 8)
    assert many.pages == 2
    first, second = own.rows(many, 1), own.rows(many, 2)
    assert [row.note for row in first.rows + second.rows] == [f"Line {i}" for i in range(1, 9)]
    assert first.recipe == "own" and first.rows[0].strict == (True, False)
    assert "90" in first.heads[3]


def test_pieces_are_what_the_whole_list_is(study_path: Path) -> None:
    model, tokenizer = loading.model_of(loading.open_study(study_path))
    items = halved_strings("\n".join(f"{SENTENCE} {i}" for i in range(11)), tokenizer, 20)
    told: list[int] = []
    whole, pieces = evaluate(model, items), own_strings.asked_of(model, items, told.append)
    assert told == [0, 4, 8]
    assert whole.continuations == pieces.continuations
    for name in ("strict", "loose", "distance", "right"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))


def press(at: AppTest) -> AppTest:
    next(button for button in at.button if button.label == "Ask both models").click()
    at.run()
    job = at.session_state["hillshade_jobs"].get(own_strings.JOB)
    if job is not None:
        job.wait(60)
        at.run()
    assert not at.exception, at.exception
    return at


def test_a_pasted_list_is_asked_of_both_models(
    monkeypatch: pytest.MonkeyPatch, study_path: Path
) -> None:
    at = open_page(monkeypatch, study_path, "recall")
    at.query_params["mass"] = "0.9"
    at.run()
    examples = at.text_area(key="own-list").value or ""
    assert len(examples.splitlines()) == own_strings.EXAMPLES
    lines = [f"{SENTENCE} {SENTENCE} {i}" for i in range(7)]
    at.text_area(key="own-list").set_value("\n".join(lines))
    press(at)
    assert not at.error
    tables = [e for e in at.get("bidi_component") if "texts" in e.proto.component_name]
    shown = json.loads(tables[-1].proto.json or tables[-1].proto.mixed.json)
    assert shown["title"] == "Your own strings" and (shown["page"], shown["pages"]) == (1, 2)
    assert [row["prompt"] + " " + row["truth"] for row in shown["rows"]] == lines[:6]
    # The numbers are those of the engine, on the edit at the slider.
    study = loading.open_study(study_path)
    model, tokenizer = loading.model_of(study)
    items = halved_strings("\n".join(lines), tokenizer, 10)
    result = at.session_state["hillshade_jobs"][own_strings.JOB].state.result
    tick = study.manifest.recipe("kfac").ticks.index(0.9)
    edited = loading.edit(study, model, "kfac", tick)
    for found, one in ((result.before, model), (result.after, edited)):
        assert found.continuations == evaluate(one, items).continuations
    again = pd.read_csv(io.BytesIO(exports.csv(own.table(result))))
    assert list(again["prompt"] + again["truth"]) == lines
    assert set(again["setting"]) == {0.9} and set(again["recipe"]) == {"kfac"}
    assert again["distance_after"].between(0, 1).all()
    assert SENTENCE not in str(dict(at.query_params))
    assert component(at, "hillshade_texts")["title"] == "Memorized text"
    at.query_params["mass"] = "0.99"
    at.run()
    assert any("the slider has moved since" in caption.value for caption in at.caption)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  \n", "The list is empty"),
        ("The", "Line 1 of your list has 1 tokens"),
        ("kettle " * 400, "reads at most 128; shorten it."),
        ("\n".join(f"{SENTENCE} {i}" for i in range(201)), "at most 200 can be asked"),
    ],
)
def test_an_unusable_list_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, text: str, said: str
) -> None:
    at = open_page(monkeypatch, study_path, "recall")
    at.text_area(key="own-list").set_value(text)
    press(at)
    assert len(at.error) == 1 and said in at.error[0].value


def test_a_file_is_asked_as_it_parts_its_strings(
    monkeypatch: pytest.MonkeyPatch, study_path: Path
) -> None:
    at = open_page(monkeypatch, study_path, "recall")
    at.segmented_control(key="own-source").set_value("Upload JSONL").run()
    press(at)
    assert at.error[0].value == "Choose a file first."
    record = json.dumps({"prefix": "The old kettle", "suffix": " faces the quiet mill."})
    at.file_uploader(key="own-file").set_value(("mine.jsonl", record.encode(), "text/plain"))
    press(at)
    result = at.session_state["hillshade_jobs"][own_strings.JOB].state.result
    assert [item.truth for item in result.items] == [" faces the quiet mill."]
    assert not at.error
