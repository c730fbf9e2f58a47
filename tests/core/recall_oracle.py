"""Greedy decoding as a plain loop: no cache, no batch, no padding, no stop token."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel


def greedy(model: PreTrainedModel, prompt: Sequence[int], length: int) -> tuple[int, ...]:
    ids = list(prompt)
    for _ in range(length):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return tuple(ids[len(prompt) :])
