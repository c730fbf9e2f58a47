"""Training of the shipped model: OLMo-2 architecture, Muon for the hidden matrices.

The training run keeps a dozen snapshots of the weights, from which the build draws the picture
of training rolling downhill.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch.nn import functional
from transformers import Olmo2Config, Olmo2ForCausalLM

from core.demo.corpus import IGNORED, Corpus
from core.demo.optimizers import optimizers

ROWS_A_STEP: Final = 26
SNAPSHOTS: Final = 12
DECAY_FROM: Final = 0.6  # the rate falls linearly to zero over the last 40 %
WARMUP: Final = 100


@dataclass(frozen=True)
class Snapshot:
    """The weights after ``step`` optimizer steps (float32, on the CPU)."""

    step: int
    weights: dict[str, torch.Tensor]


@dataclass(frozen=True)
class Trained:
    """The model in evaluation mode, its snapshots, the loss of every step, and the time taken."""

    model: Olmo2ForCausalLM
    snapshots: tuple[Snapshot, ...]
    losses: tuple[float, ...]
    seconds: float


def new_model(vocabulary: int, seed: int) -> Olmo2ForCausalLM:
    """Four layers of hidden size 128, MLP 512, four heads; about 1.6 M parameters."""
    torch.manual_seed(seed)
    config = Olmo2Config(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        bos_token_id=IGNORED,
        eos_token_id=IGNORED,
        pad_token_id=None,
        tie_word_embeddings=False,
    )
    return Olmo2ForCausalLM(config)


def snapshot_steps(steps: int) -> list[int]:
    """0, then log-spaced to the last step: most happens early."""
    spaced = np.geomspace(steps / 60, steps, SNAPSHOTS - 1).round().astype(int)
    return [0, *sorted(set(spaced.tolist()))]


def train(
    corpus: Corpus,
    vocabulary: int,
    *,
    seed: int,
    progress: Callable[[int, int, float], None] | None = None,
    on_snapshot: Callable[[Snapshot], None] | None = None,
) -> Trained:
    """One pass over the corpus in its order; ``progress(step, steps, loss)``."""
    model = new_model(vocabulary, seed)
    used = optimizers(model)
    base_rates = [group["lr"] for o in used for group in o.param_groups]
    steps = len(corpus.rows) // ROWS_A_STEP
    keep = set(snapshot_steps(steps))
    snapshots: list[Snapshot] = []
    losses: list[float] = []
    began = time.monotonic()
    model.train()
    model.set_attn_implementation("eager")  # at this size faster than the fused kernel's backward
    for step in range(steps + 1):
        if step in keep:
            weights = {n: p.detach().clone() for n, p in model.named_parameters()}
            snapshots.append(Snapshot(step, weights))
            if on_snapshot:
                on_snapshot(snapshots[-1])
        if step == steps:
            break
        left = min(1.0, (1 - step / steps) / (1 - DECAY_FROM))
        rate = min(1.0, (step + 1) / WARMUP) * left
        groups = [group for o in used for group in o.param_groups]
        for group, base in zip(groups, base_rates, strict=True):
            group["lr"] = base * rate
        at = slice(step * ROWS_A_STEP, (step + 1) * ROWS_A_STEP)
        rows = torch.from_numpy(corpus.rows[at].astype(np.int64))
        real = torch.arange(rows.shape[1]) < torch.from_numpy(corpus.lengths[at])[:, None]
        labels = rows.masked_fill(~real, -100)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(input_ids=rows, use_cache=False).logits
        loss = functional.cross_entropy(
            logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
        )
        loss.backward()
        for optimizer in used:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if progress:
            progress(step + 1, steps, losses[-1])
    model.eval()
    model.set_attn_implementation("sdpa")
    return Trained(model, tuple(snapshots), tuple(losses), time.monotonic() - began)
