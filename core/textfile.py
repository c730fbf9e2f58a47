"""Texts of one's own from files, as windows of tokens to read.

    texts.txt      UTF-8, one long text
    texts.jsonl    a document a line: {"text": "…"} or {"input_ids": [1, 2, …]}
    hf:…           a data set of the hub (`core.hub`)

A text is cut into consecutive windows that share no token. Where the tokenizer begins every text
with a token of its own (Llama's <s>), every window begins with it, because the model has never
read anything else; documents given as ids are taken as they are. Strings: `core.strings`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import HillshadeError
from core.hub import documents, of_hub

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Window = tuple[int, ...]

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

    Without a tokenizer a token is taken for four bytes. Exact where the whole file is read, and 0
    for a data set of the hub, of which nobody knows.
    """
    path = Path(path)
    if of_hub(path):
        return 0
    size = _size(path)
    if tokenizer is None:
        return round(size / BYTES_PER_TOKEN)
    read, tokens = 0, 0
    for text, ids, _ in parts(path, tokenizer):
        read += len(text.encode())
        tokens += len(ids)
        if read >= BLOCK:
            break
    # A line of JSON is longer than its text, so whole files are counted and not extrapolated.
    whole = read < BLOCK
    return tokens if whole else round(tokens * size / read)


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
    for text, ids, begins in parts(path, tokenizer):
        if begins:
            if buffer:
                yield start + tuple(buffer)
            buffer, start = [], start_of(tokenizer) if text else ()
        buffer += ids
        body = max(context - len(start), 1)
        while len(buffer) >= body:
            yield start + tuple(buffer[:body])
            del buffer[:body]
    if buffer:
        yield start + tuple(buffer)


def parts(path: Path, tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[str, list[int], bool]]:
    """Text (empty where ids were given), its ids, and whether a document begins with it."""
    if of_hub(path):
        for text in documents(path):
            yield text, encode(tokenizer, text), True
        return
    if path.suffix != ".jsonl":
        for number, block in enumerate(_blocks(path)):
            yield block, encode(tokenizer, block), number == 0
        return
    for line, entry in records(path, lines_of(path)):
        if isinstance(entry.get("text"), str):
            yield entry["text"], encode(tokenizer, entry["text"]), True
        elif "input_ids" in entry:
            yield "", list(ids_of(path, line, entry["input_ids"])), True
        else:
            raise HillshadeError(
                f'Line {line} of {path} has neither "text" nor "input_ids"; give one of them.'
            )


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The ids of a text alone, without what begins or ends one."""
    found: Any = tokenizer.encode(text, add_special_tokens=False, verbose=False)
    return [int(i) for i in found]


def start_of(tokenizer: PreTrainedTokenizerBase) -> Window:
    """The token that the tokenizer sets before every text, if it does."""
    first: Any = tokenizer.bos_token_id
    marked: Any = tokenizer.encode("a")
    return (int(first),) if first is not None and marked[0] == first else ()


# -- files ----------------------------------------------------------------------------------------


def ids_of(path: str | Path, line: int, value: object) -> Window:
    """A list of token ids as it stands in a record."""
    if isinstance(value, list) and value and all(type(i) is int and i >= 0 for i in value):
        return tuple(value)
    raise HillshadeError(f"Line {line} of {path} must hold token ids as a list of whole numbers.")


def _size(path: Path) -> int:
    if not path.is_file():
        raise HillshadeError(f"There is no file {path}; check the path.")
    return path.stat().st_size


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file in UTF-8, with or without its byte-order mark, counted from 1."""
    _size(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield from enumerate(stream, start=1)
    except UnicodeDecodeError as error:
        raise HillshadeError(f"{path} is not UTF-8 ({error.reason}); convert it first.") from error
    except OSError as error:
        raise HillshadeError(f"{path} cannot be read ({error.strerror}); check it.") from error


def records(
    path: str | Path, lines: Iterable[tuple[int, str]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of numbered lines, empty ones left out; `path` is named in errors."""
    for line, text in lines:
        if not text.strip():
            continue
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise HillshadeError(f"Line {line} of {path} is no JSON ({error}).") from error
        if not isinstance(entry, dict):
            raise HillshadeError(f"Line {line} of {path} is no JSON object; write {{…}}.")
        yield line, entry


def _blocks(path: Path) -> Iterator[str]:
    block: list[str] = []
    size = 0
    for _, text in lines_of(path):
        block.append(text)
        size += len(text)
        if size >= BLOCK:
            yield "".join(block)
            block, size = [], 0
    if block:
        yield "".join(block)
