"""The logits at each truth token of many items, the true tokens before it given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.batches import BATCH_TOKENS, batches, check_readable, last_logits, pad
from core.errors import HillshadeError
from core.items import Item

Progress = Callable[[int, int], None]


def truth_logits(
    model: PreTrainedModel,
    items: Sequence[Item],
    batch_tokens: int = BATCH_TOKENS,
    progress: Progress | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """For every item, in some order: its number and the logits (L, v) that predict its L tokens.

    One forward pass a batch. `progress(done, total)` counts items and may raise to cancel. Raises
    HillshadeError when there is no item, for items the model cannot read, and for logits that are
    not finite.
    """
    if not items:
        raise HillshadeError("There is no string to audit; give at least one.")
    for item in items:
        check_readable(model, item.prompt_ids + item.truth_ids)
    lengths = [item.length for item in items]
    order = sorted(range(len(items)), key=lambda i: (len(items[i].prompt_ids), lengths[i]))
    done = 0
    for chunk in batches(model, lengths, order, batch_tokens):
        ids = pad([items[i].prompt_ids + items[i].truth_ids for i in chunk], model.device)
        first = min(len(items[i].prompt_ids) for i in chunk) - 1
        with torch.inference_mode():
            keep = ids.shape[1] - first  # no logits where only prompts lie
            logits = last_logits(model, ids, keep, use_cache=False)
        for row, i in enumerate(chunk):
            start = len(items[i].prompt_ids) - 1 - first
            found = logits[row, start : start + len(items[i].truth_ids)]
            if not bool(torch.isfinite(found).all()):
                raise HillshadeError("The model's logits are not finite; its weights are damaged.")
            yield i, found
        done += len(chunk)
        if progress is not None:
            progress(done, len(items))
