"""Texts from files: nothing lost, nothing shared."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from core.errors import HillshadeError
from core.textfile import count_tokens, held_out, read_windows
from tests.study_factory import sentence, tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def text() -> str:
    rng = random.Random(3)
    return "\n".join(" ".join(sentence(rng) for _ in range(4)) for _ in range(60)) + "\n"


def lines(path: Path, *entries: object) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def test_windows_are_the_text_cut_up(
    tokenizer: PreTrainedTokenizerFast, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    ids = tokenizer.encode(text)
    windows = read_windows(path, tokenizer, 50)
    assert [i for window in windows for i in window] == ids
    assert {len(window) for window in windows[:-1]} == {50}
    assert count_tokens(path, tokenizer) == len(ids)
    assert sum(map(len, read_windows(path, tokenizer, 50, tokens=120))) == 120


def test_documents_are_parted_and_begin_as_the_tokenizer_begins_a_text(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    path = lines(
        tmp_path / "a.jsonl",
        {"text": "The old kettle faces the quiet mill."},
        {"input_ids": [5, 6, 7, 8, 9]},
        {"text": "The ferry."},
    )
    plain = tokenizer.encode("The old kettle faces the quiet mill.")
    last = tokenizer.encode("The ferry.")
    assert read_windows(path, tokenizer, 100) == (tuple(plain), (5, 6, 7, 8, 9), tuple(last))
    marked = tiny_tokenizer()
    marked.add_special_tokens({"bos_token": "<s>"})
    marked.backend_tokenizer.post_processor = _with_start(marked.bos_token_id)
    found = read_windows(path, marked, 4)
    first = marked.bos_token_id
    assert found[0] == (first, *plain[:3]) and found[1][0] == first
    assert (5, 6, 7, 8) in found  # given as ids: as they are
    assert all(len(window) <= 4 for window in found)


def _with_start(first: int) -> Any:
    from tokenizers.processors import TemplateProcessing

    return TemplateProcessing(single="<s> $A", special_tokens=[("<s>", first)])


@pytest.mark.parametrize(
    ("name", "content", "sentence_"),
    [
        ("empty.txt", b"", "is empty"),
        ("latin.txt", "Kämpfe".encode("latin-1"), "is not UTF-8"),
        ("broken.jsonl", b'{"text": "a"\n', "Line 1"),
        ("other.jsonl", b'{"words": "a"}\n', 'neither "text" nor "input_ids"'),
        ("list.jsonl", b"[1, 2]\n", "no JSON object"),
        ("ids.jsonl", b'{"input_ids": ["a"]}\n', "whole numbers"),
    ],
)
def test_unusable_texts_get_a_sentence(
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    name: str,
    content: bytes,
    sentence_: str,
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HillshadeError, match=sentence_) as error:
        read_windows(tmp_path / name, tokenizer, 8)
    assert str(error.value).endswith((".", "…}."))
    with pytest.raises(HillshadeError, match="There is no file"):
        read_windows(tmp_path / "nowhere", tokenizer, 8)


def test_held_out_windows_are_nowhere_else() -> None:
    windows = [(i, i + 1) for i in range(40)] + [(3, 4)]
    sample, choose, report = held_out(windows, 8, 0)
    assert (len(choose), len(report), len(sample)) == (4, 4, 33)
    assert not set(choose) & set(report)
    assert not set(sample) & {*choose, *report}
    assert sample.count((3, 4)) == 2  # what occurs twice is never held out
    assert held_out(windows[::-1], 8, 0)[1:] == (choose, report)
