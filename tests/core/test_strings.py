"""Strings of one's own: parted between tokens, halved by a rule, refused in a sentence."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from core.errors import HillshadeError
from core.strings import halved_strings, jsonl_strings, read_strings
from tests.study_factory import sentence, tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


def jsonl(*entries: object) -> bytes:
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


def lines(path: Path, *entries: object) -> Path:
    path.write_bytes(jsonl(*entries))
    return path


def test_strings_are_halved_by_key_and_parted_between_tokens(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    rng = random.Random(0)
    entries: list[dict[str, object]] = [
        {"prefix": sentence(rng), "suffix": f" {sentence(rng)}"} for _ in range(9)
    ]
    entries.append({"prefix": "The old kettle ", "suffix": "faces the mill.", "repeats": 7})
    # The paper's files use these names; ids go before text.
    named = {"prefix_text": "The old kettle", "suffix_text": " faces the mill, once."}
    entries.append({"prefix_ids": [4, 5], "suffix_ids": [6], "suffix_text": "not read"})
    entries += [{**named}, {"prefix": "The mill", "suffix": " faces it.", "repeats": 7}]
    items = read_strings(lines(tmp_path / "a.jsonl", *entries), tokenizer, 0)
    for item, entry in zip(items[:9], entries, strict=False):
        assert item.prompt + item.truth == f"{entry['prefix']}{entry['suffix']}"
    # The space before a word belongs to the word's token.
    assert (items[9].prompt, items[9].truth) == ("The old kettle", " faces the mill.")
    assert (items[9].repeats, items[10].truth_ids) == (7, (6,))
    assert (items[11].prompt, items[11].truth) == tuple(named.values())
    assert {item.repeats for item in items} == {7, None}  # what nobody knows is not made up
    # Strings shown equally often are halved among themselves: settings are judged by one class.
    for repeats, half in ((7, ["choose", "report"]), (None, ["choose"] * 5 + ["report"] * 6)):
        assert sorted(item.split for item in items if item.repeats == repeats) == half
    # Neither the order of the lines nor the other halves' texts decide; the seed does.
    again = read_strings(lines(tmp_path / "b.jsonl", *entries[::-1]), tokenizer, 0)
    halves = {item.truth_ids: item.split for item in items}
    assert {item.truth_ids: item.split for item in again} == halves
    other = read_strings(lines(tmp_path / "b.jsonl", *entries), tokenizer, 1)
    assert {item.truth_ids: item.split for item in other} != halves


WORDS = (" mill.", " kettle.", " harbour.")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([{"prefix": "The ke", "suffix": "ttle faces the mill."}] * 2, "parted inside a token"),
        ([{"prefix": "The old", "suffix": " mill."}] * 2, "hold the same string"),
        ([{"prefix": "The old", "suffix": " mill."}], "fewer than two"),
        ([{"prefix": "The old"}], 'needs "prefix" and "suffix"'),
        ([{"prefix": "The old", "suffix": " mill.", "repeats": 0}], '"repeats" in line 1'),
        (
            [{"prefix": "The old", "suffix": w, "repeats": n} for n, w in enumerate(WORDS, 1)],
            "only one with 3",
        ),
    ],
)
def test_unusable_strings_get_a_sentence(
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    entries: list[dict[str, object]],
    said: str,
) -> None:
    with pytest.raises(HillshadeError, match=said):
        read_strings(lines(tmp_path / "a.jsonl", *entries), tokenizer, 0)


def test_plain_lines_are_parted_at_half_of_their_tokens(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    first, second = "The old kettle faces the quiet mill.", "The ferry outlives the heavy ladder."
    items = halved_strings(f"\n  {first}\n\n{second}\r\n{first}\n", tokenizer, 2)
    assert [item.prompt + item.truth for item in items] == [first, second]
    assert [item.id for item in items] == ["recited-00002", "recited-00004"]
    for item in items:
        assert 0 <= len(item.prompt_ids) - len(item.truth_ids) <= 1
        assert (item.split, item.repeats) == ("report", None)
    marked = tiny_tokenizer()
    marked.add_special_tokens({"bos_token": "<s>"})
    marked.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", marked.bos_token_id)]
    )
    (item,) = halved_strings(first, marked, 2)
    assert item.prompt_ids == (marked.bos_token_id, *items[0].prompt_ids)
    assert item.prompt == items[0].prompt


def test_a_file_s_strings_are_those_of_a_study(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    rng = random.Random(1)
    entries: list[dict[str, object]] = [
        {"prefix": sentence(rng), "suffix": f" {sentence(rng)}"} for _ in range(3)
    ]
    entries[2]["repeats"] = 9
    entries.append({"prefix_ids": [4, 5], "suffix_ids": [6], "repeats": 9})
    wanted = read_strings(lines(tmp_path / "a.jsonl", *entries), tokenizer, 0)
    found = jsonl_strings(b"\xef\xbb\xbf" + jsonl(*entries, entries[0]), "a", tokenizer, 4)
    assert [(i.prompt_ids, i.truth_ids, i.repeats) for i in found] == [
        (i.prompt_ids, i.truth_ids, i.repeats) for i in wanted
    ]
    assert {item.split for item in found} == {"report"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "There is no string in mine.jsonl"),
        (b"\xff\xfe", "mine.jsonl is not UTF-8"),
        (b"\n{", "Line 2 of mine.jsonl is no JSON"),
        (b"[1]", "Line 1 of mine.jsonl is no JSON object"),
        (jsonl({"prefix_ids": [1], "suffix_ids": ["2"]}), "Line 1 of mine.jsonl must hold"),
        (jsonl(*({"prefix_ids": [1], "suffix_ids": [i]} for i in range(4))), "at most 3"),
    ],
)
def test_an_unusable_file_gets_a_sentence(
    tokenizer: PreTrainedTokenizerFast, data: bytes, said: str
) -> None:
    with pytest.raises(HillshadeError, match=said):
        jsonl_strings(data, "mine.jsonl", tokenizer, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" \n\n", "There is no string in your list; give one a line."),
        ("The old kettle faces.\nThe", "Line 2 of your list has 1 tokens"),
        ("\n".join(f"The old kettle number {i} sleeps." for i in range(4)), "at most 3"),
    ],
)
def test_an_unusable_list_gets_a_sentence(
    tokenizer: PreTrainedTokenizerFast, text: str, said: str
) -> None:
    with pytest.raises(HillshadeError, match=said):
        halved_strings(text, tokenizer, 3)
