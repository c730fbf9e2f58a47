"""`hillshade edit`: the study's model at one threshold, or by a saved recipe, as a new folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import HillshadeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from core.basis import Basis
    from core.edit import EditReport
    from core.pairset import PairSet
    from core.projection import Projection
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
    json_: Annotated[bool, typer.Option("--json", help="A line of JSON, for scripts.")] = False,
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
    from core.model import load_model, load_tokenizer, source_of
    from core.projection import named
    from core.recipe import load_recipe
    from core.recipe import save_recipe as write_recipe
    from core.study import Study

    saved = None if file is None else load_recipe(file)
    opened = Study.open(study)
    if saved is None:
        opened.manifest.recipe(recipe)  # refuses a name that the study does not hold
    source = source_of(opened)
    model = load_model(source)
    opened = Study.open(study, model)  # refuses weights other than the study's
    projections = named(model, {name for r in opened.recipes for name in r.projections})
    if saved is None:
        assert mass is not None
        numbers = mass, 1.0 if until is None else until, 1.0 if strength is None else strength
        made = _stored(opened, model, projections, recipe, numbers, pooled)
    else:
        made = _saved(opened, model, *saved)
    layers = export.layers_json(made.recipe, made.kept, projections) if layers_json else ""
    try:
        if save_recipe:
            write_recipe(save_recipe, made.recipe, made.kept)
        if layers_json:
            layers_json.write_text(layers + "\n", encoding="utf-8")
    except OSError as error:
        raise HillshadeError(
            f"{error.filename} cannot be written ({error.strerror}); choose another place."
        ) from error
    export.save_model(made.model, load_tokenizer(source), save)
    typer.echo(json.dumps(_as_dict(made.report, save)) if json_ else made.report)


def _require_places(save: Path, save_recipe: Path | None, layers_json: Path | None) -> None:
    """Refuse what could not be written, before the model is loaded."""
    if save.exists():
        raise HillshadeError(f"{save} already exists; name a folder that does not.")
    if save_recipe is not None and save_recipe.suffix != ".json":
        raise HillshadeError(f"A recipe is a JSON file; name {save_recipe} with the ending .json.")
    for path in filter(None, (save_recipe, layers_json)):
        if not path.resolve().parent.is_dir():
            raise HillshadeError(f"There is no folder {path.parent}; make it, or write elsewhere.")


def _stored(
    study: Study,
    model: PreTrainedModel,
    projections: tuple[Projection, ...],
    recipe_id: str,
    numbers: tuple[float, float, float],
    pooled: bool,
) -> _Made:
    """A stored recipe of the study at (mass, until, strength)."""
    from core.edit import Editor
    from core.methods import IN_BASIS

    stored = study.manifest.recipe(recipe_id)
    wanted = tuple(p for p in projections if p.name in stored.projections)
    seed = stored.seeds[0] if stored.seeds else 0
    bases = study.bases(recipe_id) if stored.method in IN_BASIS else None
    editor = Editor(model, bases, wanted, stored.method, seed, pooled=pooled)
    edited, report = editor.at(*numbers)
    return _Made(edited, editor.recipe(*numbers), editor.kept(*numbers[:2]), report)


def _saved(
    study: Study, model: PreTrainedModel, recipe: Recipe, kept: Mapping[str, PairSet]
) -> _Made:
    """A recipe from a file, in the bases of this study that it was made in."""
    from core.edit import apply

    edited, report = apply(model, recipe, _bases_of(study, recipe), kept=kept)
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
