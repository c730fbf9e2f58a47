"""The Studies page: good and unfit studies, opening, exporting, and making one end to end."""

from __future__ import annotations

import io
import json
import random
import shutil
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.edit import edited
from core.model import load_model, load_tokenizer
from core.recipe import load_recipe
from core.request import Request
from core.study import Study
from dashboard import exports, making, state
from dashboard.figures.measured import Measured
from dashboard.making import maker
from tests.dashboard.studies import unfit_studies
from tests.dashboard.test_pages import open_page
from tests.pages import visited
from tests.study_factory import sentence, tiny_model, tiny_tokenizer

UNFIT = ("missing", "half-written", "empty", "truncated", "changed", "incomplete")


pytestmark = pytest.mark.usefixtures("own_studies")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its tokenizer and a text."""
    folder = tmp_path_factory.mktemp("source")
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(folder / "model")
    tiny_model(len(tokenizer)).save_pretrained(folder / "model")
    rng = random.Random(2)
    text = "\n".join(sentence(rng) for _ in range(60))
    (folder / "texts.txt").write_text(text, encoding="utf-8")
    return folder


def tables(at: AppTest) -> str:
    return "\n".join(table.value.to_string() for table in at.table)


def press(at: AppTest, label: str) -> AppTest:
    next(button for button in at.button if button.label == label).click()
    at.run()
    assert not at.exception, at.exception
    return at


def fill(at: AppTest, **typed: str) -> None:
    for name, value in typed.items():
        at.text_input(key=f"make-{name}").set_value(value)


def test_a_good_study_is_judged_told_and_exported(
    monkeypatch: pytest.MonkeyPatch, study_path: Path
) -> None:
    at = open_page(monkeypatch, study_path, "studies")
    assert not at.error and not at.warning
    study = Study.open(study_path)
    said = tables(at)
    for piece in (*study.manifest.files, "Olmo2ForCausalLM", "6,000 positions"):
        assert piece in said.replace("\\", "")
    assert any(element.value.startswith("Yes: all") for element in at.markdown)
    assert any(code.value == study.manifest.command for code in at.code)
    labels = [button.proto.label for button in at.get("download_button")]
    assert len(labels) == 8 and "Edited model, for transformers" in labels
    assert any(code.value.endswith("/recall") for code in at.code)
    at.query_params["mass"] = "0.95"
    at.run()
    assert any(code.value.endswith("/recall?mass=0.95") for code in at.code)


@pytest.mark.parametrize("kind", UNFIT)
def test_an_unfit_study_is_told_line_by_line(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path, kind: str
) -> None:
    folder, piece = unfit_studies(study_path, tmp_path)[kind]
    at = open_page(monkeypatch, folder, "studies")
    assert len(at.error) == 1 and piece in at.error[0].value
    assert "✗ unfit" in tables(at)
    assert any(element.value.startswith("No: 1 of") for element in at.markdown)
    assert [button.label for button in at.button] == [
        "Open it", "Estimate what it takes", "Present this page",
    ]  # fmt: skip
    assert not at.get("download_button")


def test_a_folder_that_was_typed_is_opened_and_shown_everywhere(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(study_path.parent, tmp_path / "copied")) / "study"
    at = open_page(monkeypatch, study_path, "studies")
    at.text_input(key="hillshade_open_folder").set_value(str(tmp_path / "nowhere"))
    press(at, "Open it")
    assert "There is no study folder" in at.error[0].value
    at.text_input(key="hillshade_open_folder").set_value(str(other))
    press(at, "Open it")
    assert not at.error
    assert at.selectbox(key="study").value == "copied"
    assert state.View is type(at.session_state["hillshade_view"])
    assert at.session_state["hillshade_view"].study.path == other
    at.switch_page("app_pages/recall.py").run()
    assert not at.exception and at.session_state["hillshade_view"].study.path == other
    assert str(tmp_path) not in str(dict(at.query_params))  # what was typed stays here
    again = visited()  # another visitor's deep link
    again.query_params["study"] = "copied"
    again.run()
    assert again.selectbox(key="study").value == "copied"


def test_exports_open_elsewhere(study_path: Path, tmp_path: Path) -> None:
    study = Study.open(study_path)
    recipe = study.manifest.recipe("kfac")
    view = state.View(study, Measured(study), recipe, 6, recipe.projections[0], "light")
    for name, frame in exports.tables(study, "kfac").items():
        again = pd.read_csv(io.BytesIO(exports.csv(frame)), keep_default_na=False)
        assert list(again.columns) == list(frame.columns) and len(again) == len(frame), name
    assert set(exports.tables(study, "svd")["points"]["recipe"]) == {"svd"}
    for name, data in (("recipe", exports.recipe(view)), ("model", exports.model(view))):
        zipfile.ZipFile(io.BytesIO(data)).extractall(tmp_path / name)
    made, kept = load_recipe(tmp_path / "recipe" / "kfac.json")
    assert made.setting == view.setting
    model = load_model(study_path.parent / "model")
    wanted = edited(model, made, study.bases("kfac"), kept=kept)
    ids = torch.tensor([load_tokenizer(tmp_path / "model" / "model").encode("The old kettle.")])
    found = load_model(tmp_path / "model" / "model")(ids).logits
    assert torch.equal(found, wanted(ids).logits)
    assert not torch.equal(found, model(ids).logits)
    assert f"--mass {view.setting!r}" in exports.command(view)
    assert "--recipe kfac.json" in exports.read_back(view)
    masses = json.loads(exports.layers(view))
    assert masses == {"1": dict.fromkeys(("gate", "up", "down"), view.setting)}


def test_a_study_is_estimated_made_and_shown(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, source: Path, tmp_path: Path
) -> None:
    at = open_page(monkeypatch, study_path, "studies")
    press(at, "Estimate what it takes")
    assert at.error[0].value == "Name a model and a text file or an image folder first."
    fill(at, model=str(tmp_path / "nowhere"), data=str(source / "texts.txt"))
    press(at, "Estimate what it takes")
    assert "No model of transformers" in at.error[0].value
    fill(at, model=str(source / "model"), layers="1", context="24", out="mine")
    press(at, "Estimate what it takes")
    assert not at.error
    for piece in ("memory", "time", "disk", "3 projections"):
        assert piece in tables(at)
    press(at, "Make the study")
    job = maker.job
    assert job is not None
    if job.state.running:
        assert [b.label for b in at.button if b.key == "make-cancel"] == ["Cancel"]
        # A second visitor is served meanwhile.
        assert not open_page(monkeypatch, study_path, "spectrum").error
    ended = job.wait(110)
    assert ended.study == tmp_path / "own" / "mine", ended
    at.run()
    assert any("The study is in" in element.value for element in at.success)
    press(at, "Show it")
    assert at.selectbox(key="study").value == "mine"
    assert "3 projections" not in tables(at) and "spectra.safetensors" in tables(at)
    at.switch_page("app_pages/recall.py").run()
    assert not at.exception and not at.error
    assert "made without memorized strings" in at.info[0].value
    alts = [chart.proto.alt for chart in at.get("plotly_chart")]
    assert len(alts) == 1 and "95 % interval" in alts[0]
    at.switch_page("app_pages/spectrum.py").run()
    assert not at.exception and not at.error


class Endless:
    """A child that makes a half-written study and ignores a polite end."""

    def __init__(self, tmp_path: Path, ending: str) -> None:
        self.out = tmp_path / "study"
        self.script = (
            "import signal, sys, time, pathlib, json\n"
            f"pathlib.Path({str(self.out)!r} + '.part').mkdir()\n"
            "print('a word of a library', flush=True)\n"
            "def say(**line): print(json.dumps(line), flush=True)\n"
            "say(part='factors', done=1, total=4, seconds=1, left=3)\n"
            f"{ending}\n"
        )

    def start(self, monkeypatch: pytest.MonkeyPatch) -> making.Job:
        real: Any = subprocess.Popen

        def popen(command: list[str], **options: object) -> object:
            return real([command[0], "-c", self.script], **options)

        monkeypatch.setattr(subprocess, "Popen", popen)
        return maker.start(Request("m", self.out.with_name("t.txt"), self.out))


def until(true: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_cancelling_ends_even_a_stubborn_child_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(making, "PATIENCE", 0.2)
    stubborn = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "say(part='sweep', done=1, total=2, seconds=1, left=90)\n"
        "time.sleep(600)"
    )
    job = Endless(tmp_path, stubborn).start(monkeypatch)
    until(lambda: job.state.part == "sweep")
    assert job.state.share == 0.5 and 0.7 < job.state.overall < 0.98
    assert maker.start(job.request) is job  # one at a time
    at = open_page(monkeypatch, study_path, "studies")
    press(at, "Cancel")
    assert job.state.cancelled and not job.state.running
    assert not (tmp_path / "study.part").exists()
    at.run()
    assert "nothing was left behind" in at.info[0].value
    press(at, "Dismiss")
    assert maker.job is None and not at.info


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("sys.exit('The text is too short; give more.')", "The text is too short; give more."),
        ("raise ValueError('odd')", "The collection failed (ValueError: odd); "),
        ("import os; os.kill(os.getpid(), 9)", "run out of memory"),
    ],
)
def test_a_child_that_fails_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str, said: str
) -> None:
    ended = Endless(tmp_path, ending).start(monkeypatch).wait(60)
    assert ended.error is not None and said in ended.error and ended.error.endswith(".")
    assert not (tmp_path / "study.part").exists()


def test_progress_lines_are_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    from core.commands.progress import JsonParts

    with JsonParts().part("factors") as show:
        show(1, 4)
        show(4, 4)
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [entry["done"] for entry in told] == [0, 1, 4, None]
    assert told[2]["left"] == 0.0 and all(entry["part"] in making.PARTS for entry in told)
