"""Token sequences of many lengths, in padded batches that a model can read.

Rows are padded on the right. A causal model never looks to the right, so the logits of the real
tokens are those of the unpadded sequence, and no attention mask is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from core.errors import HillshadeError

if TYPE_CHECKING:  # importing it takes two seconds, which the first page need not wait for
    from transformers import PreTrainedModel

# Tokens of one forward pass. Small enough for the processor's cache and for little padding, large
# enough for its matrix units: on one thread the fastest power of two for a million parameters.
BATCH_TOKENS = 4096

# Logits of one pass; bounds the memory of models with a large vocabulary (1 GiB in float32).
BATCH_LOGITS = 1 << 28


def check_readable(model: PreTrainedModel, ids: Sequence[int], more: int = 0) -> None:
    """Refuse, with a sentence, tokens that the model cannot read, and `more` to be generated.

    Raises HillshadeError for an empty prompt, more tokens than the model's context, ids outside
    its vocabulary, or a model in training mode (dropout would make every answer a draw of chance).
    """
    require_eval(model)
    if not ids:
        raise HillshadeError("The prompt is empty; type at least one word.")
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and len(ids) + more > context:
        raise HillshadeError(
            f"The text has {len(ids) + more} tokens with its continuation, the model reads at "
            f"most {context}; shorten the prompt."
        )
    vocabulary = logits_of(model)
    if min(ids) < 0 or max(ids) >= vocabulary:
        raise HillshadeError(
            f"The text holds token ids outside the model's vocabulary of {vocabulary}; "
            "encode it with the model's own tokenizer."
        )


def require_eval(model: PreTrainedModel) -> None:
    """HillshadeError for a model in training mode: dropout would make answers a draw of chance."""
    if model.training:
        raise HillshadeError("The model is in training mode; call model.eval() before measuring.")


def reads_images(model: nn.Module) -> bool:
    """Whether this is an image classifier."""
    return getattr(model, "main_input_name", None) == "pixel_values"


def classes_of(model: PreTrainedModel) -> int:
    """How many classes an image classifier knows."""
    count = model.config.num_labels
    assert isinstance(count, int)
    return count


def batches(
    model: PreTrainedModel, lengths: Sequence[int], order: Sequence[int], batch_tokens: int
) -> Iterator[list[int]]:
    """Indices in runs of `order` whose padded batch holds at most batch_tokens tokens.

    A single longer sequence makes a batch of its own.
    """
    limit = min(batch_tokens, BATCH_LOGITS // logits_of(model))
    chunk: list[int] = []
    width = 0
    for index in order:
        width = max(width, lengths[index])
        if chunk and width * (len(chunk) + 1) > limit:
            yield chunk
            chunk, width = [], lengths[index]
        chunk.append(index)
    if chunk:
        yield chunk


def pad(sequences: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """One int64 tensor (rows, longest), zeros on the right."""
    ids = torch.zeros(len(sequences), max(len(row) for row in sequences), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
    return ids.to(device)


def last_logits(model: PreTrainedModel, ids: Tensor, keep: int, **options: Any) -> Tensor:
    """The logits (rows, keep, v) at the last `keep` positions; `options` go to the model as given.

    `logits_to_keep` spares the others, but some models take no notice of it and return all: those
    are cut here. Raises HillshadeError where neither comes back.
    """
    logits = model(ids, logits_to_keep=keep, **options).logits
    assert isinstance(logits, Tensor)
    if logits.shape[1] not in (keep, ids.shape[1]):
        raise HillshadeError(
            f"{type(model).__name__} returns logits at {logits.shape[1]} positions of "
            f"{ids.shape[1]}; Hillshade measures causal language models that return one a token."
        )
    return logits[:, -keep:]


def logits_of(model: PreTrainedModel) -> int:
    """Width of a row of logits."""
    if reads_images(model):
        return classes_of(model)
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    return weight.shape[0]
