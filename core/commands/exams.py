"""What `hillshade sweep` asks: strings, probes and fresh text, or images; a study's or others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import HillshadeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.exam import Exam
    from core.image_exam import ImageExam
    from core.items import Item
    from core.preparation import Preparation
    from core.study import Study


def text_exam(
    study: Study | None,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    *,
    strings: Path | None,
    probes: Path | None,
    fresh: Path | None,
    context: int | None,
    **images: object,
) -> Exam:
    """Strings and fresh text of files, else the study's; HillshadeError where none are known."""
    from core.exam import Exam
    from core.fresh import fresh_of

    require_none("images", **images)
    items = _items(study, strings, probes, tokenizer, seed)
    choose, report = fresh_of(fresh, study, model, tokenizer, seed, context)
    return Exam(tuple(items), tuple(choose), tuple(report))


def image_exam(
    study: Study | None,
    model: PreTrainedModel,
    preparation: Preparation,
    seed: int,
    *,
    images: Path | None,
    labels: Path | None,
    **texts: object,
) -> ImageExam:
    """The same of a classifier: the images of a folder, else those that the study asked."""
    from core.image_exam import ImageExam
    from core.imagedata import asked_of

    require_none("texts", **texts)
    exam = ImageExam(tuple(asked_of(images, labels, study, model, preparation, seed)))
    exam.require_wrong()
    return exam


def require_none(kind: str, **given: object) -> None:
    """HillshadeError where an option of the other `kind` of data is given."""
    for name, value in given.items():
        if value is not None:
            other = "an image classifier" if kind == "texts" else "a language model"
            raise HillshadeError(f"The model is {other}, which has no use for --{name}.")


def _items(
    study: Study | None,
    strings: Path | None,
    probes: Path | None,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
) -> list[Item]:
    from core.questions import read_probes
    from core.strings import read_strings

    items: list[Item] = []
    if strings is not None:
        items = read_strings(strings, tokenizer, seed)
    elif study is not None:
        items = list(study.item_list())
    if not any(item.kind == "memory" for item in items):
        raise HillshadeError("No memorized strings are known here; give --strings FILE.")
    if probes is not None:
        items = [item for item in items if item.kind == "memory"]
        items += read_probes(probes, tokenizer, seed)
    return items
