"""Edits for other programs: the edited model as a folder, a recipe in the paper's own format.

The folder is an ordinary one of transformers (safetensors, config, tokenizer or
preprocessor_config.json), which ``AutoModelForCausalLM.from_pretrained`` or
``AutoModelForImageClassification.from_pretrained`` opens, and of a language model so does an
evaluation harness (``lm_eval --model hf --model_args pretrained=FOLDER``).

`layers_json` writes what the paper's scripts (goodfire-ai/memorization_kfac,
evaluations/eval_mem_kfac.py) take as ``--layers-json`` or, in a file, ``--layers-file``:

    {"23": {"gate": 0.6, "up": 0.6}, "24": {…}}      layer -> map -> curvature mass kept

Factors, and so eigenvectors, are then those that these scripts have collected themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import HillshadeError
from core.pairset import PairSet
from core.places import scratch, writing
from core.projection import Projection
from core.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from core.model import Processor

UNTOUCHED = 0.9999  # from this mass on the paper's script leaves a map as it is


def save_model(model: PreTrainedModel, processor: Processor, folder: str | Path) -> None:
    """Write model and processor beside `folder`, then rename: nothing half-written lies there.

    Weights keep their dtype, so the logits of what is read back are the model's own.
    Raises HillshadeError where `folder` exists or cannot be written.
    """
    folder = Path(folder)
    if folder.exists():
        raise HillshadeError(f"{folder} already exists; name a folder that does not.")
    with writing(folder), scratch(folder) as beside:
        part = beside / folder.name
        model.save_pretrained(part)
        processor.save_pretrained(part)
        part.rename(folder)


def layers_json(
    recipe: Recipe, kept: Mapping[str, PairSet], projections: Sequence[Projection]
) -> str:
    """The K-FAC recipe as the paper's ``layers-json``; `kept` is `Editor.kept` at its setting.

    A recipe by mass is written with its own mass. One by number of pairs or with one cut-off for
    all is written with the mass of each projection's kept set, less half of its last pair: "the
    fewest pairs that reach it" are then that very set, whichever way the sum is rounded.
    Raises HillshadeError for what the format cannot say: other methods, a band, a soft edit, other
    model families, and masses from .9999 on, which the script takes for no edit.
    """
    if recipe.method != "kfac" or recipe.until < 1.0 or recipe.strength < 1.0:
        raise HillshadeError(
            "The paper's layers-json knows only a curvature mass per map, cut at full strength; "
            "export a K-FAC recipe without a band, or export the edited model."
        )
    by_name = {projection.name: projection for projection in projections}
    layers: dict[str, dict[str, float]] = {}
    for name in recipe.projections:
        projection, chosen = by_name[name], kept[name]
        if name != f"model.layers.{projection.layer}.mlp.{projection.kind}_proj":
            raise HillshadeError(
                f"The paper's scripts read gate, up and down of model.layers.N.mlp and do not know "
                f"{name}; export the edited model instead."
            )
        own = recipe.by_count or recipe.pooled
        mass = max(chosen.mass - chosen.step / 2, 0.0) if own else recipe.setting
        mass = 1.0 if chosen.whole else mass
        if UNTOUCHED <= mass < 1.0:
            raise HillshadeError(
                f"{name} keeps a mass of {mass:.6g}, and the paper's script leaves a map of "
                f"{UNTOUCHED} or more unedited; export the edited model instead."
            )
        layers.setdefault(str(projection.layer), {})[projection.kind] = mass
    return json.dumps(layers)
