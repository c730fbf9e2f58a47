"""Bad input, full disks and Ctrl-C: what is said, and that nothing half-written is left."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import GatedRepoError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from core import survey as surveying
from core.factors import collect
from core.model import load_model, load_tokenizer
from core.textfile import Window
from tests.commands import World, calls, interrupted, make_world
from tests.core.test_cli import run
from tests.study_factory import write_study


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("commands"))


def gated(*args: object, **kwargs: object) -> object:
    response: Any = type("Response", (), {"headers": {}, "request": None, "status_code": 403})()
    try:
        raise GatedRepoError("403", response=response)
    except GatedRepoError as error:
        raise OSError("You are trying to access a gated repo.\nHave access first.") from error


def test_bad_input_ends_in_a_sentence_and_leaves_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, short, few = (tmp_path / name for name in ("empty.txt", "short.txt", "few.txt"))
    empty.write_text("", encoding="utf-8")
    short.write_text("The old kettle.", encoding="utf-8")
    few.write_text("The old kettle faces the quiet mill. " * 2, encoding="utf-8")
    strange = write_study(tmp_path / "strange").parent / "model"
    tokenizer = json.loads((strange / "tokenizer.json").read_text(encoding="utf-8"))
    shift = {token: number + 900 for token, number in tokenizer["model"]["vocab"].items()}
    tokenizer["model"]["vocab"] = shift
    (strange / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    lacking = Path(shutil.copytree(world.model, tmp_path / "lacking"))
    weights = load_file(lacking / "model.safetensors")
    weights.pop(next(name for name in weights if "mlp" in name))
    save_file(weights, lacking / "model.safetensors", {"format": "pt"})
    before = sorted(tmp_path.iterdir())
    out = tmp_path / "out"
    own = calls(world, out)
    text: list[str | Path] = ["--texts", world / "texts.txt", "--out", out]
    with monkeypatch.context() as patch:
        patch.setattr(AutoConfig, "from_pretrained", gated)
        refused(monkeypatch, "collect", ["some/private-model", *text], "log in")
    for name, asked, said in (
        ("collect", ["some/missing-model", *text], "No model of transformers"),
        ("collect", [strange, *text, "--context", "24"], "outside"),
        ("collect", [lacking, *text], "lack 1 of the weights"),
        ("collect", [world.model, "--texts", empty, "--out", out], "is empty"),
        ("collect", [world.model, "--texts", few, "--out", out], "different windows"),
        ("mine", [world.model, "--texts", short, "--out", out.with_suffix(".jsonl")], "No docum"),
        ("sweep", [*own["sweep"], "--tolerance", "0"], "tolerance"),
        ("sweep", [*own["sweep"], "--masses", "1"], "is impossible"),
        ("sweep", [*own["sweep"], "--methods", "ekfac_token"], "what its factors"),
        ("sweep", [*own["sweep"], "--methods", "newton"], "There is no method newton"),
        ("sweep", [*own["sweep"], "--fresh", few], "fewer than 4"),
        ("sweep", [*own["sweep"], "--fresh", empty], "is empty"),
        ("sweep", [*own["sweep"], "--out", few / "sweep.json"], "There is no folder"),
        ("slice", [*own["slice"], "--out", few / "slice.csv"], "There is no folder"),
        ("audit", [*own["audit"], "--out", few / "audit.json"], "There is no folder"),
        ("collect", [*own["collect"], "--out", few / "study"], "cannot be written"),
        ("edit", [*own["edit"], "--save", few / "model"], "cannot be written"),
        ("edit", [*own["edit"], "--layers-json", world.study / "study.json"], "already exists"),
        ("audit", [*own["audit"], "--fresh", world / "strings.jsonl"], 'neither "text" nor'),
        ("slice", [world.study, "--along", "random:1.up", "--out", out.with_suffix(".csv")],
         "give --fresh"),
    ):  # fmt: skip
        refused(monkeypatch, name, asked, said)
        assert sorted(tmp_path.iterdir()) == before, name


def refused(monkeypatch: pytest.MonkeyPatch, name: str, asked: list[Any], said: str) -> None:
    code = run(monkeypatch, name, *asked)
    assert isinstance(code, str) and said in code, (name, said, code)
    assert code.endswith(".") and "\n" not in code


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("name", "writer", "error"),
    [
        ("collect", "core.tables.pq.write_table", FULL),
        ("collect", "core.tensorfile.save_file", SafetensorError("No space left on device")),
        ("edit", "transformers.PreTrainedModel.save_pretrained", FULL),
        ("import", "core.tensorfile.save_file", SafetensorError("No space left on device")),
        ("sweep", "core.places.os.replace", FULL),
        ("slice", "pathlib.Path.write_text", FULL),
    ],
)
def test_a_full_disk_is_said_and_leaves_nothing(
    name: str,
    writer: str,
    error: Exception,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*args: object, **kwargs: object) -> object:
        raise error

    monkeypatch.setattr(writer, full)
    code = run(monkeypatch, name, *calls(world, tmp_path / "out")[name])
    assert isinstance(code, str) and code.endswith(".")
    assert "cannot be written" in code and "No space left" in code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "late"),
    [
        ("collect", "core.textdata.points_table"),
        ("sweep", "core.contest.best_of"),
        ("slice", "core.landscape.summary.ggn_along"),
        ("edit", "transformers.PreTrainedTokenizerBase.save_pretrained"),
        ("audit", "core.audit.report.relearn"),
        ("mine", "core.mine.teacher_forced"),
        ("import", "core.tensorfile.os.replace"),
    ],
)
def test_cancelling_late_leaves_nothing(
    name: str, late: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, interrupted)
    assert run(monkeypatch, name, *calls(world, tmp_path / "out")[name]) == 130
    assert list(tmp_path.iterdir()) == []


def test_activations_that_overflow_in_the_middle_of_a_text_are_said(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One rare word, in a window that is not kept back, has an embedding too large to square."""
    tokenizer = load_tokenizer(world.model)
    model = load_model(world.model)
    rare = tokenizer.encode("~")[0]
    with torch.no_grad():
        model.get_parameter("model.embed_tokens.weight")[rare] = 1e38
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "model")
    text = tmp_path / "texts.txt"
    text.write_text((world / "texts.txt").read_text() + "~", encoding="utf-8")
    told: list[Window] = []
    real = collect

    def collecting(model: Any, sample: Any, *args: Any, **options: Any) -> Any:
        told.extend(sample)
        return real(model, sample, *args, **options)

    monkeypatch.setattr(surveying, "collect", collecting)
    options = ["--texts", text, "--context", "24", "--layers", "1", "--out", tmp_path / "out"]
    refused(monkeypatch, "collect", [tmp_path / "model", *options], "not finite")
    assert [rare in window for window in told].count(True) == 1  # the collection itself met it
    assert {path.name for path in tmp_path.iterdir()} == {"model", "texts.txt"}
