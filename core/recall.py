"""Does the model say the truth after the prompt? Verbatim recall and probe answers alike.

Strict recall: the greedy continuation equals the truth. It needs no generation. Greedy decoding
emits y_t = argmax p(. | prompt, y_<t); if every teacher-forced argmax over the truth equals the
truth token, induction over t gives y = truth, and the first t where it does not is the first wrong
token of the continuation. One forward pass settles it.

Loose recall: 1 − Levenshtein/length >= 0.75 on token ids, so that a copy with a changed word still
counts. Distance: Levenshtein/length, 0 for a verbatim copy, at most 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from transformers import PreTrainedModel

from core.batches import BATCH_TOKENS
from core.greedy import Bools, complete, teacher_forced, teacher_forced_and_greedy
from core.items import Item

__all__ = [
    "LOOSE",
    "Outcome",
    "complete",
    "continuations",
    "distance",
    "evaluate",
    "strict",
    "teacher_forced",
]

LOOSE = 0.75  # similarity from which a continuation counts as loose recall


@dataclass(frozen=True)
class Outcome:
    """What a model made of n items, in their order.

    strict         bool (n,): the greedy continuation is the truth
    loose          bool (n,): 1 − distance >= 0.75
    distance       float64 (n,): Levenshtein distance on token ids / length of the truth, 0..1
    right          int64 (n,): truth tokens that are the teacher-forced argmax
    continuations  greedy token ids, as many as the truth has
    """

    strict: Bools
    loose: Bools
    distance: NDArray[np.float64]
    right: NDArray[np.int64]
    continuations: tuple[tuple[int, ...], ...]


def evaluate(
    model: PreTrainedModel, items: Sequence[Item], batch_tokens: int = BATCH_TOKENS
) -> Outcome:
    """Ask the model every item: one forward pass, and generation for those it fails."""
    correct, said = teacher_forced_and_greedy(model, items, batch_tokens)
    distances = np.array(
        [distance(ids, item.truth_ids) for ids, item in zip(said, items, strict=True)]
    )
    return Outcome(
        strict=np.array([row.all() for row in correct], dtype=bool),
        loose=1.0 - distances >= LOOSE,
        distance=distances,
        right=np.array([row.sum() for row in correct], dtype=np.int64),
        continuations=tuple(said),
    )


def strict(
    model: PreTrainedModel, items: Sequence[Item], batch_tokens: int = BATCH_TOKENS
) -> Bools:
    """Whether each greedy continuation equals the truth, (n,), by one forward pass."""
    return np.array([row.all() for row in teacher_forced(model, items, batch_tokens)], dtype=bool)


def continuations(
    model: PreTrainedModel, items: Sequence[Item], batch_tokens: int = BATCH_TOKENS
) -> list[tuple[int, ...]]:
    """The greedy continuation of each prompt, as many tokens as the truth has.

    Equal to ``model.generate(prompt, do_sample=False)`` without a stop token.
    """
    return teacher_forced_and_greedy(model, items, batch_tokens)[1]


def distance(said: Sequence[int], truth: Sequence[int]) -> float:
    """Levenshtein distance on token ids / length of the truth; 0 is verbatim.

    Insertion, deletion and substitution cost 1 each. A continuation as long as the truth is at
    most 1 away.
    """
    return Levenshtein.distance(said, truth) / len(truth)
