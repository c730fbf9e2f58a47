"""Methods compared where they cost the same: at equal fresh-text perplexity, never at equal ρ.

Each method is cut, on its own axis, until perplexity on the choosing half of fresh text is
(1 + rise) × the original's (`core.sweep.at_cost`), and then answers the whole exam. Give
every method its own layers, chosen on the choosing half (`core.choose`), and several seeds where it
draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel

from core.edit import Editor, EditReport
from core.exam import Answers, Exam
from core.intervals import Estimate
from core.measures import ratio
from core.sweep import PRECISION, at_cost


@dataclass(frozen=True)
class Matched:
    """One method at the setting that meets the tolerated perplexity.

    setting  on the method's own axis; None where none raises perplexity that far
    reached  whether perplexity is met to 0.1 %; a method that moves in jumps may miss it
    choose, report  perplexity / the original's on either half of fresh text, one a seed
    edits, answers  what was kept and what was answered, one a seed
    """

    method: str
    rise: float
    setting: float | None
    reached: bool
    choose: tuple[Estimate, ...]
    report: tuple[Estimate, ...]
    edits: tuple[EditReport, ...]
    answers: tuple[Answers, ...]


def at_equal_perplexity(
    editors: Mapping[str, Sequence[Editor[PreTrainedModel]]],
    exam: Exam,
    original: Answers,
    rise: float,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Matched, ...]:
    """Every method at (1 + rise) × the original's perplexity, in the order given.

    editors   by a name of one's own; several for one method are its seeds and share one setting
    original  answers of the unedited model to the same exam
    `progress(done, total)` counts methods and may raise to cancel.
    Raises HillshadeError for a rise that is none (see `at_cost`).
    """
    found: list[Matched] = []
    for name, seeds in editors.items():
        found.append(_matched(name, seeds, exam, original, rise))
        if progress is not None:
            progress(len(found), len(editors))
    return tuple(found)


def _matched(
    name: str,
    seeds: Sequence[Editor[PreTrainedModel]],
    exam: Exam,
    original: Answers,
    rise: float,
) -> Matched:
    setting = at_cost(seeds, exam, original, rise)
    if setting is None:
        return Matched(name, rise, None, False, (), (), (), ())
    cuts = [editor.at(setting) for editor in seeds]
    answers = tuple(exam.ask(model) for model, _ in cuts)
    choose = tuple(ratio(original.choose, answer.choose) for answer in answers)
    mean = sum(math.log(estimate.value) for estimate in choose) / len(choose)
    return Matched(
        method=name,
        rise=rise,
        setting=setting,
        reached=abs(math.expm1(mean - math.log1p(rise))) <= PRECISION,
        choose=choose,
        report=tuple(ratio(original.report, answer.report) for answer in answers),
        edits=tuple(report for _, report in cuts),
        answers=answers,
    )
