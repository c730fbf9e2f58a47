"""What trains both shipped models."""

from typing import Final

import torch
from torch import nn

MUON_RATE: Final = 0.02
ADAM_RATE: Final = 3e-3
WEIGHT_DECAY: Final = 0.1


def optimizers(model: nn.Module) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices of the blocks, AdamW for embeddings, head, gains and biases."""
    hidden = [p for n, p in model.named_parameters() if p.ndim == 2 and ".layers." in n]
    chosen = {id(p) for p in hidden}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return (
        torch.optim.Muon(hidden, lr=MUON_RATE, weight_decay=WEIGHT_DECAY),
        torch.optim.AdamW(rest, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0),
    )
