"""Greedy continuations of many prompts, fast and exact.

The token of the largest logit, no stop token, no penalties. One teacher-forced pass over prompt
and truth says where each continuation first leaves the truth; generation starts there, over the
keys and values that the pass has left. Rows that generate together are cut to one common length,
so padding never enters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from core.batches import BATCH_TOKENS, batches, check_readable, last_logits, pad
from core.items import Item

Bools = NDArray[np.bool_]


def teacher_forced(
    model: PreTrainedModel, items: Sequence[Item], batch_tokens: int = BATCH_TOKENS
) -> list[Bools]:
    """Per item, whether each truth token is the argmax given the true tokens before it.

    Returns n bool arrays, each as long as its item's truth; one forward pass a batch of at most
    `batch_tokens` tokens. Raises HillshadeError for items the model cannot read.
    """
    correct = [np.zeros(0, dtype=bool)] * len(items)
    with torch.inference_mode():
        for batch in _item_batches(model, items, batch_tokens):
            for index, said in zip(batch.indices, batch.predict(model, None), strict=True):
                correct[index] = said == np.array(items[index].truth_ids)
    return correct


def teacher_forced_and_greedy(
    model: PreTrainedModel, items: Sequence[Item], batch_tokens: int = BATCH_TOKENS
) -> tuple[list[Bools], list[tuple[int, ...]]]:
    """The same arrays, and the greedy continuation of every prompt, as long as its truth."""
    correct = [np.zeros(0, dtype=bool)] * len(items)
    continuations = [item.truth_ids for item in items]
    with torch.inference_mode():
        for batch in _item_batches(model, items, batch_tokens):
            cache = DynamicCache(config=model.config)
            wrong: list[_Wrong] = []
            for row, said in enumerate(batch.predict(model, cache)):
                index = batch.indices[row]
                item = items[index]
                correct[index] = said == np.array(item.truth_ids)
                if not correct[index].all():
                    right = int(correct[index].argmin())
                    wrong.append(_Wrong(row, item, right, int(said[right])))
            for entry, tail in zip(wrong, _resume(model, batch, cache, wrong), strict=True):
                kept = entry.item.truth_ids[: entry.right]
                continuations[batch.indices[entry.row]] = (*kept, *tail)
    return correct, continuations


def complete(model: PreTrainedModel, prompt_ids: Sequence[int], length: int) -> tuple[int, ...]:
    """The greedy continuation of one prompt, `length` tokens, without stop token.

    Raises HillshadeError when the prompt is empty, too long, or of another vocabulary.
    """
    check_readable(model, prompt_ids, more=length)
    ids = torch.tensor([list(prompt_ids)], device=model.device)
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        if len(prompt_ids) > 1:
            model(ids[:, :-1], past_key_values=cache, use_cache=True, logits_to_keep=1)
        tokens = torch.cat([ids[:, -1:], ids.new_zeros(1, length)], dim=1)
        _fill(model, cache, tokens, given=ids.new_ones(1))
    return tuple(tokens[0, 1:].tolist())


@dataclass(frozen=True)
class _Batch:
    """Items padded on the right: which they are, row by row, and their ids (rows, width)."""

    indices: tuple[int, ...]
    items: tuple[Item, ...]
    ids: Tensor

    def predict(
        self, model: PreTrainedModel, cache: DynamicCache | None
    ) -> list[NDArray[np.int64]]:
        """Row by row the argmax at each truth token; fills the cache, if one is given."""
        first = min(len(item.prompt_ids) for item in self.items) - 1
        keep = self.ids.shape[1] - first  # no logits where only prompts lie
        logits = last_logits(
            model, self.ids, keep, past_key_values=cache, use_cache=cache is not None
        )
        said = logits.argmax(-1).cpu().numpy()
        starts = [len(item.prompt_ids) - 1 - first for item in self.items]
        return [
            row[start : start + len(item.truth_ids)]
            for row, start, item in zip(said, starts, self.items, strict=True)
        ]


@dataclass(frozen=True)
class _Wrong:
    """A row that meets its item's truth for `right` tokens and then says another token."""

    row: int
    item: Item
    right: int
    said: int

    @property
    def resume(self) -> int:
        """Position of the first wrong token; all before it are true."""
        return len(self.item.prompt_ids) + self.right


