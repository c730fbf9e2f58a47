"""How well a model reads text it was never asked to recite: perplexity and token accuracy.

    l_t = −log p(x_t | x_<t), in nats, for every token of a sequence but its first
    perplexity = exp(Σ l_t / number of counted tokens)

The tokens of one sequence are not independent; intervals treat the *sequence* as the unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from core.batches import BATCH_TOKENS, batches, check_readable, pad
from core.errors import HillshadeError
from core.intervals import Estimate, ratio_of_sums

Sequences = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Reading:
    """What a model made of S sequences, per sequence; all arrays have shape (S,).

    loss    Σ l_t in nats, float64
    right   how many tokens were the argmax
    tokens  how many tokens were counted (length − 1)
    """

    loss: NDArray[np.float64]
    right: NDArray[np.int64]
    tokens: NDArray[np.int64]

    @property
    def perplexity(self) -> Estimate:
        """exp(mean token loss); interval by the delta method over sequences; n counts tokens."""
        return _exp(ratio_of_sums(self.loss, self.tokens))

    @property
    def accuracy(self) -> Estimate:
        """Share of tokens that are the teacher-forced argmax; interval over sequences."""
        return ratio_of_sums(self.right.astype(np.float64), self.tokens)


def read(model: PreTrainedModel, sequences: Sequences, batch_tokens: int = BATCH_TOKENS) -> Reading:
    """Loss and accuracy of every sequence, by one forward pass.

    Raises HillshadeError for a sequence of fewer than two tokens (it predicts nothing), one longer
    than the model's context or of another vocabulary, a model in training mode, or a loss that is
    not finite.
    """
    for sequence in sequences:
        check_readable(model, sequence)
        if len(sequence) < 2:
            raise HillshadeError("A sequence of one token predicts nothing; give longer texts.")
    if not sequences:
        raise HillshadeError("There is no text to measure perplexity on; give some sequences.")
    lengths = [len(sequence) for sequence in sequences]
    loss = np.zeros(len(sequences))
    right = np.zeros(len(sequences), dtype=np.int64)
    order = sorted(range(len(sequences)), key=lengths.__getitem__)
    with torch.inference_mode():
        for chunk in batches(model, lengths, order, batch_tokens):
            loss[chunk], right[chunk] = _read_batch(model, [sequences[i] for i in chunk])
    if not np.isfinite(loss).all():
        raise HillshadeError("The model's loss is not finite; its weights are damaged.")
    return Reading(loss, right, np.array(lengths, dtype=np.int64) - 1)


def _read_batch(
    model: PreTrainedModel, sequences: Sequences
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Loss and right tokens per row; losses in float32, summed in float64."""
    ids = pad(sequences, model.device)
    counts = torch.tensor([len(sequence) - 1 for sequence in sequences], device=ids.device)
    counted = torch.arange(ids.shape[1] - 1, device=ids.device) < counts[:, None]
    targets = ids[:, 1:]
    logits = model(ids, use_cache=False).logits[:, :-1]
    losses = cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
    loss = torch.where(counted, losses.view_as(targets).double(), 0.0).sum(1)
    right = ((logits.argmax(-1) == targets) & counted).sum(1)
    return loss.cpu().numpy(), right.cpu().numpy()


def perplexity(model: PreTrainedModel, sequences: Sequences) -> Estimate:
    """exp(mean token loss) over all counted tokens, with its interval; n counts tokens."""
    return read(model, sequences).perplexity


def ratio(before: Reading, after: Reading) -> Estimate:
    """Perplexity of the edited model / of the original, paired by sequence.

    exp(Σ_s (L'_s − L_s) / Σ_s n_s); pairing removes how hard each sequence is, so the interval is
    far narrower than those of the two perplexities.
    """
    if not np.array_equal(before.tokens, after.tokens):
        raise HillshadeError("Both models must read the same sequences; measure them on one list.")
    return _exp(ratio_of_sums(after.loss - before.loss, before.tokens))


def _exp(log: Estimate) -> Estimate:
    return Estimate(_power(log.value), _power(log.low), _power(log.high), log.n)


def _power(nats: float) -> float:
    """exp; infinite where float64 ends, at 709 nats: an interval may reach so far."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf
