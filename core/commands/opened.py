"""A study with the model it was made of: what `edit`, `slice` and `audit` begin with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.edit import Editor
    from core.items import Item
    from core.projection import Projection
    from core.study import Study


@dataclass(frozen=True)
class Opened:
    """A study, its model and tokenizer, and the projections that its recipes touch."""

    study: Study
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    projections: tuple[Projection, ...]


def open_study(folder: Path, recipe_id: str | None = None) -> Opened:
    """Open a study with its model; HillshadeError for another model, or a recipe it has not."""
    from core.model import load_model, load_tokenizer, source_of
    from core.projection import named
    from core.study import Study

    study = Study.open(folder)
    if recipe_id is not None:
        study.manifest.recipe(recipe_id)  # before the model is read
    source = source_of(study)
    model = load_model(source)
    study = Study.open(folder, model)  # refuses weights other than the study's
    projections = named(model, {name for r in study.recipes for name in r.projections})
    return Opened(study, model, load_tokenizer(source), projections)


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


def strings_of(opened: Opened, file: Path | None) -> list[Item]:
    """The strings to tell of: all of a file, else those of the study's reporting half.

    Of the study's only the class repeated most often, by which settings are judged.
    """
    from core.items import highest_class
    from core.strings import read_strings

    if file is not None:
        return read_strings(file, opened.tokenizer, opened.study.manifest.seed)
    items = [item for item in opened.study.item_list() if item.kind == "memory"]
    if not items:
        return []
    top = highest_class(items)
    return [i for i in items if i.split == "report" and (i.group, i.repeats) == top]
