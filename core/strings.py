"""Memorized strings of one's own: a prefix to prompt with and the suffix that truly follows.

    strings.jsonl  a string a line: {"prefix_ids": […], "suffix_ids": […]} or {"prefix": "…",
                   "suffix": "…"}, also under the names "prefix_text" and "suffix_text"; ids go
                   first where both stand there. Optionally "repeats": how often training showed
                   it (unknown where it is left out)
    plain lines    a string a line, parted at half of its tokens

A study is made with the first (`read_strings`); both can be asked of two models
(`jsonl_strings`, `halved_strings`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import HillshadeError
from core.items import Item, Split
from core.textfile import Window, digest, encode, ids_of, keyed, lines_of, records, start_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GROUP = "recited"  # of strings of one's own: known to be recited, of no planted kind
SHORTEST = 4  # tokens of a string that is halved


def read_strings(path: str | Path, tokenizer: PreTrainedTokenizerBase, seed: int) -> list[Item]:
    """The memorized strings of a JSONL file, half of them to choose on and half to report.

    The halves are the lower and the upper half by sha256(seed, ids), of the strings shown equally
    often, so that neither the order of the lines nor other strings' texts decide. Prefix and suffix
    are tokenized as one text; where no token ends between them they are refused, because the model
    never read that split.
    Raises HillshadeError, naming the line, for what is no string, for fewer than two, and where
    only one was shown as often as settings are judged by (`core.items.highest_class`).
    """
    pairs: dict[tuple[Window, Window], tuple[int, int | None]] = {}
    for line, entry in records(path, lines_of(Path(path))):
        pair = _parted(path, line, entry, tokenizer)
        if pair in pairs:
            raise HillshadeError(
                f"Lines {pairs[pair][0]} and {line} of {path} hold the same string; keep one of "
                "them, or it stands in both halves."
            )
        pairs[pair] = (line, _repeats(path, line, entry))
    if len(pairs) < 2:
        raise HillshadeError(f"{path} holds fewer than two strings; one half must report.")
    classes: dict[int, list[tuple[Window, Window]]] = {}
    for pair in sorted(pairs, key=lambda pair: keyed(seed, pair[0] + pair[1])):
        classes.setdefault(pairs[pair][1] or 0, []).append(pair)
    most = max(classes)
    if len(classes[most]) < 2:
        raise HillshadeError(
            f'Settings are judged by the strings with the highest "repeats", and {path} holds only '
            f"one with {most}: one half must report. Give another, or leave the counts out."
        )
    chosen = {pair for ranked in classes.values() for pair in ranked[: len(ranked) // 2]}
    return [_item(pair, *pairs[pair], pair in chosen, tokenizer) for pair in pairs]


def strings_digest(items: Sequence[Item]) -> str:
    """sha256 over prefixes, suffixes and repeats, in order: the identity of a file of strings."""
    parts = ((item.prompt_ids, item.truth_ids, (item.repeats or 0,)) for item in items)
    return digest([ids for part in parts for ids in part])


def jsonl_strings(
    data: bytes, name: str, tokenizer: PreTrainedTokenizerBase, most: int
) -> list[Item]:
    """The strings of a JSONL file's content, all of them to report; the same string once.

    `name` is the file's, for errors. Raises HillshadeError, naming the line, for what is no string
    of the form above, and for none or more than `most`.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise HillshadeError(f"{name} is not UTF-8 ({error.reason}); convert it first.") from error
    pairs: dict[tuple[Window, Window], tuple[int, int | None]] = {}
    for line, entry in records(name, enumerate(io.StringIO(text), start=1)):
        pair = _parted(name, line, entry, tokenizer)
        pairs.setdefault(pair, (line, _repeats(name, line, entry)))
    _require_count(len(pairs), name, most)
    return [_item(pair, *pairs[pair], False, tokenizer) for pair in pairs]


