"""The two tiny models that are compared, in float64, and the texts they read."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from core.projection import Projection, find_projections
from tests.tiny import SPECIAL, VOCABULARY, tiny

SEQUENCES = 16


@dataclass(frozen=True)
class Subject:
    """A model, its projections, and texts of one length and of many.

    The libraries change the model they are given: give them `copied()`, or one of their own.

    linear: the same function with every Conv1D replaced by a Linear, for oracles that know only
    those; the model itself where it has none.
    """

    name: str
    model: PreTrainedModel
    linear: PreTrainedModel
    projections: tuple[Projection, ...]
    equal: tuple[tuple[int, ...], ...]
    ragged: tuple[tuple[int, ...], ...]

    @property
    def names(self) -> list[str]:
        return [projection.name for projection in self.projections]

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype

    def copied(self) -> Subject:
        return replace(self, model=copy.deepcopy(self.model), linear=copy.deepcopy(self.linear))


def subjects() -> list[Subject]:
    return [_subject("Llama", _llama(), 11), _subject("GPT-2", tiny("gpt2"), 12)]


def _llama() -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=VOCABULARY,
                hidden_size=12,
                intermediate_size=20,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=1,
                max_position_embeddings=32,
                **SPECIAL,
            )
        )
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.double()


def _subject(name: str, model: PreTrainedModel, seed: int) -> Subject:
    model.eval()
    draw = torch.Generator().manual_seed(seed)

    def text(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(0, VOCABULARY, (length,), generator=draw).tolist())

    return Subject(
        name=name,
        model=model,
        linear=_with_linear(model),
        projections=find_projections(model),
        equal=tuple(text(9) for _ in range(SEQUENCES)),
        ragged=tuple(text(4 + 7 * n % SEQUENCES) for n in range(SEQUENCES)),
    )


def _with_linear(model: PreTrainedModel) -> PreTrainedModel:
    copied = copy.deepcopy(model)
    for name, module in list(copied.named_modules()):
        if isinstance(module, Conv1D):
            inside, outside = module.weight.shape
            linear = nn.Linear(inside, outside, dtype=module.weight.dtype)
            with torch.no_grad():
                linear.weight.copy_(module.weight.T)
                linear.bias.copy_(module.bias)
            parent, _, child = name.rpartition(".")
            setattr(copied.get_submodule(parent), child, linear)
    return copied
