"""The shipped model's single examples, one by one: the content of examples.json."""

from collections.abc import Sequence
from typing import Any

from core.curvature.portraits import portraits, subjects_of
from core.demo.laboratory import Laboratory


def portraits_of(laboratory: Laboratory) -> dict[str, Any]:
    """Portraits of strings, fresh texts and probes of the reporting half."""
    exam = laboratory.exam

    def decode(ids: Sequence[int]) -> str:
        return str(laboratory.tokenizer.decode(list(ids), skip_special_tokens=True))

    subjects = subjects_of(
        [item for item in exam.items if item.kind == "memory"],
        exam.fresh_report,
        [item for item in exam.items if item.kind == "probe"],
        decode,
    )
    with laboratory.parts.part("portraits of single examples") as show:
        return portraits(laboratory.model, laboratory.bases, subjects, progress=show)