def halved_strings(text: str, tokenizer: PreTrainedTokenizerBase, most: int) -> list[Item]:
    """A string a line, its first half as prompt, all of them to report; the same string once.

    Of a line's n tokens the first ⌈n/2⌉ are the prefix, after the token that begins every text
    where there is one; space around the line goes. Raises HillshadeError, naming the line, for
    fewer than `SHORTEST` tokens, and for no lines or more than `most`.
    """
    name = "your list"
    pairs: dict[tuple[Window, Window], tuple[int, int | None]] = {}
    for line, string in enumerate(io.StringIO(text), start=1):
        if not string.strip():
            continue
        ids = encode(tokenizer, string.strip())
        if len(ids) < SHORTEST:
            raise HillshadeError(
                f"Line {line} of {name} has {len(ids)} tokens, and half of it says too little; "
                f"give at least {SHORTEST}."
            )
        half = -(-len(ids) // 2)
        pairs.setdefault((start_of(tokenizer) + tuple(ids[:half]), tuple(ids[half:])), (line, None))
    _require_count(len(pairs), name, most)
    return [_item(pair, *pairs[pair], False, tokenizer) for pair in pairs]


def _require_count(found: int, name: str, most: int) -> None:
    if not found:
        raise HillshadeError(f"There is no string in {name}; give one a line.")
    if found > most:
        raise HillshadeError(f"{found:,} strings are in {name}; at most {most:,} can be asked.")


def _parted(
    path: str | Path, line: int, entry: dict[str, Any], tokenizer: PreTrainedTokenizerBase
) -> tuple[Window, Window]:
    if "prefix_ids" in entry and "suffix_ids" in entry:
        return ids_of(path, line, entry["prefix_ids"]), ids_of(path, line, entry["suffix_ids"])
    prefix, suffix = (entry.get(n, entry.get(f"{n}_text")) for n in ("prefix", "suffix"))
    if not isinstance(prefix, str) or not isinstance(suffix, str) or not prefix or not suffix:
        raise HillshadeError(
            f'Line {line} of {path} needs "prefix" and "suffix" with some text, or "prefix_ids" '
            'and "suffix_ids".'
        )
    parts = parted(prefix, suffix, tokenizer)
    if parts is None:
        raise HillshadeError(
            f"Line {line} of {path} is parted inside a token; let the suffix begin with a word, or "
            'give "prefix_ids" and "suffix_ids".'
        )
    return parts


def parted(
    prefix: str, suffix: str, tokenizer: PreTrainedTokenizerBase
) -> tuple[Window, Window] | None:
    """Both texts tokenized as one; None where no token ends between them."""
    bare = prefix.rstrip()  # the space before a word belongs to the word's token
    ids = encode(tokenizer, prefix + suffix)
    before = encode(tokenizer, bare)
    if not before or ids[: len(before)] != before or len(ids) == len(before):
        return None
    return start_of(tokenizer) + tuple(before), tuple(ids[len(before) :])


def _item(
    pair: tuple[Window, Window],
    line: int,
    repeats: int | None,
    chosen: bool,
    tokenizer: PreTrainedTokenizerBase,
) -> Item:
    split: Split = "choose" if chosen else "report"
    prefix, suffix = pair
    return Item(
        id=f"{GROUP}-{line:05d}",
        kind="memory",
        group=GROUP,
        split=split,
        prompt_ids=prefix,
        truth_ids=suffix,
        prompt=str(tokenizer.decode(list(prefix), skip_special_tokens=True)),
        truth=str(tokenizer.decode(list(suffix))),
        repeats=repeats,
    )


def _repeats(path: str | Path, line: int, entry: dict[str, Any]) -> int | None:
    repeats = entry.get("repeats")
    if repeats is None or (type(repeats) is int and repeats >= 1):
        return repeats
    raise HillshadeError(f'"repeats" in line {line} of {path} must be 1 or more; leave it out.')
