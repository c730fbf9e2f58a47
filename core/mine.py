"""Memorized strings found in a corpus: windows whose continuation the model says token by token.

A window is a prefix and the suffix that follows it, 64 | 48 tokens as in the paper. It is recited
where every teacher-forced argmax over the suffix is the true token: exactly where greedy
continuation gives the suffix (strict recall), from one forward pass. Windows begin every `stride`
tokens of each document; at a stride of one suffix each token is asked for once.

Three kinds of recited windows are not kept, so that no string is told twice and memory is meant:

    copied       the suffix goes on with what the prefix repeats (t of it equals t − k for one k):
                 that can be said by copying, without memory
    overlapping  it shares tokens with a kept window of its document
    again        its suffix shares 16 tokens in a row with a kept one, such as a licence elsewhere

Source: Merullo et al. 2025, section 4 (arXiv 2510.24256), for the windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from core.causal import require_causal
from core.errors import HillshadeError
from core.greedy import teacher_forced
from core.items import Item
from core.strings import GROUP
from core.textfile import Window, count_tokens, parts, start_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PREFIX, SUFFIX = 64, 48  # tokens, as in the paper
SHARED = 16  # tokens in a row that two kept suffixes do not share
_TOGETHER = 256  # windows between two reports of progress

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Mined:
    """What was found: windows read, recited, said by copying, and the strings that are kept."""

    windows: int
    recited: int
    copied: int
    strings: tuple[tuple[Window, Window], ...]

    def __str__(self) -> str:
        return (
            f"{self.windows:,} windows read, {self.recited:,} recited, {self.copied:,} of them by "
            f"copying, {len(self.strings):,} different strings"
        )


def mine(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[Path],
    *,
    prefix: int = PREFIX,
    suffix: int = SUFFIX,
    stride: int | None = None,
    progress: Progress | None = None,
) -> Mined:
    """The strings of `texts` (as `core.textfile`) that `model` recites, in their order.

    stride  tokens between the beginnings of windows; None means one suffix. `progress(done, total,
    label)` counts windows, the total estimated, and may raise to cancel.
    Raises HillshadeError for sizes below 1, windows longer than the model reads, texts that cannot
    be read, and texts in which no document is as long as a window.
    """
    stride = suffix if stride is None else stride
    for name, size in (("prefix", prefix), ("suffix", suffix), ("stride", stride)):
        if size < 1:
            raise HillshadeError(f"--{name} {size} is impossible; give 1 or more.")
    length = prefix + suffix
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is not None and length + len(start_of(tokenizer)) > limit:
        raise HillshadeError(
            f"Windows of {prefix} | {suffix} tokens are too long, the model reads {limit}; give a "
            "smaller --prefix or --suffix."
        )
    require_causal(model)
    total = sum(count_tokens(path, tokenizer) for path in texts) // stride
    kept = _Kept(prefix)
    read = recited = copied = 0
    places = (place for path in texts for place in _places(path, tokenizer, length, stride))
    while some := list(islice(places, _TOGETHER)):
        right = teacher_forced(model, [_item(place, prefix) for place in some])
        for place, said in zip(some, right, strict=True):
            if said.all():
                recited += 1
                if _repeats_itself(place.ids, prefix):
                    copied += 1
                else:
                    kept.offer(place)
        read += len(some)
        if progress is not None:
            progress(read, max(read, total), f"{recited} recited")
    if not read:
        raise HillshadeError(
            f"No document is as long as a window of {length} tokens; give longer texts, or a "
            "smaller --prefix or --suffix."
        )
    return Mined(read, recited, copied, tuple(kept.strings))


@dataclass(frozen=True)
class _Place:
    """A window: its document, where it begins there, its ids, and what begins every text."""

    document: tuple[Path, int]
    at: int
    ids: Window
    start: Window


class _Kept:
    """The strings kept so far, none of which tells another one again."""

    def __init__(self, prefix: int) -> None:
        self.strings: list[tuple[Window, Window]] = []
        self._prefix = prefix
        self._runs: set[Window] = set()
        self._last: tuple[tuple[Path, int], int] | None = None  # document and end of the last one

    def offer(self, place: _Place) -> None:
        """Keep the window, unless it overlaps or tells again what is kept."""
        prompt, suffix = place.ids[: self._prefix], place.ids[self._prefix :]
        size = min(SHARED, len(suffix))
        runs = {suffix[i : i + size] for i in range(len(suffix) - size + 1)}
        overlaps = (
            self._last is not None and self._last[0] == place.document and place.at < self._last[1]
        )
        if overlaps or not runs.isdisjoint(self._runs):
            return
        self._runs |= runs
        self._last = place.document, place.at + len(place.ids)
        self.strings.append((place.start + prompt, suffix))


def _places(
    path: Path, tokenizer: PreTrainedTokenizerBase, length: int, stride: int
) -> Iterator[_Place]:
    """The windows of one file's documents; no more than a block of text is held."""
    buffer: list[int] = []
    start: Window = ()
    number = first = at = 0  # first: where the buffer begins in its document
    for text, ids, begins in parts(path, tokenizer):
        if begins:
            buffer, number, first, at = [], number + 1, 0, 0
            start = start_of(tokenizer) if text else ()
        buffer += ids
        while at - first + length <= len(buffer):
            yield _Place((path, number), at, tuple(buffer[at - first : at - first + length]), start)
            at += stride
        done = min(at - first, len(buffer))
        del buffer[:done]
        first += done


def _repeats_itself(ids: Window, prefix: int) -> bool:
    """Whether one shift k ≤ prefix makes every token of the suffix equal the k-th before it."""
    return any(
        all(ids[t] == ids[t - k] for t in range(prefix, len(ids))) for k in range(1, prefix + 1)
    )


def _item(place: _Place, prefix: int) -> Item:
    prompt, suffix = place.start + place.ids[:prefix], place.ids[prefix:]
    return Item("", "memory", GROUP, "report", prompt, suffix, "", "")


def records(
    strings: Iterable[tuple[Window, Window]], tokenizer: PreTrainedTokenizerBase
) -> Iterator[dict[str, object]]:
    """The strings as `core.strings` reads them: ids, and what they say."""
    for prefix, suffix in strings:
        yield {
            "prefix_ids": list(prefix),
            "suffix_ids": list(suffix),
            "prefix_text": str(tokenizer.decode(list(prefix), skip_special_tokens=True)),
            "suffix_text": str(tokenizer.decode(list(suffix))),
        }
