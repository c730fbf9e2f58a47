"""The command `hillshade` as a person types it: reports, refusals, a saved edit, a served page."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core import cli
from core.edit import Editor, edited
from core.model import load_model, load_tokenizer
from core.projection import find_projections
from core.recipe import load_recipe, save_recipe
from core.study import Study
from tests.study_factory import write_study

COMMAND = str(Path(sys.executable).with_name("hillshade"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("cli"))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> str | int | None:
    """What the command exits with: None or 0 is success, a text is a sentence on stderr."""
    monkeypatch.setattr(sys, "argv", ["hillshade", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return exit_.value.code


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    heavy = ("torch", "transformers", "streamlit", "pandas", "sklearn")
    script = f"import sys, core.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_bad_study_ends_in_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "check", str(tmp_path / "nowhere")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("There is no study folder at")
    assert len(done.stderr.splitlines()) == 1


def test_check_prints_what_a_study_holds(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "check", study) in (None, 0)
    printed = capsys.readouterr().out
    for piece in ("Olmo2ForCausalLM", "kfac-share-0.2", "6,000 positions", "points.parquet"):
        assert piece in printed
    assert "weights     those in" in printed


def test_check_refuses_a_study_whose_model_was_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study(tmp_path)
    model = tmp_path / "model" / "model.safetensors"
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    assert "made of other weights" in str(run(monkeypatch, "check", study))


def test_edit_saves_a_model_that_transformers_reads_back(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "edited"
    arguments = ("edit", study, "--recipe", "kfac", "--mass", "0.9", "--save", folder)
    assert run(monkeypatch, *arguments) in (None, 0)

    model, opened = load_model(study.parent / "model"), Study.open(study)
    wanted = opened.manifest.recipe("kfac").projections
    projections = tuple(p for p in find_projections(model) if p.name in wanted)
    expected, _ = Editor(model, opened.bases("kfac"), projections, "kfac", 0).at(0.9)
    ids = torch.tensor([load_tokenizer(folder).encode("The old kettle faces the quiet mill.")])
    assert torch.equal(load_model(folder)(ids).logits, expected(ids).logits)
    assert not torch.equal(model(ids).logits, expected(ids).logits)
    assert "already exists" in str(run(monkeypatch, *arguments))


def test_edit_also_writes_the_recipe_and_the_paper_s_masses(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, recipe, layers = (tmp_path / name for name in ("edited", "cut.json", "layers.json"))
    arguments = ("edit", study, "--mass", "0.9", "--pooled", "--save", folder)
    written = ("--save-recipe", recipe, "--layers-json", layers)
    assert run(monkeypatch, *arguments, *written) in (None, 0)
    model, opened = load_model(study.parent / "model"), Study.open(study)
    found, kept = load_recipe(recipe)
    assert (found.setting, found.pooled) == (0.9, True)
    again = edited(model, found, opened.bases("kfac"), kept=kept)
    ids = torch.tensor([load_tokenizer(folder).encode("The old kettle faces the quiet mill.")])
    assert torch.equal(load_model(folder)(ids).logits, again(ids).logits)
    assert json.loads(layers.read_text())["1"].keys() == {"gate", "up", "down"}
    # What the format cannot say is refused before anything is written.
    soft = ("edit", study, "--mass", "0.9", "--strength", "0.5", "--save", tmp_path / "soft")
    code = run(monkeypatch, *soft, "--layers-json", tmp_path / "soft.json")
    assert "only a curvature mass" in str(code)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"edited", "cut.json", "cut.safetensors", "layers.json"}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("kfac", ("--mass", "0.9", "--until", "0.99", "--strength", "0.7")),
        ("kfac", ("--mass", "0.9", "--pooled")),
        ("kfac-share-0.2", ("--mass", "0.9")),
        ("svd", ("--mass", "0.8")),
        ("noise", ("--mass", "0.8")),
    ],
)
def test_a_saved_recipe_is_read_back_and_makes_the_same_weights(
    study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    recipe: str,
    options: tuple[str, ...],
) -> None:
    first, second, cut = tmp_path / "first", tmp_path / "second", tmp_path / "cut.json"
    asked = ("edit", study, "--recipe", recipe, "--save", first, "--save-recipe", cut, "--json")
    assert run(monkeypatch, *asked, *options) in (None, 0)
    told = json.loads(capsys.readouterr().out)
    assert run(monkeypatch, "edit", study, "--recipe", cut, "--save", second, "--json") in (None, 0)
    assert json.loads(capsys.readouterr().out) == told | {"saved": str(second)}
    assert told["saved"] == str(first) and 0 < told["weight_kept"] < 1
    made, whole = weights(first), weights(study.parent / "model")
    assert all(torch.equal(made[name], value) for name, value in weights(second).items())
    changed = {name.removesuffix(".weight") for name in made if not made[name].equal(whole[name])}
    assert changed == set(told["projections"])


def test_what_edit_cannot_do_is_said_and_nothing_is_written(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, out = tmp_path / "cut.json", tmp_path / "edited"
    projections = tuple(p for p in find_projections(load_model(study.parent / "model")))
    other = write_study(tmp_path / "other", seed=1)
    editor = Editor(
        load_model(other.parent / "model"), Study.open(other).bases("kfac"), projections[-3:],
        "kfac", 0,
    )  # fmt: skip
    save_recipe(cut, editor.recipe(0.9), editor.kept(0.9))
    before = sorted(tmp_path.rglob("*"))
    recipe = ("--recipe", cut)
    refused: tuple[tuple[tuple[str | Path, ...], str], ...] = (
        ((), "How much shall stay"),
        (recipe, "made in another curvature basis"),
        ((*recipe, "--mass", "0.9"), "says itself what it keeps"),
        (("--recipe", tmp_path / "no.json"), "There is no file"),
        (("--recipe", study / "study.json"), "does not hold a recipe"),
        (("--recipe", "kfak", "--mass", "0.9"), 'No recipe "kfak"'),
        (("--mass", "0.9", "--until", "0.5"), "before it begins"),
        (("--mass", "0.9", "--save-recipe", tmp_path / "cut.txt"), "ending .json"),
        (("--mass", "0.9", "--save-recipe", tmp_path / "no" / "cut.json"), "There is no folder"),
        (("--mass", "0.9", "--layers-json", tmp_path / "no" / "l.json"), "There is no folder"),
        (("--mass", "0.9", "--layers-json", tmp_path), "ending .json"),
    )
    for options, said in refused:
        code = run(monkeypatch, "edit", study, "--save", out, *options)
        assert isinstance(code, str) and said in code and code.endswith("."), (options, code)
        assert len(code.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("mass", ["1.5", "-0.1", "nan"])
def test_edit_refuses_a_mass_outside_0_to_1_and_writes_nothing(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mass: str
) -> None:
    code = run(monkeypatch, "edit", study, f"--mass={mass}", "--save", tmp_path / "edited")
    assert isinstance(code, str)
    assert code.endswith(".")
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study(tmp_path)
    path = tmp_path / "model" / "model.safetensors"
    weights = load_file(path)
    weights["model.norm.weight"][3] = float("nan")
    save_file(weights, path, metadata={"format": "pt"})
    assert "model.norm.weight" in str(run(monkeypatch, "check", study))


def test_an_installation_without_its_clone_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    assert "runs from a clone" in str(run(monkeypatch, "dashboard"))


def test_dashboard_takes_the_next_free_port_and_ends_quietly(study: Path, tmp_path: Path) -> None:
    with taken(8501), served("dashboard", "--study", str(study), cwd=tmp_path) as process:
        assert process.stdout is not None
        printed = ""
        while not (found := re.search(r"URL: (http://localhost:(\d+))", printed)):
            line = process.stdout.readline()
            assert line, f"the server ended: {printed}"
            printed += line
        assert int(found[2]) > 8501
        with urllib.request.urlopen(f"{found[1]}/_stcore/health", timeout=30) as answer:
            assert answer.read() == b"ok"
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "Traceback" not in printed + rest
        assert "mail" not in printed


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Hold the port, unless another program holds it already."""
    with ExitStack() as stack:
        holder = stack.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", port))
            holder.listen()
        except OSError:
            pass
        yield


@contextmanager
def served(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A running `hillshade`, with a home of its own where no earlier answer is stored."""
    process = subprocess.Popen(
        [COMMAND, *arguments],
        cwd=cwd,
        env=os.environ | {"HOME": str(cwd)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)
