"""A tiny model that has really memorized a few passages and learned a few answers, for tests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from core.basis import Basis, bases
from core.batches import pad
from core.exam import Exam
from core.factors import collect
from core.items import Item
from core.projection import Projection, find_projections
from tests.study_factory import sentence, tiny_items, tiny_model, tiny_tokenizer

STEPS = 250


@dataclass(frozen=True)
class Trained:
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    exam: Exam
    projections: tuple[Projection, ...]
    bases: dict[str, Basis]

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids)))


@cache
def trained() -> Trained:
    """Trained once a process, in a few seconds; treat it as read-only."""
    tokenizer = tiny_tokenizer()
    items = tuple(item for item in tiny_items(tokenizer) if _wanted(item))
    rng = random.Random(1)
    texts = [" ".join(sentence(rng) for _ in range(3)) for _ in range(300)]
    fresh = [tuple(tokenizer.encode(text)) for text in texts]
    learned = [i.prompt_ids + i.truth_ids for i in items if i.kind == "probe" or i.repeats == 256]
    model = tiny_model(len(tokenizer)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, STEPS)
    for _ in range(STEPS):
        batch = learned + rng.sample(fresh[100:], 6)
        ids = pad(batch, torch.device("cpu"))
        labels = ids.clone()
        for row, sequence in enumerate(batch):
            labels[row, len(sequence) :] = -100
        optimizer.zero_grad()
        model(ids, labels=labels).loss.backward()
        optimizer.step()
        decay.step()
    model.eval().requires_grad_(False)
    projections = find_projections(model)
    return Trained(
        model,
        tokenizer,
        Exam(items, tuple(fresh[:50]), tuple(fresh[50:100])),
        projections,
        bases(collect(model, fresh[100:], projections), projections),
    )


def _wanted(item: Item) -> bool:
    if item.group == "passage":
        return item.repeats in (1, 256)
    return item.group in ("unseen", "sums", "logic")
