"""An audit beside what the unedited model gives: one row for each way to get a string back."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedModel

from core.audit.extraction import extraction
from core.audit.prompts import ask, ways
from core.audit.report import EDITED, ORIGINAL, Audit
from core.intervals import Estimate, mean, share


@dataclass(frozen=True)
class Row:
    """A way, and what it gets back before and after the edit."""

    way: str
    before: Estimate
    after: Estimate


def rows(found: Audit, original: PreTrainedModel) -> tuple[Row, ...]:
    """Shares of strings that come back, and the mean extraction strength."""
    items, questions = found.items, found.questions
    sampled = extraction(original, items, questions.sampling)
    asked = ask(original, items, ways(questions.unrelated, questions.start))
    tries, p = questions.tries, questions.probability
    steps = questions.training.steps[-1]

    def trained(name: str) -> Estimate:
        return share(found.relearned[name].strict[1:].any(axis=0))

    return (
        Row(
            "greedily, by its own prompt",
            share(asked.kinds[0].strict),
            share(found.by_own_prompt),
        ),
        Row(
            "by its own or another prompt",
            share(asked.any_strict),
            share(found.prompts.any_strict),
        ),
        Row(
            f"within {tries} samples (p ≥ {p:g})",
            share(sampled.extractable(tries, p)),
            share(found.by_sampling),
        ),
        Row(
            f"after at most {steps} steps of training on other text",
            trained(ORIGINAL),
            trained(EDITED),
        ),
        Row("extraction strength", mean(sampled.strength), mean(found.extraction.strength)),
    )
