"""Does it come back? A few steps of training on unrelated text, then recall again.

What an edit only hides a little training brings back, although the text trained on says nothing of
the strings (Łucki et al. 2024, arXiv 2409.18025; Deeb and Roger 2024, arXiv 2410.08827). Beside the
edited model stand the original, trained alike, which shows what the training itself costs recall,
and, where there is one, a model that never saw the strings, which shows what it gives by itself.

Each model is trained in a copy of its own: AdamW (Loshchilov and Hutter 2019), no weight decay, all
weights, constant learning rate, mean loss per predicted token of a batch, dropout off. Batches are
drawn by key, the same for all models; no global random state is read or advanced.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from core.audit.truths import Progress
from core.batches import pad
from core.errors import HillshadeError
from core.intervals import Estimate, share
from core.items import Item
from core.recall import evaluate
from core.rows import as_sequences

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Training:
    """How a model is trained again. Recall is asked after each number in `steps`, ascending from 0.

    batch  texts a step; drawn without repetition until all have been used
    """

    steps: tuple[int, ...] = (0, 1, 2, 4, 8, 16, 32, 64)
    learning_rate: float = 3e-4
    batch: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.steps or self.steps[0] != 0 or (np.diff(self.steps) <= 0).any():
            raise HillshadeError(
                f"The steps {self.steps} are no plan; start at 0 and let them increase."
            )
        if not self.learning_rate > 0 or self.batch < 1:
            raise HillshadeError(
                "Training needs a learning rate above 0 and batches of 1 text or more."
            )

    def __str__(self) -> str:
        return f"AdamW, learning rate {self.learning_rate:g}, {self.batch} texts a step"


@dataclass(frozen=True)
class Relearned:
    """Recall of S strings by one model after each number of steps.

    strict, loose  bool (K, S)
    loss           float64 (K,): mean loss of the batch about to be trained on, in nats a token
    """

    steps: tuple[int, ...]
    strict: Bools
    loose: Bools
    loss: NDArray[np.float64]

    @property
    def strict_share(self) -> tuple[Estimate, ...]:
        """Strict recall after each number of steps, with Wilson's intervals."""
        return tuple(share(row) for row in self.strict)

    @property
    def loose_share(self) -> tuple[Estimate, ...]:
        """Loose recall after each number of steps, with Wilson's intervals."""
        return tuple(share(row) for row in self.loose)

    @property
    def returned(self) -> Bools:
        """Not recalled strictly at first, but after some training, bool (S,)."""
        return self.strict[1:].any(axis=0) & ~self.strict[0]


def relearn(
    models: Mapping[str, PreTrainedModel],
    items: Sequence[Item],
    unrelated: Sequence[Sequence[int]],
    training: Training | None = None,
    progress: Progress | None = None,
) -> dict[str, Relearned]:
    """Recall of `items` while copies of the `models` train on `unrelated` texts (token ids).

    Name the models as they are to be told apart, such as edited, original and never saw them. Costs
    three forward passes a step, one exam an entry of `training.steps`, and one more copy of one
    model with AdamW's two moments. The models themselves are never changed.

    `progress(done, total)` counts the steps of all models and may raise to cancel. Raises
    HillshadeError for unusable texts, a text that holds one of the strings, or a loss that is not
    finite.
    """
    if not items:
        raise HillshadeError("There is no string to audit; give at least one.")
    training = training or Training()
    total = training.steps[-1] * len(models)
    found: dict[str, Relearned] = {}
    for model in models.values():
        as_sequences(unrelated, model)
    _refuse_the_strings(items, unrelated)
    for number, (name, model) in enumerate(models.items()):
        before = number * training.steps[-1]

        def tell(done: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        found[name] = _relearn(model, items, unrelated, training, tell)
    return found


def _relearn(
    model: PreTrainedModel,
    items: Sequence[Item],
    unrelated: Sequence[Sequence[int]],
    training: Training,
    tell: Callable[[int], None],
) -> Relearned:
    with torch.inference_mode(False), torch.enable_grad():
        # eval mode: dropout would read the global random state
        mine = copy.deepcopy(model).eval().requires_grad_(True)
        optimizer = torch.optim.AdamW(
            mine.parameters(), lr=training.learning_rate, weight_decay=0.0
        )
        batches = _Batches(unrelated, training)
        strict, loose, losses = [], [], []
        for step in range(training.steps[-1] + 1):
            asking = step in training.steps
            if asking:
                outcome = evaluate(mine, items)
                strict.append(outcome.strict)
                loose.append(outcome.loose)
            loss = _loss(mine, batches.next())
            if not bool(torch.isfinite(loss)):
                raise HillshadeError(
                    "The loss became infinite or NaN while training again; "
                    "choose a smaller learning rate."
                )
            if asking:
                losses.append(float(loss.detach()))
            if step < training.steps[-1]:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                tell(step + 1)
    return Relearned(training.steps, np.array(strict), np.array(loose), np.array(losses))


class _Batches:
    """Texts in keyed order: every text once, then in a new order."""

    def __init__(self, texts: Sequence[Sequence[int]], training: Training) -> None:
        self._texts = texts
        self._size = training.batch
        self._rng = np.random.Generator(np.random.Philox(key=training.seed))
        self._waiting: list[int] = []

    def next(self) -> list[Sequence[int]]:
        while len(self._waiting) < self._size:
            self._waiting += self._rng.permutation(len(self._texts)).tolist()
        now, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
        return [self._texts[i] for i in now]


def _loss(model: PreTrainedModel, texts: Sequence[Sequence[int]]) -> torch.Tensor:
    """Mean loss per predicted token of one padded batch."""
    ids = pad(texts, model.device)
    lengths = torch.tensor([len(text) for text in texts], device=ids.device)
    counted = torch.arange(1, ids.shape[1], device=ids.device) < lengths[:, None]
    targets = ids[:, 1:].masked_fill(~counted, -100)
    logits = model(ids, use_cache=False).logits[:, :-1].flatten(0, 1)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return cross_entropy(logits, targets.flatten())


def _refuse_the_strings(items: Sequence[Item], texts: Sequence[Sequence[int]]) -> None:
    """Text that holds a string teaches it anew and shows nothing of what was left."""
    haystacks = [np.asarray(text, dtype="<i8").tobytes() for text in texts]
    for item in items:
        needle = np.asarray(item.truth_ids, dtype="<i8").tobytes()
        if len(item.truth_ids) > 3 and any(_holds(haystack, needle) for haystack in haystacks):
            raise HillshadeError(
                f'The text to train on holds what follows in "{item.id}"; '
                "train on text that has nothing of the strings."
            )


def _holds(haystack: bytes, needle: bytes) -> bool:
    """Whether the 8-byte tokens of `needle` lie in `haystack` in a row."""
    at = haystack.find(needle)
    while at >= 0 and at % 8:
        at = haystack.find(needle, at + 1)
    return at >= 0
