"""`hillshade edit`: the study's model at one threshold, or by a saved recipe, as a new folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.commands.collect import Json
from core.commands.opened import editor_of, open_study
from core.commands.progress import say
from core.errors import HillshadeError
from core.places import require_new_file, write_text, writing

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from core.basis import Basis
    from core.commands.opened import Opened
    from core.edit import EditReport
    from core.pairset import PairSet
    from core.recipe import Recipe
    from core.study import Study

DEFAULT = "kfac"


@dataclass(frozen=True)
class _Made:
    """An edited model with the recipe that makes it, the pairs kept, and what was left."""

    model: PreTrainedModel
    recipe: Recipe
    kept: Mapping[str, PairSet]
    report: EditReport


def edit(
    study: Annotated[Path, typer.Argument(help="Study folder, with its eigenvectors.")],
    save: Annotated[Path, typer.Option(help="New folder for the edited transformers model.")],
    mass: Annotated[
        float | None, typer.Option(help="Curvature mass (svd, magnitude: share) kept, 0 to 1.")
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(help="A stored recipe, `check` lists them; or the .json of a saved one."),
    ] = DEFAULT,
    until: Annotated[
        float | None, typer.Option(help="Cut only up to this mass; what comes after stays.")
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="Of the edit: 0 leaves the weights, 1 cuts.")
    ] = None,
    pooled: Annotated[
        bool, typer.Option("--pooled", help="One cut-off for all projections together.")
    ] = False,
    save_recipe: Annotated[
        Path | None, typer.Option(help="Also write the recipe and its kept pairs (.json).")
    ] = None,
    layers_json: Annotated[
        Path | None, typer.Option(help="Also write the masses for the paper's own scripts.")
    ] = None,
    json_: Json = False,
) -> None:
    """Edit the study's model at one threshold and save it as an ordinary transformers model.

    A recipe saved by --save-recipe is read back by --recipe FILE.json and makes the same weights.
    """
    _require_places(save, save_recipe, layers_json)
    file = Path(recipe) if recipe.endswith(".json") else None
    if file is None and mass is None:
        raise HillshadeError(
            "How much shall stay? Give --mass, such as .99, or a saved recipe, --recipe cut.json."
        )
    if file is not None and (mass, until, strength, pooled) != (None, None, None, False):
        raise HillshadeError(
            f"{file} says itself what it keeps; leave out --mass, --until, --strength and --pooled."
        )
    from core import export
    from core.recipe import load_recipe
    from core.recipe import save_recipe as write_recipe

    saved = None if file is None else load_recipe(file)
    opened = open_study(study, None if file else recipe)
    if saved is None:
        assert mass is not None
        numbers = mass, 1.0 if until is None else until, 1.0 if strength is None else strength
        made = _stored(opened, recipe, numbers, pooled)
    else:
        made = _saved(opened, *saved)
    layers = export.layers_json(made.recipe, made.kept, opened.projections) if layers_json else ""
    if save_recipe:
        with writing(save_recipe):
            write_recipe(save_recipe, made.recipe, made.kept)
    if layers_json:
        write_text(layers_json, layers + "\n")
    export.save_model(made.model, opened.processor, save)
    if json_:
        say(**_as_dict(made.report, save))
    else:
        typer.echo(made.report)


def _require_places(save: Path, save_recipe: Path | None, layers_json: Path | None) -> None:
    """Refuse what could not be written, before the model is loaded."""
    if save.exists():
        raise HillshadeError(f"{save} already exists; name a folder that does not.")
    for path in filter(None, (save_recipe, layers_json)):
        require_new_file(path, ".json")
    if save_recipe is not None:
        require_new_file(save_recipe.with_suffix(".safetensors"), ".safetensors")


def _stored(
    opened: Opened, recipe_id: str, numbers: tuple[float, float, float], pooled: bool
) -> _Made:
    """A stored recipe of the study at (mass, until, strength)."""
    editor = editor_of(opened, recipe_id, pooled=pooled)
    edited, report = editor.at(*numbers)
    return _Made(edited, editor.recipe(*numbers), editor.kept(*numbers[:2]), report)


def _saved(opened: Opened, recipe: Recipe, kept: Mapping[str, PairSet]) -> _Made:
    """A recipe from a file, in the bases of this study that it was made in."""
    from core.edit import apply

    edited, report = apply(opened.model, recipe, _bases_of(opened.study, recipe), kept=kept)
    return _Made(edited, recipe, kept, report)


def _bases_of(study: Study, recipe: Recipe) -> dict[str, Basis] | None:
    """Those among the study's bases that the recipe names; None where it names none.

    A study holds one set of bases for each planted share of its recipes. Where none fits, any is
    given back: applying the recipe then refuses it and says why.
    """
    from core.edit import bases_digest

    if recipe.basis_digest is None:
        return None
    found: dict[str, Basis] = {}
    shares: set[float | None] = set()
    for stored in study.recipes:
        if stored.planted_share in shares or not set(recipe.projections) <= set(stored.projections):
            continue
        shares.add(stored.planted_share)
        found = study.bases(stored.id)
        if bases_digest(found[name] for name in recipe.projections) == recipe.basis_digest:
            return found
    return found


def _as_dict(report: EditReport, save: Path) -> dict[str, Any]:
    """The report as other programs read it; shares are of all edited projections."""
    return {
        "saved": str(save.resolve()),
        "method": report.method,
        "setting": report.setting,
        "until": report.until,
        "strength": report.strength,
        "directions_kept": report.directions_kept,
        "directions_total": report.directions_total,
        "weight_kept": report.weight_kept,
        "projections": [part.name for part in report.projections],
    }
