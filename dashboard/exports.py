"""What can be taken along from a study: its tables, the recipe in view, the edited model."""

from __future__ import annotations

import io
import shlex
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from core.study import Study
from dashboard import address, loading
from dashboard.state import View

LINKED = ("study", "recipe", "mass", "projection")  # what a link says of the view
LARGEST = 64_000_000  # bytes of weights that a browser is asked to download


def tables(study: Study, recipe_id: str) -> dict[str, pd.DataFrame]:
    """The study's tables as a spreadsheet reads them; of one recipe where they are of recipes."""
    found = {"items": study.items.drop(columns=["prompt_ids", "truth_ids"])}
    for name in ("points", "scores", "outputs"):
        frame: pd.DataFrame = getattr(study, name)
        found[name] = frame[frame["recipe"] == recipe_id]
    return found


def csv(frame: pd.DataFrame) -> bytes:
    """UTF-8 with a header line, as pandas reads it back."""
    text: str = frame.to_csv(index=False)
    return text.encode()


def recipe(view: View) -> bytes:
    """A zip of the recipe and its kept pairs, as `hillshade edit --save-recipe` writes them."""
    from core.recipe import save_recipe

    editor = _editor(view)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{view.recipe.id}.json"
        save_recipe(path, editor.recipe(view.setting), editor.kept(view.setting))
        return _zipped(Path(folder))


def model(view: View) -> bytes:
    """A zip of the edited model's folder, as `hillshade edit` writes it."""
    from core.export import save_model

    with tempfile.TemporaryDirectory() as folder:
        edited = _editor(view).at(view.setting)[0]
        save_model(edited, loading.model_of(view.study)[1], Path(folder) / "model")
        return _zipped(Path(folder))


def layers(view: View) -> bytes:
    """The paper's own `layers-json` (`core.export`); HillshadeError for what it cannot say."""
    from core.export import layers_json
    from core.projection import named

    editor = _editor(view)
    projections = named(loading.model_of(view.study)[0], view.recipe.projections)
    made, kept = editor.recipe(view.setting), editor.kept(view.setting)
    return f"{layers_json(made, kept, projections)}\n".encode()


def link(page: str) -> str:
    """The address that opens the view on a page, for whoever reaches this server."""
    place = (st.context.url or "http://localhost:8501/studies").partition("?")[0]
    return f"{place.rpartition('/')[0]}/{page}?{urlencode(address.noted(LINKED))}".rstrip("?")


def command(view: View) -> str:
    """The command line that writes the edited model, and its recipe beside it."""
    words = ["hillshade", "edit", str(view.study.path), "--recipe", view.recipe.id]
    words += ["--mass", repr(view.setting), "--save", "edited", "--save-recipe", "edited.json"]
    return shlex.join(words)


def read_back(view: View) -> str:
    """The command line that makes the same edit from the downloaded recipe, unpacked."""
    words = ["hillshade", "edit", str(view.study.path), "--recipe", f"{view.recipe.id}.json"]
    return shlex.join([*words, "--save", "edited"])


def downloadable(study: Study) -> bool:
    """Whether the whole model is small enough to go through the browser."""
    return 4 * study.manifest.model.parameters <= LARGEST


def _editor(view: View) -> Any:
    from core.edit import Editor
    from core.projection import named

    shared, _ = loading.model_of(view.study)
    projections = named(shared, view.recipe.projections)
    seed = view.recipe.seeds[0] if view.recipe.seeds else 0
    bases, method = view.study.bases(view.recipe.id), view.recipe.method
    return Editor(shared, bases, projections, method, seed, pooled=view.recipe.pooled)


def _zipped(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return packed.getvalue()
