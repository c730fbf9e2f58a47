"""The same strings asked for in other ways: less prefix, more of it, another start, other company.

An edit that breaks the continuation of one prompt may leave it to another. With P prompt and L
truth tokens a string is P + L tokens long, and a prompt is any part of it:

    shortened    the last part of the prompt only                    the whole truth must follow
    lengthened   the prompt and the first part of the truth          the rest must follow
    shifted      as long as the prompt, but from a later offset      the rest must follow
    preceded     unrelated text, then the prompt                     the whole truth must follow

A token that begins every text (such as <|endoftext|>) stays in front of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from core.audit.truths import Progress
from core.batches import BATCH_TOKENS
from core.errors import HillshadeError
from core.intervals import Estimate, share
from core.items import Item
from core.recall import evaluate

Bools = NDArray[np.bool_]

AS_IS = "as it is"


@dataclass(frozen=True)
class Prompted:
    """What a model said to one kind of prompt.

    asked    bool (S,): whether the string is long enough to be asked so, and short enough for the
             model to read it with its prompt
    strict, loose  bool (S,): recalled; false where not asked
    """

    name: str
    asked: Bools
    strict: Bools
    loose: Bools

    @property
    def strict_share(self) -> Estimate:
        """Strict recall among the strings asked, with Wilson's interval."""
        return share(self.strict[self.asked])

    @property
    def loose_share(self) -> Estimate:
        """Loose recall among the strings asked, with Wilson's interval."""
        return share(self.loose[self.asked])


@dataclass(frozen=True)
class Prompts:
    """All kinds of prompts that fit some string; the first is the string's own."""

    kinds: tuple[Prompted, ...]
    unasked: tuple[str, ...] = ()  # names of those that fit none

    @property
    def partly(self) -> tuple[str, ...]:
        """A sentence for every kind that was not asked of all strings."""
        counts = {kind.name: (int(kind.asked.sum()), len(kind.asked)) for kind in self.kinds}
        counts |= dict.fromkeys(self.unasked, (0, len(self.kinds[0].asked)))
        return tuple(
            f"“{name}” was asked of {n} of {total} strings: the others are too short for it, or "
            "longer with it than the model reads."
            for name, (n, total) in counts.items()
            if n < total
        )

    @property
    def any_strict(self) -> Bools:
        """Recalled strictly under at least one prompt, bool (S,)."""
        return np.any([kind.strict for kind in self.kinds], axis=0)


def shortened(item: Item, part: float, start: int | None = None) -> Item | None:
    """Prompted by the last `part` (0..1) of its prompt; None where nothing is left out."""
    head, body = _split(item, start)
    left = max(1, round(part * len(body)))
    return _asked(item, head, body[-left:], item.truth_ids) if left < len(body) else None


def lengthened(item: Item, part: float) -> Item | None:
    """Prompted by its prompt and the first `part` of its truth; None where no more is given."""
    more = _part(item, part)
    if more is None:
        return None
    return _asked(item, (), item.prompt_ids + item.truth_ids[:more], item.truth_ids[more:])


def shifted(item: Item, part: float, start: int | None = None) -> Item | None:
    """Prompted by as many tokens from a later offset, by `part` of its truth; None likewise."""
    head, body = _split(item, start)
    by = _part(item, part)
    if by is None:
        return None
    window = (body + item.truth_ids)[by : by + len(body)]
    return _asked(item, head, window, item.truth_ids[by:])


def preceded(item: Item, before: Sequence[int], start: int | None = None) -> Item | None:
    """Prompted by `before`, unrelated text, and then its prompt."""
    head, body = _split(item, start)
    return _asked(item, head, tuple(before) + body, item.truth_ids) if before else None


def ways(
    unrelated: Sequence[Sequence[int]], start: int | None = None
) -> dict[str, Callable[[int, Item], Item | None]]:
    """The kinds of prompts that `ask` tries; each changes the i-th string, or says None.

    Halves and quarters of prefix and truth. String i is preceded by the last tokens of text
    i modulo their number: half as many as its prompt has, and as many.
    """

    def before(i: int, item: Item, part: float) -> Item | None:
        text = tuple(t for t in unrelated[i % len(unrelated)] if t != start) if unrelated else ()
        return preceded(item, text[-max(1, round(part * len(item.prompt_ids))) :], start)

    return {
        AS_IS: lambda i, item: item,
        "last half of the prefix": lambda i, item: shortened(item, 1 / 2, start),
        "last quarter of the prefix": lambda i, item: shortened(item, 1 / 4, start),
        "a quarter of the suffix more": lambda i, item: lengthened(item, 1 / 4),
        "half of the suffix more": lambda i, item: lengthened(item, 1 / 2),
        "shifted by a quarter of the suffix": lambda i, item: shifted(item, 1 / 4, start),
        "shifted by half of the suffix": lambda i, item: shifted(item, 1 / 2, start),
        "unrelated text before, half as long": lambda i, item: before(i, item, 1 / 2),
        "unrelated text before, as long": lambda i, item: before(i, item, 1.0),
    }


def ask(
    model: PreTrainedModel,
    items: Sequence[Item],
    kinds: Mapping[str, Callable[[int, Item], Item | None]],
    batch_tokens: int = BATCH_TOKENS,
    progress: Progress | None = None,
) -> Prompts:
    """Strict and loose recall of the items under each kind of prompt (`ways`).

    A string is not asked under a kind whose prompt and truth together are longer than the model
    reads. Kinds that fit no string are left out. `progress(done, total)` counts kinds and may raise
    to cancel. Raises HillshadeError for strings that the model cannot read by their own prompt.
    """
    if not items:
        raise HillshadeError("There is no string to audit; give at least one.")
    found: list[Prompted] = []
    unasked: list[str] = []
    for done, (name, change) in enumerate(kinds.items(), start=1):
        changed = [change(i, item) for i, item in enumerate(items)]
        if name != AS_IS:
            changed = [
                item if item is not None and _fits(model, item) else None for item in changed
            ]
        asked = np.array([item is not None for item in changed])
        if asked.any():
            outcome = evaluate(model, [item for item in changed if item is not None], batch_tokens)
            strict, loose = np.zeros_like(asked), np.zeros_like(asked)
            strict[asked], loose[asked] = outcome.strict, outcome.loose
            found.append(Prompted(name, asked, strict, loose))
        else:
            unasked.append(name)
        if progress is not None:
            progress(done, len(kinds))
    return Prompts(tuple(found), tuple(unasked))


def _fits(model: PreTrainedModel, item: Item) -> bool:
    context = getattr(model.config, "max_position_embeddings", None)
    return context is None or item.length <= context


def _split(item: Item, start: int | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The token that begins every text, where the prompt begins with it; and the rest."""
    if item.prompt_ids[0] == start and len(item.prompt_ids) > 1:
        return item.prompt_ids[:1], item.prompt_ids[1:]
    return (), item.prompt_ids


def _part(item: Item, part: float) -> int | None:
    """That part of the truth in tokens, if something is given and something is left to say."""
    tokens = round(part * len(item.truth_ids))
    return tokens if 0 < tokens < len(item.truth_ids) else None


def _asked(
    item: Item, head: tuple[int, ...], prompt: tuple[int, ...], truth: tuple[int, ...]
) -> Item:
    """The item with other tokens; its texts would no longer be theirs and are left empty."""
    return replace(item, prompt_ids=head + prompt, truth_ids=truth, prompt="", truth="")
