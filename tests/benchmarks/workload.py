"""The model and the texts on which collection is compared, and the arithmetic it takes.

A Llama with random weights whose MLP is wide, as in Gemma, so that covariances dominate; every MLP
projection of every layer, gold labels, float32. Texts of one length, because one of the libraries
knows no padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from core.projection import find_projections
from tests.oracle.subjects import Subject


@dataclass(frozen=True)
class Workload:
    """A model's shape and the texts it reads; each text counts `length` tokens."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    vocabulary: int
    texts: int
    length: int
    texts_a_batch: int
    layers_a_pass: int  # of the plain loop

    @property
    def tokens(self) -> int:
        return self.texts * self.length

    def subject(self) -> Subject:
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.hidden,
            intermediate_size=self.intermediate,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_value_heads,
            max_position_embeddings=self.length + 1,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
        )
        model = LlamaForCausalLM(config).eval()
        ids = torch.randint(0, self.vocabulary, (self.texts, self.length + 1)).tolist()
        texts = tuple(map(tuple, ids))
        return Subject("Llama", model, model, find_projections(model), texts, texts)

    # Operations a token, a multiplication and an addition each counted. Left out everywhere: what
    # attention multiplies with itself, norms, softmax.

    @property
    def mlp(self) -> int:
        """Weights of one layer's MLP."""
        return 3 * self.hidden * self.intermediate

    @property
    def block(self) -> int:
        """Weights of one layer."""
        narrow = self.hidden // self.heads * self.key_value_heads
        return self.mlp + 2 * self.hidden * (self.hidden + narrow)

    @property
    def forward(self) -> int:
        """2 operations a weight of the blocks and of the output head."""
        return 2 * (self.layers * self.block + self.vocabulary * self.hidden)

    @property
    def least(self) -> int:
        """What the factors need: forward; backward down to the lowest outputs that are wanted.

        d (d + 1) operations for a sum of d x d, of which gate and up share that of their input.
        """
        above_lowest = (self.layers - 1) * self.block + self.hidden * self.intermediate
        backward = 2 * (above_lowest + self.vocabulary * self.hidden)
        sides = 2 * [self.hidden] + 3 * [self.intermediate]
        return self.forward + backward + self.layers * sum(d * (d + 1) for d in sides)

    @property
    def plain(self) -> int:
        """Forward and backward through everything, and 2 d² for each sum of every projection."""
        sides = 3 * [self.hidden] + 3 * [self.intermediate]
        return 2 * self.forward + self.layers * sum(2 * d * d for d in sides)

    @property
    def weight_gradients(self) -> int:
        """2 operations a weight of the MLPs."""
        return 2 * self.layers * self.mlp

    def arithmetic(self, tool: str) -> int:
        """What a tool does, by how it is built: read in its source, not measured."""
        passes = -(-self.layers // self.layers_a_pass)
        return {
            "hillshade": self.least,
            "curvlinops": self.plain + self.weight_gradients,
            "kronfluence": self.plain,
            "bergson": self.plain,
            "plain_loop": self.plain + (passes - 1) * 2 * self.forward + self.weight_gradients,
        }[tool]


WORKLOADS = {
    "full": Workload(
        hidden=2048,
        intermediate=8192,
        layers=2,
        heads=16,
        key_value_heads=2,
        vocabulary=2048,
        texts=12,
        length=128,
        texts_a_batch=6,
        layers_a_pass=1,
    ),
    "small": Workload(
        hidden=24,
        intermediate=40,
        layers=3,
        heads=2,
        key_value_heads=1,
        vocabulary=32,
        texts=6,
        length=8,
        texts_a_batch=2,
        layers_a_pass=2,
    ),
}
