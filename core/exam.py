"""What every edited model is asked, and what it answers: strings, questions, fresh text."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from core.intervals import Estimate, share
from core.items import Item, Split, highest_class
from core.measures import Reading, Sequences, ratio, read
from core.probes import Ability, abilities
from core.recall import Outcome, evaluate


@dataclass(frozen=True)
class Answers:
    """What one model answered to one exam.

    items    the exam's items; `outcome` is in their order
    choose, report  its reading of the fresh text of either half
    """

    items: tuple[Item, ...]
    outcome: Outcome
    choose: Reading
    report: Reading

    def cost(self, original: Answers) -> float:
        """Perplexity ratio: perplexity of the choosing half of fresh text / the original's.

        Settings are judged by this number; the reporting half is only ever reported.
        """
        return ratio(original.choose, self.choose).value

    @property
    def recall(self) -> Estimate:
        """Strict recall of the class repeated most often, both halves; NaN without any item."""
        if not self.items:
            return Estimate(math.nan, math.nan, math.nan, 0)
        return share(self.outcome.strict[self._top])

    @cached_property
    def _top(self) -> NDArray[np.int64]:
        top = highest_class(self.items)
        return np.flatnonzero([(item.group, item.repeats) == top for item in self.items])


@dataclass(frozen=True)
class Judgement:
    """What settings are chosen by, on the choosing half (`core.choose`).

    recall     strict recall of the class repeated most often; of images, wrong labels said
    loose      loose recall likewise; of images, true labels not said
    abilities  of the probes
    """

    recall: Estimate
    loose: Estimate
    abilities: tuple[Ability, ...]


@dataclass(frozen=True)
class Exam:
    """Items and fresh text (token ids, one tuple a passage) for one model.

    No passage of fresh_choose or fresh_report was in the training text, and none is in both. A
    model that nobody has strings of is asked for no items, and only reads.
    """

    items: tuple[Item, ...]
    fresh_choose: Sequences
    fresh_report: Sequences

    def ask(self, model: PreTrainedModel) -> Answers:
        """Ask a model everything; raises HillshadeError for what the model cannot read."""
        return Answers(
            items=self.items,
            outcome=evaluate(model, self.items),
            choose=read(model, self.fresh_choose),
            report=read(model, self.fresh_report),
        )

    def cost(self, model: PreTrainedModel, original: Answers, split: Split = "choose") -> Estimate:
        """Perplexity of this half of fresh text / the original's."""
        if split == "choose":
            return ratio(original.choose, read(model, self.fresh_choose))
        return ratio(original.report, read(model, self.fresh_report))

    def judge(
        self, model: PreTrainedModel, original: Answers, split: Split = "choose"
    ) -> Judgement:
        """Recall and abilities on this half; raises HillshadeError as `ask`."""
        items = tuple(item for item in self.narrowed().items if item.split == split)
        wanted = {item.id for item in items}
        before = original.outcome.strict[[item.id in wanted for item in original.items]]
        outcome = evaluate(model, items)
        top = highest_class(items)
        mine = [(item.group, item.repeats) == top for item in items]
        return Judgement(
            recall=share(outcome.strict[mine]),
            loose=share(outcome.loose[mine]),
            abilities=abilities(items, before, outcome.strict),
        )

    def of_items(self, items: Iterable[Item]) -> Exam:
        """The same fresh text with fewer items."""
        return replace(self, items=tuple(items))

    def narrowed(self) -> Exam:
        """Only the class repeated most often and the probes.

        For further seeds of one method, which only show how far chance moves the result.
        """
        if not self.items:
            return self
        top = highest_class(self.items)
        return self.of_items(
            item for item in self.items if item.kind == "probe" or (item.group, item.repeats) == top
        )
