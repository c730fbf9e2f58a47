"""Random-weight models of four families, small enough for exact comparisons, and texts for them."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
)

VOCABULARY = 23
TEXTS = ((3, 1, 4, 1, 5, 9, 2, 6), (2, 7, 1), (0, 0, 0, 5), (22, 21), (8, 6, 7, 5, 3, 0))
SPECIAL: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}


def olmo2() -> PreTrainedModel:
    return Olmo2ForCausalLM(
        Olmo2Config(
            vocab_size=VOCABULARY,
            hidden_size=12,
            intermediate_size=20,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=32,
            **SPECIAL,
        )
    )


def gpt2() -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=VOCABULARY, n_embd=12, n_layer=2, n_head=2, n_positions=32, **SPECIAL
    )
    return GPT2LMHeadModel(config)


def opt() -> PreTrainedModel:
    return OPTForCausalLM(
        OPTConfig(
            vocab_size=VOCABULARY,
            hidden_size=12,
            ffn_dim=20,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=32,
            word_embed_proj_dim=12,
            **SPECIAL,
        )
    )


def neox() -> PreTrainedModel:
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            intermediate_size=20,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=32,
            **SPECIAL,
        )
    )


FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {
    "olmo2": olmo2,
    "gpt2": gpt2,
    "opt": opt,
    "neox": neox,
}


def tiny(family: str, dtype: torch.dtype = torch.float64, seed: int = 0) -> PreTrainedModel:
    """A model whose weights are large enough that every gradient matters, in train mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = FAMILIES[family]()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.2)
    made: PreTrainedModel = model.to(dtype).train()
    return made
