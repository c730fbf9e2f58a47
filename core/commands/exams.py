"""What `hillshade sweep` asks: strings, probes and fresh text, or images; a study's or others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import HillshadeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.exam import Exam
    from core.image_exam import ImageExam
    from core.items import Item
    from core.model import Processor
    from core.preparation import Preparation
    from core.study import Study


@dataclass(frozen=True)
class Wanted:
    """The options of a sweep that say what is asked; what is None is the study's own."""

    strings: Path | None
    probes: Path | None
    fresh: Path | None
    context: int | None
    images: Path | None
    labels: Path | None

    def exam(
        self, study: Study | None, model: PreTrainedModel, processor: Processor, seed: int
    ) -> Exam | ImageExam:
        """The exam that suits the model.

        Raises HillshadeError for options of the other kind of model, and where nothing memorized is
        known.
        """
        from core.preparation import Preparation

        if isinstance(processor, Preparation):
            return self._of_images(study, model, processor, seed)
        return self._of_texts(study, model, processor, seed)

    def _of_images(
        self, study: Study | None, model: PreTrainedModel, preparation: Preparation, seed: int
    ) -> ImageExam:
        from core.image_exam import ImageExam
        from core.imagedata import asked_of

        require_none(
            "texts",
            strings=self.strings,
            probes=self.probes,
            fresh=self.fresh,
            context=self.context,
        )
        asked = asked_of(self.images, self.labels, study, model, preparation, seed)
        exam = ImageExam(tuple(asked))
        exam.require_wrong()
        return exam

    def _of_texts(
        self, study: Study | None, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase,
        seed: int,
    ) -> Exam:  # fmt: skip
        from core.exam import Exam
        from core.fresh import fresh_of

        require_none("images", images=self.images, labels=self.labels)
        items = self._items(study, tokenizer, seed)
        choose, report = fresh_of(self.fresh, study, model, tokenizer, seed, self.context)
        return Exam(tuple(items), tuple(choose), tuple(report))

    def _items(
        self, study: Study | None, tokenizer: PreTrainedTokenizerBase, seed: int
    ) -> list[Item]:
        from core.questions import read_probes
        from core.strings import read_strings

        items: list[Item] = []
        if self.strings is not None:
            items = read_strings(self.strings, tokenizer, seed)
        elif study is not None:
            items = list(study.item_list())
        if not any(item.kind == "memory" for item in items):
            raise HillshadeError("No memorized strings are known here; give --strings FILE.")
        if self.probes is not None:
            items = [item for item in items if item.kind == "memory"]
            items += read_probes(self.probes, tokenizer, seed)
        return items


def require_none(kind: str, **given: object) -> None:
    """HillshadeError where an option of the other `kind` of data is given."""
    for name, value in given.items():
        if value is not None:
            other = "an image classifier" if kind == "texts" else "a language model"
            raise HillshadeError(f"The model is {other}, which has no use for --{name}.")
