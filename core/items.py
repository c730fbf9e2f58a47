"""One form for a memorized string and for a probe question: a prompt and the tokens that follow.

A memorized string is a prefix and its suffix; a probe is a question and its answer. Both are
"prompt, then truth", so one code path asks the model, compares, stores and shows them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from core.errors import HillshadeError

Kind = Literal["memory", "probe"]
Split = Literal["choose", "report"]

MEMORY_GROUPS: tuple[str, ...] = ("passage", "canary", "recited", "unseen")
PROBE_GROUPS: tuple[str, ...] = ("facts", "sums", "open-book", "logic", "order", "copying")


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt and the tokens that truly follow it.

    id            unique in its study
    kind          "memory" or "probe"
    group         one of MEMORY_GROUPS or PROBE_GROUPS for the shipped world; any name elsewhere
    split         "choose": settings may be chosen on it; "report": only ever reported
    prompt_ids    token ids the model is given, at least one
    truth_ids     token ids that truly follow, at least one
    prompt, truth the same as text, for reading
    repeats       how often training showed the string; None for probes and where nobody knows
    exact_copies  how many of these were free of noise; None likewise
    chance        accuracy of blind guessing, 0..1; None for memorized strings
    """

    id: str
    kind: Kind
    group: str
    split: Split
    prompt_ids: tuple[int, ...]
    truth_ids: tuple[int, ...]
    prompt: str
    truth: str
    repeats: int | None = None
    exact_copies: int | None = None
    chance: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise HillshadeError(f'Item "{self.id}" has kind "{self.kind}"; use memory or probe.')
        if self.split not in get_args(Split):
            raise HillshadeError(
                f'Item "{self.id}" has split "{self.split}"; use choose or report.'
            )
        if not self.prompt_ids:
            raise HillshadeError("The prompt is empty; type at least one word.")
        if not self.truth_ids:
            raise HillshadeError(
                f'Item "{self.id}" has nothing after its prompt; give the text that truly follows.'
            )
        if self.chance is not None and not 0.0 <= self.chance < 1.0:
            raise HillshadeError(
                f'Item "{self.id}" has chance {self.chance}; it must lie from 0 up to below 1.'
            )

    @property
    def length(self) -> int:
        """Tokens of prompt and truth together."""
        return len(self.prompt_ids) + len(self.truth_ids)


def highest_class(items: Iterable[Item]) -> tuple[str, int | None]:
    """Group and repeat count of the strings shown most often: the class settings are judged by.

    Of several groups with the same count the one with most strings; an unknown count (None) comes
    after every known one. Raises HillshadeError where nothing was repeated.
    """
    sizes = Counter(
        (item.repeats, item.group) for item in items if item.kind == "memory" and item.repeats != 0
    )
    if not sizes:
        raise HillshadeError(
            "No item was repeated in training; a sweep needs memorized strings with repeat counts."
        )
    repeats, group = max(sizes, key=lambda key: (key[0] or 0, sizes[key], key[1]))
    return group, repeats
