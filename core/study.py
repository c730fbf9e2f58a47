"""A study: a folder with everything the pages show, made once and read many times.

    with StudyWriter(path) as writer:              # writes into "<path>.part"
        writer.items(items)                            # or images(images, labels, pictures)
        writer.table("points", points)             # and "scores", "outputs"
        writer.spectra({name: (lam, mu)})
        writer.document("training.json", {...})    # optional, as are the other documents
        bases_file = writer.heavy("basis.safetensors")   # optional: a path to write to
        writer.finish(manifest)                    # digests, then one rename

    study = Study.open(path, model)                # every check happens here

safetensors, JSON and parquet only. Before `finish` returns nothing lies at `path`; a folder that
is half-written, cut short, changed, of another format or of another model is refused by `open`.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import nn

from core.basis import Basis, KeptSet, Staircase, bases, load_bases
from core.errors import StudyError
from core.factors import Factors
from core.images import Image
from core.items import Item
from core.manifest import (
    DOCUMENTS,
    FILES,
    HEAVY,
    MANIFEST,
    PICTURES,
    TABLES,
    Axis,
    Manifest,
    ModelCard,
    StoredRecipe,
    check_files,
    digest_of,
    read_json,
    require_folder,
)
from core.pictures import Pictures
from core.places import half_written, part_of, replace_folder
from core.projection import weight_digest
from core.ranking import Pool, Product
from core.tables import images_frame, items_frame, items_from_frame, read_table, write_table

__all__ = ["Axis", "Manifest", "ModelCard", "StoredRecipe", "Study", "StudyWriter"]

Spectrum = tuple[NDArray[np.float64], NDArray[np.float64]]


class Study:
    """A study folder, checked and open for reading. Safe to share between threads and sessions.

    Tables are read on first use and kept; every access returns a copy-on-write view, so nobody
    can change what another session sees.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Use `Study.open`, which checks the folder first."""
        self.path = path
        self.manifest = manifest
        self._lock = threading.RLock()
        self._cache: dict[str, Any] = {}

    @classmethod
    def open(cls, path: str | Path, model: nn.Module | None = None) -> Study:
        """Open the study at `path`; with `model`, also make sure it is a study of this model.

        Raises StudyError, with a sentence that says what to do, for a folder that is missing or
        half-written, of an unknown format, with a file missing, cut short or changed, or made of
        other weights.
        """
        path = Path(path)
        require_folder(path)
        manifest = Manifest.read(path)
        check_files(path, manifest)
        if model is not None and weight_digest(model) != manifest.model.weight_digest:
            raise StudyError(
                f'The study in {path} was made of other weights ("{manifest.model.id}"); '
                "open it with its own model, or make a study of this one."
            )
        return cls(path, manifest)

    @property
    def recipes(self) -> tuple[StoredRecipe, ...]:
        """The stored recipes, in the order of the manifest."""
        return self.manifest.recipes

    @property
    def items(self) -> pd.DataFrame:
        """One row an item; columns: core.tables.COLUMNS["items"]."""
        return self._table("items")

    @property
    def points(self) -> pd.DataFrame:
        """One row a recipe, tick and seed: perplexities, directions and weight kept."""
        return self._table("points")

    @property
    def scores(self) -> pd.DataFrame:
        """One row a recipe, tick, seed, split, group, repeat class and measure, with interval."""
        return self._table("scores")

    @property
    def outputs(self) -> pd.DataFrame:
        """One row a recipe, tick and item: the continuation, whether strict, its distance.

        `recipe`, `item` and `output` are pandas categories. Seed 0 only for random and noise.
        """
        return self._table("outputs")

    def item_list(self) -> tuple[Item, ...]:
        """The strings and questions as objects, for asking a model; none in a study of images."""
        return self._once("item_list", lambda: items_from_frame(self.items))

    @property
    def pictures(self) -> Pictures | None:
        """The pictures in the order of `items`, or None: this is no study of images."""
        if not self._has(PICTURES):
            return None
        found: Pictures = self._once("pictures", lambda: Pictures.load(self.path / PICTURES))
        return found

    @property
    def training(self) -> dict[str, Any] | None:
        """The dozen points of the training run, or None where the study has none."""
        return self._document("training.json")

    @property
    def acceptance(self) -> dict[str, Any] | None:
        """The tables of chosen settings on the reporting half, or None."""
        return self._document("acceptance.json")

    @property
    def curvature(self) -> dict[str, Any] | None:
        """What single examples' curvature shows (`core.curvature.findings`), or None."""
        return self._document("curvature.json")

    @property
    def examples(self) -> dict[str, Any] | None:
        """Single examples one by one (`core.curvature.portraits`), or None."""
        return self._document("examples.json")

    @property
    def landscape(self) -> dict[str, Any] | None:
        """Slices of the loss along single directions and over planes (`core.demo.landscape`)."""
        return self._document("landscape.json")

    @property
    def audit(self) -> dict[str, Any] | None:
        """What is left at the chosen setting (`core.audit.report`), or None."""
        return self._document("audit.json")

    def spectra(self) -> dict[str, Spectrum]:
        """Per projection the eigenvalues (λ of G, μ of A), float64, descending, read-only."""
        return dict(self._once("spectra", self._read_spectra))

    def staircase(self, name: str) -> Staircase:
        """Mass, cut-off and count of one projection, exactly."""
        spectra = self.spectra()
        if name not in spectra:
            raise StudyError(f'The study holds no spectrum of "{name}".')
        return self._once(f"staircase {name}", lambda: Staircase(*spectra[name]))

    def kept(self, recipe: StoredRecipe, name: str, setting: float) -> KeptSet:
        """The pairs of one projection that a recipe by curvature keeps at a setting."""
        stairs = self.staircase(name)
        if not recipe.pooled:
            return stairs.kept(setting)
        rankings = [Product.of(self.staircase(one)) for one in recipe.projections]
        key = f"kept {recipe.id} {setting!r}"
        sets = self._once(key, lambda: Pool(rankings).kept(setting))
        return stairs.at_count(sets[recipe.projections.index(name)].count)

    @property
    def has_heavy(self) -> bool:
        """Whether the eigenvectors are here, which live edits need."""
        return self._has("basis.safetensors")

    def bases(self, recipe_id: str) -> dict[str, Basis]:
        """The eigenbases a recipe edits in, by projection.

        A recipe made at another planted share gets its own bases from the exactly mixed factors.
        """
        recipe = self.manifest.recipe(recipe_id)
        if recipe.planted_share in (None, self.manifest.planted_share):
            stored = self._stored_bases()
            return {name: stored[name] for name in recipe.projections}
        return dict(self._once(f"bases {recipe_id}", lambda: self._mixed_bases(recipe)))

    def basis(self, name: str) -> Basis:
        """The eigenbasis of one projection that `spectra` names, edited or not."""
        return self._stored_bases()[name]

    def _stored_bases(self) -> dict[str, Basis]:
        if not self.has_heavy:
            raise StudyError(
                "This study came without its eigenvectors (basis.safetensors); stored results "
                "can be shown, live edits need the whole study."
            )
        found: dict[str, Basis] = self._once(
            "bases", lambda: load_bases(self.path / "basis.safetensors")
        )
        return found

    def factors(self, planted_share: float | None = None) -> Factors:
        """The factor sums; with a share, mixed exactly with those of the planted text."""
        if not self._has("factors.safetensors"):
            raise StudyError(
                "This study came without its factors (factors.safetensors); copy the whole study."
            )
        other = self._once("factors", lambda: Factors.load(self.path / "factors.safetensors"))
        if planted_share is None:
            return other
        if not self._has("factors_planted.safetensors"):
            raise StudyError("This study stores no factors of planted text to mix in.")
        planted = self._once(
            "planted", lambda: Factors.load(self.path / "factors_planted.safetensors")
        )
        return other.mixed(planted, planted_share)

    def _mixed_bases(self, recipe: StoredRecipe) -> dict[str, Basis]:
        factors = self.factors(recipe.planted_share)
        wanted = tuple(p for p in factors.projections if p.name in recipe.projections)
        return bases(factors, wanted)

    def _has(self, name: str) -> bool:
        return name in self.manifest.files and (self.path / name).is_file()

    def _once(self, key: str, make: Any) -> Any:
        """Compute once and keep, also when several threads ask at the same time."""
        with self._lock:
            if key not in self._cache:
                self._cache[key] = make()
            return self._cache[key]

    def _table(self, name: str) -> pd.DataFrame:
        frame = self._once(name, lambda: read_table(name, self.path / f"{name}.parquet"))
        return frame.copy(deep=False)  # pandas copies on write: the kept table never changes

    def _document(self, name: str) -> dict[str, Any] | None:
        return read_json(self.path / name) if self._has(name) else None

    def _read_spectra(self) -> dict[str, Spectrum]:
        arrays = load_file(self.path / "spectra.safetensors")
        for array in arrays.values():
            array.setflags(write=False)
        names = dict.fromkeys(key.rpartition(".")[0] for key in arrays)
        return {name: (arrays[f"{name}.lam"], arrays[f"{name}.mu"]) for name in names}


