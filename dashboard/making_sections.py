"""Make a study here: what it takes, a button, progress, cancel; or the commands for a server."""

from __future__ import annotations

import shlex
from pathlib import Path

import pandas as pd
import streamlit as st

from core.commands.collect import make_request
from core.errors import HillshadeError
from core.request import Request
from dashboard import jobs, loading
from dashboard.escape import plain
from dashboard.making import Job, maker
from dashboard.studies_sections import show_study

_FORECAST = "hillshade_forecast"
_FIELDS = ("model", "data", "known", "layers", "kinds", "tokens", "context", "most", "out")


def show() -> None:
    """The form and the forecast, or the job that is running."""
    st.header("Make a study of your own", anchor="make")
    job = maker.job
    if job is not None and job.state.running:
        st.markdown(f"A study of {plain(job.request.model)} is being made on this server.")
        _progress()
        return
    if job is not None:
        _ended(job)
    asked = _form()
    request = _request(asked)
    if request is not None:
        _forecast(request, asked)
    _on_a_server(request)


def _form() -> bool:
    st.markdown(
        "From a language model and a text file, or from an image classifier and a folder of "
        "images, one sub-folder a class. The model lies in a folder (or is one of the Hugging Face "
        "hub that was downloaded before), all on the machine that serves this page. With what is "
        "known to be memorized, strings or wrong labels, layers and threshold are chosen too."
    )
    with st.form("make-study", border=False):
        left, right = st.columns(2, gap="large")
        with left:
            _field("model", "Model", "Folder or hub id", "/data/models/OLMo-2-1124-7B")
            _field(
                "data",
                "Text file, or folder of images",
                "UTF-8, or .jsonl of texts or token ids; or a folder with one sub-folder a class",
                "texts.txt",
            )
            _field(
                "known",
                "Memorized strings, or labels (optional)",
                ".jsonl of prefix and suffix; of images a .csv of file,label,true, where no "
                "labels.csv lies in the folder",
                "strings.jsonl",
            )
            _field("out", "Name or folder of the study", f"A name goes to {loading.OWN}", "mine")
        with right:
            _field("layers", "Layers", "Such as 23-25 or 0,2; empty for all", "all")
            _field("kinds", "Maps", "Of gate,up,down; empty for all", "all")
            _field("tokens", "Tokens at most", "Empty reads the whole text", "all")
            _field("context", "Tokens a window", "Empty for 512, or the model's limit", "512")
            _field("most", "Images at most", "Empty reads all images of a folder", "all")
        return st.form_submit_button("Estimate what it takes")


def _field(name: str, label: str, about: str, example: str) -> None:
    st.text_input(
        label, key=f"make-{name}", help=about, placeholder=example, persist_state="session"
    )


def _request(asked: bool) -> Request | None:
    """What the form asks for, or None where nothing was typed; a fault is said."""
    typed = {name: str(st.session_state.get(f"make-{name}") or "").strip() for name in _FIELDS}
    if not (typed["model"] or typed["data"]):
        if asked:
            st.error("Name a model and a text file or an image folder first.")
        return None
    try:
        if not typed["model"] or not typed["data"]:
            raise HillshadeError("Name both a model and a text file or an image folder.")
        out = Path(typed["out"] or "mine").expanduser()
        return make_request(
            typed["model"],
            out if out.is_absolute() else loading.OWN / out,
            typed["layers"],
            typed["kinds"],
            tokens=_whole("Tokens at most", typed["tokens"]),
            context=_whole("Tokens a window", typed["context"]),
            most=_whole("Images at most", typed["most"]),
            **_data(typed["data"], typed["known"]),
        )
    except HillshadeError as error:
        st.error(plain(str(error)))
        return None


def _data(data: str, known: str) -> dict[str, Path | None]:
    """What is read, and what is known of it: of a folder, images and labels."""
    place = Path(data).expanduser().resolve()
    beside = Path(known).expanduser().resolve() if known else None
    if place.is_dir():
        return {"texts": None, "images": place, "labels": beside}
    return {"texts": place, "strings": beside}


def _whole(label: str, text: str) -> int | None:
    if not text:
        return None
    try:
        return int(text.replace(",", ""))
    except ValueError as error:
        raise HillshadeError(f"{label}: {text} is no whole number.") from error


def _forecast(request: Request, asked: bool) -> None:
    """What it takes here, and the button that starts it; stale answers are not shown."""
    known = st.session_state.get(_FORECAST)
    if known is None or known[0] != request:
        if not asked:
            return
        try:
            if request.out.exists():
                raise HillshadeError(f"{request.out} already exists; choose another name.")
            with st.spinner("Counting operations and measuring this machine …"):
                from core.request import forecast

                lines = forecast(request).lines(request.out.parent)
        except HillshadeError as error:
            st.error(plain(str(error)))
            return
        st.session_state[_FORECAST] = known = (request, lines)
    st.table(
        pd.DataFrame(
            {"Estimate": [n for n, _ in known[1]], "Here": [plain(v) for _, v in known[1]]}
        ),
        border="horizontal",
        hide_index=True,
        alt="Memory, time and disk that this study will take on this machine.",
    )
    st.button("Make the study", type="primary", key="make-start", on_click=_start, args=(request,))


def _start(request: Request) -> None:
    st.session_state.pop(_FORECAST, None)
    maker.start(request)


@st.fragment(run_every=1.0)
def _progress() -> None:
    job = maker.job
    if job is None or not job.state.running:
        st.rerun()
    state = job.state
    said = jobs.progress_line(state.part.capitalize(), state.share, state.left)
    st.progress(state.overall, f"{said} of this part" if state.left is not None else said)
    st.button("Cancel", key="make-cancel", on_click=job.cancel)
    st.caption("It runs beside the pages; you may leave this one and come back.")


def _ended(job: Job) -> None:
    state = job.state
    if state.study is not None:
        st.success(f"The study is in {plain(str(state.study))}.")
        st.button("Show it", type="primary", key="make-show", on_click=_show, args=(state.study,))
    elif state.cancelled:
        st.info("Cancelled; nothing was left behind.")
    else:
        st.error(plain(state.error or ""))
    st.button("Dismiss", key="make-dismiss", on_click=maker.dismiss)


def _show(path: Path) -> None:
    maker.dismiss()
    show_study(path)


def _on_a_server(request: Request | None) -> None:
    """The same on a machine with a GPU, as commands to copy."""
    st.markdown("**On a GPU server** the same takes these commands, then the folder comes here:")
    if request is None:
        request = Request("allenai/OLMo-2-1124-7B", Path("texts.txt"), Path("mine"),
                          layers=(23, 24, 25), kinds=("gate", "up"))  # fmt: skip
    there = request.at(Path())
    lines = (
        there.estimate_command,
        there.command,
        shlex.join(["rsync", "-a", f"server:{there.out}", f"{loading.OWN}/"]),
    )
    st.code("\n".join(lines), language=None, wrap_lines=True)
