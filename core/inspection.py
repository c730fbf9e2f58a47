"""What a study folder holds, and whether it can be believed, line by line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.errors import HillshadeError, StudyError
from core.manifest import HEAVY, REQUIRED, TABLES, Manifest, check_file, require_folder
from core.study import Study


@dataclass(frozen=True)
class Check:
    """One line of the report: what was looked at, whether it is fit, and what was found."""

    name: str
    ok: bool
    said: str


def inspection(folder: str | Path, *, weights: bool = True) -> tuple[Check, ...]:
    """Everything that `Study.open` checks and more, without stopping at the first fault.

    The folder, the manifest, every file (the light part by sha256, the heavy part by length), the
    tables' columns, that recipes fit the tables, the spectra and the eigenvectors, and, with
    `weights` where the model is at hand, that its weights are the study's. Raises nothing for an
    unfit study. Reading the weights takes as long as loading the model.
    """
    path = Path(folder)
    try:
        require_folder(path)
        manifest = Manifest.read(path)
    except StudyError as error:
        return (Check("study.json", False, str(error)),)
    checks = [Check("study.json", True, f"format {manifest.schema_version}, complete")]
    for name in dict.fromkeys((*REQUIRED, *manifest.files)):
        checks.append(_check("file", partial(_file, path, manifest, name)))
    if all(check.ok for check in checks):
        study = Study(path, manifest)
        checks.append(_check("tables", lambda: _tables(study)))
        checks.append(_check("recipes", lambda: _recipes(study)))
        if study.has_heavy:
            checks.append(_check("basis", lambda: _basis(study)))
        if weights:
            checks.append(_check("weights", lambda: _weights(study)))
    return tuple(checks)


def _near(path: Path) -> Path:
    """The path from where the program was started, for a folder inside; else as it is."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def holdings(study: Study) -> list[tuple[str, str]]:
    """Provenance, counts, convention, size and recipes of a study, as (name, value) lines."""
    manifest = study.manifest
    model = manifest.model
    planted = "none" if manifest.planted_share is None else f"{manifest.planted_share:.2%}"
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    lines = [
        (
            "study",
            f"{_near(study.path)}, format {manifest.schema_version}, made {manifest.created}",
        ),
        ("model", f"{model.id}, {model.architecture}, {model.parameters:,} weights"),
        (
            "factors",
            f"{manifest.labels} labels, seed {manifest.seed}, planted text {planted}, "
            f"{'scale unknown' if manifest.scale == 'unknown' else 'summed loss'}",
        ),
        ("counts", "; ".join(f"{count:,} {name}" for name, count in manifest.counts.items())),
        ("convention", manifest.convention),
        ("items", f"{len(study.items):,} {_asked(study)}"),
        ("versions", versions),
        ("command", manifest.command),
        ("size", f"{size_on_disk(study.path) / 1e6:.2f} MB"),
    ]
    for recipe in study.recipes:
        best = "" if recipe.chosen is None else f", chosen {recipe.ticks[recipe.chosen]:.5g}"
        layers = ", ".join(map(str, recipe.layers))
        lines.append(
            (
                "recipe",
                f"{recipe.id}: layers {layers}, {' + '.join(recipe.kinds)}, "
                f"{len(recipe.ticks)} settings of {recipe.axis.label}{best}",
            )
        )
    return lines


def _asked(study: Study) -> str:
    return "strings and questions" if study.pictures is None else "images"


def size_on_disk(folder: Path) -> int:
    """Bytes of all files in a study folder."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except HillshadeError as error:
        return Check(name, False, str(error))


def _file(path: Path, manifest: Manifest, name: str) -> str:
    if not check_file(path, manifest, name):
        return f"{name}, not copied along: stored results can be shown, live edits need it"
    how = "of full length" if name in HEAVY else "unchanged"
    return f"{name}, {manifest.files[name].bytes / 1e6:.2f} MB, {how}"


def _tables(study: Study) -> str:
    return ", ".join(f"{len(getattr(study, name)):,} {name}" for name in TABLES)


def _recipes(study: Study) -> str:
    spectra = study.spectra()
    ticks = study.points.groupby("recipe", observed=True)["tick"].nunique()
    for recipe in study.recipes:
        if unknown := [name for name in recipe.projections if name not in spectra]:
            raise StudyError(
                f'The recipe "{recipe.id}" edits {unknown[0]}, of which no spectrum is stored; '
                "make the study again."
            )
        if int(ticks.get(recipe.id, 0)) != len(recipe.ticks):
            raise StudyError(
                f'The recipe "{recipe.id}" has {len(recipe.ticks)} settings and '
                f"{int(ticks.get(recipe.id, 0))} are measured; make the study again."
            )
    return f"{len(study.recipes)}, every setting measured"


def _basis(study: Study) -> str:
    """Eigenvectors are checked by length only; here, that the edits' spectra are theirs."""
    spectra = study.spectra()
    for recipe in study.recipes:
        if recipe.planted_share not in (None, study.manifest.planted_share):
            continue  # their bases are made from the factors when they are asked for
        for name, basis in study.bases(recipe.id).items():
            lam, mu = spectra[name]
            if not ((basis.lam == lam).all() and (basis.mu == mu).all()):
                raise StudyError(
                    f"The eigenvectors of {name} belong to another spectrum; copy the study again."
                )
    return "eigenvectors belong to the spectra"


def _weights(study: Study) -> str:
    from core.model import load_model, source_of

    source = source_of(study)
    if not Path(source).is_dir():
        return f"not compared: {source} is not here"
    Study.open(study.path, load_model(source))
    return f"those in {source}"
