"""A study with the model it was made of: what `edit`, `slice` and `audit` begin with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import HillshadeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.edit import Editor
    from core.items import Item
    from core.model import Processor
    from core.preparation import Preparation
    from core.projection import Projection
    from core.study import Study


@dataclass(frozen=True)
class Opened:
    """A study, its model, what lies beside it, and the projections that its recipes touch."""

    study: Study
    model: PreTrainedModel
    processor: Processor
    projections: tuple[Projection, ...]

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """HillshadeError where the study is of images."""
        from transformers import PreTrainedTokenizerBase

        if isinstance(self.processor, PreTrainedTokenizerBase):
            return self.processor
        raise HillshadeError(
            f"{self.study.path} is a study of an image classifier, which reads no text; name one "
            "of a language model."
        )

    @property
    def preparation(self) -> Preparation:
        """How images are prepared; HillshadeError where the study is of texts."""
        from core.preparation import Preparation

        if isinstance(self.processor, Preparation):
            return self.processor
        raise HillshadeError(f"{self.study.path} is a study of a language model; give it texts.")


def open_study(folder: Path, recipe_id: str | None = None) -> Opened:
    """Open a study with its model; HillshadeError for another model, or a recipe it has not."""
    from core.model import load_model, load_processor, source_of
    from core.projection import named
    from core.study import Study

    study = Study.open(folder)
    if recipe_id is not None:
        study.manifest.recipe(recipe_id)  # before the model is read
    source = source_of(study)
    model = load_model(source)
    study = Study.open(folder, model)  # refuses weights other than the study's
    projections = named(model, {name for r in study.recipes for name in r.projections})
    return Opened(study, model, load_processor(source, model), projections)


def editor_of(opened: Opened, recipe_id: str, *, pooled: bool = False) -> Editor[PreTrainedModel]:
    """The editor of a stored recipe, of its first seed where it draws.

    `pooled` asks for one cut-off for all projections where the recipe has one for each.
    """
    from core.edit import Editor
    from core.methods import IN_BASIS

    stored = opened.study.manifest.recipe(recipe_id)
    wanted = tuple(p for p in opened.projections if p.name in stored.projections)
    seed = stored.seeds[0] if stored.seeds else 0
    bases = opened.study.bases(recipe_id) if stored.method in IN_BASIS else None
    return Editor(opened.model, bases, wanted, stored.method, seed, pooled=pooled or stored.pooled)


def strings_of(opened: Opened, file: Path | None, json_: bool = False) -> list[Item]:
    """The strings to tell of: those of a file, else of the study's reporting half, to report all.

    Of the study's only the class repeated most often, by which settings are judged. Of a file those
    are left out, and their number is said, on which the study chose its settings. HillshadeError
    where none is left.
    """
    from core.commands.progress import notice
    from core.errors import HillshadeError
    from core.items import highest_class
    from core.strings import read_strings

    items = [item for item in opened.study.item_list() if item.kind == "memory"]
    if file is not None:
        seen = {(i.prompt_ids, i.truth_ids) for i in items if i.split == "choose"}
        read = read_strings(file, opened.tokenizer, opened.study.manifest.seed)
        # Halves that the file draws mean nothing here: nothing is chosen on it.
        kept = [replace(i, split="report") for i in read if (i.prompt_ids, i.truth_ids) not in seen]
        if left_out := len(read) - len(kept):
            sentence = (
                f"{left_out} of {len(read)} strings in {file} are left out: the settings of "
                f"{opened.study.path} were chosen on them."
            )
            if not kept:
                raise HillshadeError(f"{sentence} Give others, or leave out --strings.")
            notice(sentence, json_)
        return kept
    if not items:
        return []
    top = highest_class(items)
    return [i for i in items if i.split == "report" and (i.group, i.repeats) == top]