class StudyWriter:
    """Writes a study beside its place and renames it there; leaving early leaves nothing behind."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._part = part_of(self.path)
        self._writing = half_written(self.path, FILES)
        if self.path.exists() and not (self.path / MANIFEST).is_file():
            raise StudyError(f"{self.path} exists and is no study; choose another place.")

    def __enter__(self) -> StudyWriter:
        self._writing.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writing.__exit__(kind, error, trace)

    def items(self, items: Sequence[Item]) -> None:
        """Store the items; their ids must be unique."""
        if len({item.id for item in items}) != len(items):
            raise StudyError("Two items of the study share one id; give each its own.")
        self.table("items", items_frame(items))

    def images(
        self, images: Sequence[Image], labels: Mapping[int, str], pictures: Pictures
    ) -> None:
        """Store images as the items, and how they look, in one order; `labels` name the classes."""
        if len({image.id for image in images}) != len(images) or len(images) != len(pictures):
            raise StudyError("Give every image of the study an id of its own and one picture.")
        self.table("items", images_frame(images, labels))
        pictures.save(self._part / PICTURES)

    def table(self, name: str, frame: pd.DataFrame) -> None:
        """Store the table "points", "scores" or "outputs" (columns: core.tables.COLUMNS)."""
        if name not in TABLES:
            raise StudyError(f'A study has no table "{name}"; it has {", ".join(TABLES)}.')
        write_table(frame, name, self._part / f"{name}.parquet")

    def spectra(self, spectra: Mapping[str, Spectrum]) -> None:
        """Store λ (of G) and μ (of A) of every projection, float64, in full."""
        arrays: dict[str, NDArray[np.float64]] = {}
        for name, (lam, mu) in spectra.items():
            arrays[f"{name}.lam"] = np.ascontiguousarray(lam, dtype=np.float64)
            arrays[f"{name}.mu"] = np.ascontiguousarray(mu, dtype=np.float64)
        save_file(arrays, self._part / "spectra.safetensors")

    def document(self, name: str, content: Mapping[str, Any]) -> None:
        """Store one of `core.manifest.DOCUMENTS`."""
        if name not in DOCUMENTS:
            raise StudyError(f'A study has no document "{name}"; it has {", ".join(DOCUMENTS)}.')
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        (self._part / name).write_text(text, encoding="utf-8")

    def heavy(self, name: str) -> Path:
        """Where to write a file of the heavy part."""
        if name not in HEAVY:
            raise StudyError(f'A study has no file "{name}"; it has {", ".join(HEAVY)}.')
        return self._part / name

    def finish(self, manifest: Manifest) -> Path:
        """Digest every file, write study.json last, rename; returns the path of the study.

        A study that lay at the path before is replaced, and kept until the new one is in place.
        """
        files = {path.name: digest_of(path) for path in sorted(self._part.iterdir())}
        complete = dataclasses.replace(manifest, files=files)
        check_files(self._part, complete)
        (self._part / MANIFEST).write_text(complete.dumps(), encoding="utf-8")
        Manifest.read(self._part)  # what was written can be read
        replace_folder(self._part, self.path)
        return self.path
