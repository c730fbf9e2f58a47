"""Studies and models, opened once and shared by all sessions; nothing here is ever changed.

A loaded model is immutable: an edit is a new object that shares every untouched tensor with it
and owns only the edited ones, so two visitors with different thresholds never meet.
"""

from __future__ import annotations

import os
import threading
from itertools import chain, count
from pathlib import Path
from typing import Any

import streamlit as st

from core.errors import StudyError
from core.manifest import MANIFEST, PICTURES
from core.study import Study
from dashboard.figures.measured import Measured

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = "HILLSHADE_STUDY"  # path of a study folder to open first
SHIPPED = ROOT / "assets"
OWN = ROOT / "studies"  # where those made from the page go

# One edit at a time: two at once on a small machine are slower than one after the other.
_editing = threading.Lock()
_added: dict[str, Path] = {}  # opened by hand; all sessions of this server see them


def available() -> dict[str, Path]:
    """The studies to choose from, by name: the one the environment names, shipped, one's own."""
    found: dict[str, Path] = {}
    if named := os.environ.get(ENVIRONMENT):
        found["own"] = Path(named)
    for folder in sorted(SHIPPED.glob("*/study")):
        found[folder.parent.name] = folder
    for folder in (path.parent for path in sorted(OWN.glob("*/study.json"))):
        found.setdefault(_name(folder, found), folder)
    for name, folder in _added.items():
        found.setdefault(name, folder)
    return found or {"language": SHIPPED / "language" / "study"}


def of_texts(path: Path) -> bool:
    """Whether a folder holds a study that is not of images; one that cannot be read may be."""
    return (path / MANIFEST).is_file() and not (path / PICTURES).is_file()


def add(path: Path) -> str:
    """Add a study folder to those to choose from; returns its name there."""
    path = path.resolve()
    known = available()
    for name, folder in known.items():
        if folder.resolve() == path:
            return name
    name = _name(path, known)
    _added[name] = path
    return name


def _name(path: Path, taken: dict[str, Path]) -> str:
    """The folder's own name; that of its parent for the usual `study`; numbered if both are."""
    own = path.parent.name if path.name == "study" else path.name
    names = chain((own,), (f"{own}-{number}" for number in count(2)))
    return next(name for name in names if name not in taken)


def open_study(path: Path) -> Study:
    """The study in a folder, checked; opened again when it was made anew."""
    manifest = path / "study.json"
    stamp = manifest.stat().st_mtime_ns if manifest.is_file() else 0
    return _open(str(path), stamp)


@st.cache_resource(show_spinner="Opening the study …", max_entries=4)
def _open(path: str, stamp: int) -> Study:
    del stamp  # part of the key
    return Study.open(path)


def study_key(study: Study) -> str:
    """A key for caches: where a study lies and when it was made."""
    manifest = study.manifest
    return f"{study.path} {manifest.created} {manifest.data_digest} {manifest.model.weight_digest}"


@st.cache_resource(show_spinner=False, max_entries=4)
def _measured(_study: Study, key: str) -> Measured:
    del key
    return Measured(_study)


def measured(study: Study) -> Measured:
    """The study's tables, sorted into tracks once for all sessions."""
    return _measured(study, study_key(study))


@st.cache_resource(show_spinner=False, max_entries=2)
def _model(_study: Study, key: str) -> tuple[Any, Any]:
    from core.model import load_model, load_processor, source_of

    del key
    source = source_of(_study)
    model = load_model(source)
    Study.open(_study.path, model)  # refuses weights other than the study's
    return model, load_processor(source, model)


def model_of(study: Study) -> tuple[Any, Any]:
    """The shared model and its tokenizer, or how images are prepared for it.

    Refused when the weights are not those of the study.
    """
    return _model(study, study_key(study))


def edit(study: Study, model: Any, recipe_id: str, tick: int) -> Any:
    """The edited model of one stored setting; a new object, `model` stays as it is."""
    from core.edit import Editor
    from core.projection import named

    recipe = study.manifest.recipe(recipe_id)
    projections = named(model, recipe.projections)
    seed = recipe.seeds[0] if recipe.seeds else 0
    bases = study.bases(recipe_id)
    editor = Editor(model, bases, projections, recipe.method, seed, pooled=recipe.pooled)
    return editor.at(recipe.ticks[tick])[0]


@st.cache_resource(show_spinner=False, max_entries=6)
def _edited(_study: Study, key: str, recipe_id: str, tick: int) -> Any:
    del key
    return edit(_study, model_of(_study)[0], recipe_id, tick)


def edited_model(study: Study, recipe_id: str, tick: int) -> Any:
    """The edited model of one recipe and tick: a new object beside the shared, untouched one."""
    if tick == 0:
        return model_of(study)[0]
    if not study.has_heavy:
        raise StudyError(
            "This study came without its eigenvectors (basis.safetensors): stored results can be "
            "shown, live edits need the whole study folder."
        )
    with _editing:
        return _edited(study, study_key(study), recipe_id, tick)
