"""Tiny random models of every family that the engine is to read, and what it is to find in each."""

from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tests.tiny import SPECIAL, VOCABULARY

GATED = "gate up down q k v o"
PLAIN = "up down q k v o"
ALL_IN_ONE = "up down qkv o"
_LLAMA: dict[str, Any] = {
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 32,
}
_GPT2: dict[str, Any] = {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 32}


@dataclass(frozen=True)
class Family:
    """The kinds of one layer in the order of the search, and the config beside its base."""

    kinds: str
    base: dict[str, Any] = field(default_factory=lambda: _LLAMA)
    more: dict[str, Any] = field(default_factory=dict)


FAMILIES: dict[str, Family] = {
    "llama": Family(GATED),
    "olmo": Family(GATED),
    "olmo2": Family(GATED),
    "olmo3": Family(GATED),
    "qwen2": Family(GATED),
    "qwen3": Family(GATED, more={"head_dim": 8}),
    "mistral": Family(GATED),
    "gemma": Family(GATED, more={"head_dim": 8}),
    "gemma2": Family(GATED, more={"head_dim": 8}),
    "gemma3_text": Family(GATED, more={"head_dim": 8}),
    "stablelm": Family(GATED),
    "cohere": Family(GATED),
    "cohere2": Family(GATED),
    "granite": Family(GATED),
    "smollm3": Family(GATED),
    "phi": Family(PLAIN, more={"partial_rotary_factor": 0.67}),
    "starcoder2": Family(PLAIN),
    "nemotron": Family(PLAIN),
    "opt": Family(PLAIN, more={"ffn_dim": 20, "word_embed_proj_dim": 12}),
    "gpt_neo": Family(
        PLAIN, more={"num_layers": 2, "num_heads": 2, "attention_types": [[["global"], 2]]}
    ),
    "gptj": Family(PLAIN, _GPT2, {"rotary_dim": 4}),
    "phi3": Family("gate_up down qkv o"),
    "glm": Family("gate_up down q k v o", more={"head_dim": 8}),
    "gpt2": Family(ALL_IN_ONE, _GPT2),
    "gpt_bigcode": Family(ALL_IN_ONE, _GPT2),
    "codegen": Family(ALL_IN_ONE, _GPT2, {"rotary_dim": 4}),
    "gpt_neox": Family(ALL_IN_ONE),
    "falcon": Family(ALL_IN_ONE),
    "bloom": Family(ALL_IN_ONE, {"hidden_size": 12, "n_layer": 2, "n_head": 2}),
    "mpt": Family(
        ALL_IN_ONE,
        {"d_model": 12, "n_heads": 2, "n_layers": 2, "expansion_ratio": 2, "max_seq_len": 32},
    ),
}
EXPERTS = ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "granitemoe", "deepseek_v2", "gpt_oss")


def made(family: str, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    """A model of this family with weights large enough to matter, in evaluation mode."""
    known = FAMILIES.get(family, Family(""))
    options = {"vocab_size": VOCABULARY} | SPECIAL | known.base | known.more
    config = AutoConfig.for_model(family, **options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: Any = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.2)
    found: PreTrainedModel = model.to(dtype).eval()
    return found
