"""Data sets of the hub: streamed, cut like any text, and refused in sentences."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from core.errors import HillshadeError
from core.fresh import fresh_of
from core.hub import documents
from core.request import Request
from core.textfile import read_windows
from tests.core.test_cli import run
from tests.study_factory import tiny_model, tiny_tokenizer

TEXTS = ("The old kettle faces the quiet mill.", "", "The ferry mirrors the narrow harbour.")


class Streamed(ModuleType):
    """The one function of `datasets` that is used; notes what was asked and how much was read."""

    def __init__(self) -> None:
        super().__init__("datasets")
        self.asked: list[Any] = []
        self.read = 0

    def load_dataset(self, name: str, config: str | None, **options: Any) -> Iterator[Any]:
        self.asked.append((name, config, options))
        if name == "no/such":
            raise FileNotFoundError("Dataset 'no/such' doesn't exist on the Hub.\nMore.")
        return self._rows()

    def _rows(self) -> Iterator[Any]:
        for number in range(1000):
            self.read += 1
            yield {"text": TEXTS[number % len(TEXTS)], "id": number}


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> Streamed:
    module = Streamed()
    monkeypatch.setitem(sys.modules, "datasets", module)
    return module


def test_documents_stream_and_are_cut_as_those_of_a_file(
    streamed: Streamed, tmp_path: Path
) -> None:
    tokenizer = tiny_tokenizer()
    found = read_windows("hf:some/set@plain:train:text", tokenizer, 8, tokens=30)
    assert streamed.asked == [("some/set", "plain", {"split": "train", "streaming": True})]
    assert streamed.read < 10  # and not a thousand
    lines = "".join('{"text": "' + text + '"}\n' for text in TEXTS * 3 if text)
    (tmp_path / "same.jsonl").write_text(lines, encoding="utf-8")
    assert found == read_windows(tmp_path / "same.jsonl", tokenizer, 8, tokens=30)
    request = Request("m", Path("hf:some/set:train:text"), Path("out"), tokens=30)
    assert Request.from_plain(request.plain(), Path("out")) == request


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("hf:some/set:train", "hf:NAME:SPLIT:COLUMN"),
        ("hf:some/set:train:title", "choose among id, text"),
        ("hf:some/set:train:id", "no text in a column id"),
        ("hf:no/such:train:text", r"cannot be read \(Dataset 'no/such' doesn't exist on the Hub"),
    ],
)
def test_what_cannot_be_read_is_said(streamed: Streamed, place: str, said: str) -> None:
    with pytest.raises(HillshadeError, match=said) as error:
        list(documents(place))
    assert "\n" not in str(error.value)


def test_a_missing_extra_and_an_endless_text_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(HillshadeError, match=r"pip install -e '.\[datasets\]'"):
        list(documents("hf:some/set:train:text"))
    with pytest.raises(HillshadeError, match="give --tokens"):
        Request("m", Path("hf:some/set:train:text"), Path("out"))


def test_nothing_is_fetched_because_a_study_asks_for_it(
    streamed: Streamed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path("hf:some/set:train:text")
    request = Request("some/model", place, tmp_path, tokens=400).plain()
    stored = {"model": {"weight_digest": ""}, "data_digest": "", "request": request}
    (tmp_path / "study.json").write_text(json.dumps(stored), encoding="utf-8")
    again = ("collect", "--config", tmp_path / "study.json", "--out", tmp_path / "out")
    assert "give that as MODEL" in str(run(monkeypatch, *again))
    assert "give that with --texts" in str(run(monkeypatch, *again, tmp_path))
    study: Any = SimpleNamespace(manifest=SimpleNamespace(request=request))
    model, tokenizer = tiny_model(384), tiny_tokenizer()
    with pytest.raises(HillshadeError, match="give that with --fresh"):
        fresh_of(None, study, model, tokenizer, 0)
    assert not streamed.asked
    text = "".join(f"{n} kettles. " for n in range(99))
    monkeypatch.setattr(Streamed, "_rows", lambda self: iter([{"text": text}]))
    assert all(fresh_of(place, study, model, tokenizer, 0, context=8)) and streamed.asked
