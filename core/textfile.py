"""Texts of one's own from files: windows of tokens to read, and memorized strings to ask for.

    texts.txt      UTF-8, one long text
    texts.jsonl    a document a line: {"text": "…"} or {"input_ids": [1, 2, …]}
    strings.jsonl  a string a line: {"prefix": "…", "suffix": "…"} or {"prefix_ids": […],
                   "suffix_ids": […]}, optionally "repeats": how often training showed it
                   (unknown where it is left out)

A text is cut into consecutive windows that share no token. Where the tokenizer begins every text
with a token of its own (Llama's <s>), every window begins with it, because the model has never
read anything else; documents given as ids are taken as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import HillshadeError
from core.items import Item, Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Window = tuple[int, ...]

GROUP = "recited"  # of strings of one's own: known to be recited, of no planted kind
SHORTEST = 2  # tokens of a window: a single one predicts nothing
BLOCK = 1 << 20  # characters of a plain text that are tokenized at once, up to the end of a line
BYTES_PER_TOKEN = 4.0  # of English text, where no tokenizer is at hand to count


def read_windows(
    path: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    context: int,
    tokens: int | None = None,
) -> tuple[Window, ...]:
    """The file as windows of `context` token ids, the last of each document shorter.

    tokens  stop after so many; None reads all. Raises HillshadeError for a file that is missing,
    empty, no UTF-8, or, with the number of the line, no JSON of the form above.
    """
    found: list[Window] = []
    left = tokens
    for window in _windows(Path(path), tokenizer, context):
        piece = window if left is None else window[:left]
        if len(piece) >= SHORTEST:
            found.append(piece)
        if left is not None and (left := left - len(piece)) <= 0:
            break
    if not found:
        raise HillshadeError(f"The text in {path} is empty; give a file with some text.")
    return tuple(found)


def count_tokens(path: str | Path, tokenizer: PreTrainedTokenizerBase | None) -> int:
    """About how many tokens the file makes, from its first million characters.

    Without a tokenizer a token is taken for four bytes. Exact where the whole file is read.
    """
    path = Path(path)
    size = _size(path)
    if tokenizer is None:
        return round(size / BYTES_PER_TOKEN)
    read, tokens = 0, 0
    for text, ids, _ in _parts(path, tokenizer):
        read += len(text.encode())
        tokens += len(ids)
        if read >= BLOCK:
            break
    # A line of JSON is longer than its text, so whole files are counted and not extrapolated.
    whole = read < BLOCK
    return tokens if whole else round(tokens * size / read)


def read_strings(path: str | Path, tokenizer: PreTrainedTokenizerBase, seed: int) -> list[Item]:
    """The memorized strings of a JSONL file, half of them to choose on and half to report.

    The halves are the lower and the upper half by sha256(seed, ids), so that neither the order of
    the lines nor other strings' texts decide. Prefix and suffix are tokenized as one text; where
    no token ends between them they are refused, because the model never read that split.
    Raises HillshadeError, naming the line, for what is no string, and for fewer than two.
    """
    pairs: dict[tuple[Window, Window], tuple[int, int | None]] = {}
    for line, entry in _records(Path(path)):
        pair = _string(path, line, entry, tokenizer)
        if pair in pairs:
            raise HillshadeError(
                f"Lines {pairs[pair][0]} and {line} of {path} hold the same string; keep one of "
                "them, or it stands in both halves."
            )
        pairs[pair] = (line, _repeats(path, line, entry))
    if len(pairs) < 2:
        raise HillshadeError(f"{path} holds fewer than two strings; one half must report.")
    ranked = sorted(pairs, key=lambda pair: keyed(seed, pair[0] + pair[1]))
    chosen = set(ranked[: len(ranked) // 2])
    return [_item(pair, *pairs[pair], pair in chosen, tokenizer) for pair in pairs]


def held_out(
    windows: Sequence[Window], count: int, seed: int
) -> tuple[list[Window], list[Window], list[Window]]:
    """Windows for the factors, and `count` kept from them: half to choose on, half to report.

    By rank of sha256(seed, ids); windows with the same ids stay together, among the factors.
    """
    times = Counter(windows)
    once = (window for window, number in times.items() if number == 1)
    ranked = sorted(once, key=lambda window: keyed(seed, window))[:count]
    choose, report = ranked[::2], ranked[1::2]
    kept = set(ranked)
    return [window for window in windows if window not in kept], choose, report


def keyed(seed: int, ids: Sequence[int]) -> bytes:
    """sha256 over the seed and the ids: an order that nothing else decides."""
    return hashlib.sha256(f"{seed} {list(ids)}".encode()).digest()


def digest(windows: Sequence[Sequence[int]]) -> str:
    """sha256 over all ids, in order: the identity of a sample."""
    found = hashlib.sha256()
    for window in windows:
        found.update(f"{list(window)}\n".encode())
    return found.hexdigest()


# -- windows --------------------------------------------------------------------------------------


def _windows(path: Path, tokenizer: PreTrainedTokenizerBase, context: int) -> Iterator[Window]:
    start: Window = ()
    buffer: list[int] = []
    for text, ids, begins in _parts(path, tokenizer):
        if begins:
            if buffer:
                yield start + tuple(buffer)
            buffer, start = [], _start(tokenizer) if text else ()
        buffer += ids
        body = max(context - len(start), 1)
        while len(buffer) >= body:
            yield start + tuple(buffer[:body])
            del buffer[:body]
    if buffer:
        yield start + tuple(buffer)


def _parts(path: Path, tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[str, list[int], bool]]:
    """Text (empty where ids were given), its ids, and whether a document begins with it."""
    if path.suffix != ".jsonl":
        for number, block in enumerate(_blocks(path)):
            yield block, _encode(tokenizer, block), number == 0
        return
    for line, entry in _records(path):
        if isinstance(entry.get("text"), str):
            yield entry["text"], _encode(tokenizer, entry["text"]), True
        elif "input_ids" in entry:
            yield "", list(_ids(path, line, entry["input_ids"])), True
        else:
            raise HillshadeError(
                f'Line {line} of {path} has neither "text" nor "input_ids"; give one of them.'
            )


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    found: Any = tokenizer.encode(text, add_special_tokens=False, verbose=False)
    return [int(i) for i in found]


def _start(tokenizer: PreTrainedTokenizerBase) -> Window:
    """The token that the tokenizer sets before every text, if it does."""
    first: Any = tokenizer.bos_token_id
    marked: Any = tokenizer.encode("a")
    return (int(first),) if first is not None and marked[0] == first else ()


# -- strings --------------------------------------------------------------------------------------


def _string(
    path: str | Path, line: int, entry: dict[str, Any], tokenizer: PreTrainedTokenizerBase
) -> tuple[Window, Window]:
    if "prefix_ids" in entry and "suffix_ids" in entry:
        return _ids(path, line, entry["prefix_ids"]), _ids(path, line, entry["suffix_ids"])
    prefix, suffix = entry.get("prefix"), entry.get("suffix")
    if not isinstance(prefix, str) or not isinstance(suffix, str) or not prefix or not suffix:
        raise HillshadeError(
            f'Line {line} of {path} needs "prefix" and "suffix" with some text, or "prefix_ids" '
            'and "suffix_ids".'
        )
    bare = prefix.rstrip()  # the space before a word belongs to the word's token
    ids = _encode(tokenizer, prefix + suffix)
    before = _encode(tokenizer, bare)
    if not before or ids[: len(before)] != before or len(ids) == len(before):
        raise HillshadeError(
            f"Line {line} of {path} is parted inside a token; let the suffix begin with a word, or "
            'give "prefix_ids" and "suffix_ids".'
        )
    return _start(tokenizer) + tuple(before), tuple(ids[len(before) :])


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


# -- files ----------------------------------------------------------------------------------------


def _ids(path: str | Path, line: int, value: object) -> Window:
    if isinstance(value, list) and value and all(type(i) is int and i >= 0 for i in value):
        return tuple(value)
    raise HillshadeError(f"Line {line} of {path} must hold token ids as a list of whole numbers.")


def _size(path: Path) -> int:
    if not path.is_file():
        raise HillshadeError(f"There is no file {path}; check the path.")
    return path.stat().st_size


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    _size(path)
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            yield from enumerate(stream, start=1)
    except UnicodeDecodeError as error:
        raise HillshadeError(f"{path} is not UTF-8 ({error.reason}); convert it first.") from error
    except OSError as error:
        raise HillshadeError(f"{path} cannot be read ({error.strerror}); check it.") from error


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in _lines(path):
        if not text.strip():
            continue
        try:
            entry = json.loads(text)
        except ValueError as error:
            raise HillshadeError(f"Line {line} of {path} is no JSON ({error}).") from error
        if not isinstance(entry, dict):
            raise HillshadeError(f"Line {line} of {path} is no JSON object; write {{…}}.")
        yield line, entry


def _blocks(path: Path) -> Iterator[str]:
    block: list[str] = []
    size = 0
    for _, text in _lines(path):
        block.append(text)
        size += len(text)
        if size >= BLOCK:
            yield "".join(block)
            block, size = [], 0
    if block:
        yield "".join(block)
