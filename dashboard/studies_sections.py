"""The sections of the Studies page, top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from core.inspection import Check, holdings, inspection, size_on_disk
from dashboard import bar, exports, loading, onefile
from dashboard.escape import plain
from dashboard.figures.words import setting
from dashboard.state import View

_OPEN, _OPENED = "hillshade_open_folder", "hillshade_open_said"


@st.cache_data(show_spinner="Checking every file …", max_entries=8)
def _checked(path: str, stamp: float) -> tuple[Check, ...]:
    del stamp  # part of the key
    return inspection(path, weights=False)


def _stamp(path: Path) -> float:
    """When anything in the folder last changed."""
    try:
        return sum(entry.stat().st_mtime for entry in (path, *path.iterdir()))
    except OSError:
        return 0.0


def report(path: Path, view: View | None) -> None:
    """Whether the study in view can be believed, and where it comes from."""
    checks = _checked(str(path), _stamp(path))
    faults = [check for check in checks if not check.ok]
    if faults:
        st.error(plain(faults[0].said))
    left, right = st.columns([1, 1.15], gap="large")
    with left:
        st.header("Can it be believed?", anchor="report")
        said = (
            f"No: {len(faults)} of {len(checks)} checks failed."
            if faults
            else f"Yes: all {len(checks)} checks passed."
        )
        st.markdown(f"{said} `hillshade check` prints the same, and compares the weights too.")
        st.table(
            pd.DataFrame(
                {
                    "Fit": ["✓" if check.ok else "✗ unfit" for check in checks],
                    "Check": [check.name for check in checks],
                    "Found": [plain(check.said) for check in checks],
                }
            ),
            border="horizontal",
            hide_index=True,
            alt=said,
        )
    with right:
        st.header("Where it comes from", anchor="provenance")
        if view is None:
            st.markdown("An unfit study says nothing that could be believed. Open another below.")
            return
        lines = [(n, v) for n, v in holdings(view.study) if n not in ("command", "recipe")]
        st.table(
            pd.DataFrame(lines, columns=["What", "It says"]).map(plain),
            border="horizontal",
            hide_index=True,
            alt="What the study says about its model, data, counts and conventions.",
        )
        st.caption("Made by this command:")
        st.code(view.study.manifest.command, language=None, wrap_lines=True)


def open_another() -> None:
    """Open a folder that the visitor names; those already known stand in the bar."""
    st.header("Open another study", anchor="open")
    known = loading.available()
    sizes = {
        name: f"{size_on_disk(path) / 1e6:.1f} MB" if path.is_dir() else "not there"
        for name, path in known.items()
    }
    st.table(
        pd.DataFrame(
            {
                "Known here": [plain(bar.STUDY_TITLES.get(name, name)) for name in known],
                "Folder": [plain(str(path)) for path in known.values()],
                "Size": list(sizes.values()),
            }
        ),
        border="horizontal",
        hide_index=True,
        alt=f"{len(known)} studies are known here.",
    )
    with st.form("open-study", border=False):
        st.text_input(
            "Folder of another study",
            key=_OPEN,
            placeholder="/data/studies/mine",
            help="On the machine that serves this page; it joins the list in the bar.",
        )
        st.form_submit_button("Open it", on_click=_open)
    if said := st.session_state.pop(_OPENED, None):
        st.error(plain(said))


def _open() -> None:
    """Before the page runs again: take the folder into the list and select it."""
    folder = str(st.session_state.get(_OPEN, "")).strip()
    if not folder:
        st.session_state[_OPENED] = "Type the path of a study folder first."
        return
    faults = [check for check in inspection(folder, weights=False) if not check.ok]
    if faults:
        st.session_state[_OPENED] = faults[0].said
        return
    show_study(Path(folder))


def show_study(path: Path) -> None:
    """Take a fit study into the list and select it; call it before the bar is drawn."""
    st.session_state["study"] = loading.add(path)


def take_along(view: View) -> None:
    """Tables, recipe and edited model, each with the command that makes the same."""
    st.header("Take it along", anchor="exports")
    recipe, study = view.recipe, view.study
    st.markdown(
        f"Of **{plain(recipe.title)}**, where the slider stands: "
        f"{setting(view.setting)} ({plain(recipe.axis.label)})."
    )
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Numbers**, as CSV")
        with st.container(horizontal=True):
            for name, frame in exports.tables(study, recipe.id).items():
                _download(f"{name}.csv, {len(frame):,} rows", f"{recipe.id}-{name}.csv",
                          partial(exports.csv, frame), "text/csv")  # fmt: skip
        st.markdown("**The pages**, as one file with a slider that needs no server and no network")
        _download("One HTML file, about 6 MB", f"hillshade-{recipe.id}.html",
                  partial(onefile.page, view), "text/html")  # fmt: skip
        st.caption("A figure alone: its camera button, shown under the mouse, saves it as SVG.")
        st.markdown("**A link** to this view, for whoever reaches this server")
        st.code(
            exports.link("vision" if view.measured.images else "recall"),
            language=None,
            wrap_lines=True,
        )
    with right:
        st.markdown("**The edit**")
        if not study.has_heavy:
            st.info("This study came without its eigenvectors, so no edit can be written from it.")
            return
        with st.container(horizontal=True):
            if exports.downloadable(study):
                _download("Edited model, for transformers", "edited.zip",
                          partial(exports.model, view), "application/zip")  # fmt: skip
            _download("Recipe and kept pairs", f"{recipe.id}.zip",
                      partial(exports.recipe, view), "application/zip")  # fmt: skip
            if recipe.method == "kfac" and not view.measured.images:
                _download("The paper's layers-json", f"{recipe.id}-layers.json",
                          partial(exports.layers, view), "application/json")  # fmt: skip
        if not exports.downloadable(study):
            st.caption("The model is too large for a browser; on the server, this writes it:")
        st.code(exports.command(view), language=None, wrap_lines=True)
        st.caption("The recipe, unpacked, is read back and makes the same weights, bit for bit:")
        st.code(exports.read_back(view), language=None, wrap_lines=True)


def _download(label: str, file_name: str, make: Callable[[], bytes], mime: str) -> None:
    """A button that makes its file when it is pressed; a fault is said beside it."""
    st.download_button(
        label,
        make,
        file_name=file_name,
        mime=mime,
        key=f"download-{file_name}",
        on_click="ignore",
        icon=":material/download:",
    )