def _item_batches(
    model: PreTrainedModel, items: Sequence[Item], batch_tokens: int
) -> Iterator[_Batch]:
    for item in items:
        check_readable(model, item.prompt_ids + item.truth_ids)
    lengths = [item.length for item in items]
    order = sorted(range(len(items)), key=lambda i: (len(items[i].prompt_ids), lengths[i]))
    for chunk in batches(model, lengths, order, batch_tokens):
        members = tuple(items[i] for i in chunk)
        ids = pad([item.prompt_ids + item.truth_ids for item in members], model.device)
        yield _Batch(tuple(chunk), members, ids)


def _resume(
    model: PreTrainedModel, batch: _Batch, cache: DynamicCache, wrong: Sequence[_Wrong]
) -> Iterator[list[int]]:
    """For each wrong row, its tokens from the first wrong one to the end."""
    if not wrong:
        return
    device = batch.ids.device
    start = min(entry.resume for entry in wrong)
    end = max(entry.item.length for entry in wrong)
    rows = torch.tensor([entry.row for entry in wrong], device=device)
    error = torch.tensor([entry.resume - start for entry in wrong], device=device)
    # All go on from the first error of any of them; a row that errs later is given its true
    # tokens up to there (they are known), then its wrong one.
    tokens = batch.ids[rows, start:end]
    tokens[torch.arange(len(wrong), device=device), error] = torch.tensor(
        [entry.said for entry in wrong], device=device
    )
    if end - start > 1:
        _fill(model, _cut(model, batch, cache, rows, start, end), tokens, given=error + 1)
    for entry, row in zip(wrong, tokens.tolist(), strict=True):
        yield row[entry.resume - start : entry.item.length - start]


def _fill(model: PreTrainedModel, cache: Cache, tokens: Tensor, given: Tensor) -> None:
    """Fill `tokens` (rows, steps) greedily in place; the first given[row] >= 1 of a row stand."""
    for step in range(1, tokens.shape[1]):
        output = model(tokens[:, step - 1 : step], past_key_values=cache, use_cache=True)
        said = output.logits[:, -1].argmax(-1)
        tokens[:, step] = torch.where(step < given, tokens[:, step], said)


def _cut(
    model: PreTrainedModel, batch: _Batch, cache: DynamicCache, rows: Tensor, start: int, end: int
) -> Cache:
    """The cache of these rows up to `start`, with room for the tokens up to `end`."""
    plain = [layer for layer in cache.layers if type(layer) is DynamicLayer]
    if len(plain) == len(cache.layers):
        return Cache(layers=[_Room(layer, rows, start, end) for layer in plain])
    # Sliding windows and recurrent states cannot be cut: read the rows again.
    fresh = DynamicCache(config=model.config)
    model(batch.ids[rows, :start], past_key_values=fresh, use_cache=True, logits_to_keep=1)
    return fresh


class _Room(DynamicLayer):
    """Keys and values in a buffer with room for the tokens to come.

    DynamicLayer copies the whole cache at every token, which takes nearly half the time of a step.
    """

    def __init__(self, layer: DynamicLayer, rows: Tensor, start: int, end: int) -> None:
        super().__init__()
        self._buffers = tuple(_buffer(old, rows, start, end) for old in (layer.keys, layer.values))
        self.keys, self.values = (buffer[:, :, :start] for buffer in self._buffers)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        begin = self.get_seq_length()
        end = begin + key_states.shape[-2]
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, begin:end] = new
        self.keys, self.values = (buffer[:, :, :end] for buffer in self._buffers)
        return self.keys, self.values


def _buffer(old: Tensor | None, rows: Tensor, start: int, end: int) -> Tensor:
    assert old is not None  # the pass has filled every layer
    _, heads, _, size = old.shape
    buffer = old.new_empty(len(rows), heads, end, size)
    buffer[:, :, :start] = old[rows, :, :start]
    return buffer
