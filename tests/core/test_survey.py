"""A study of one's own, from a folder and a text file to a study that opens, and every refusal."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Olmo2ForCausalLM

from core import survey as surveying
from core.basis import bases
from core.batches import pad
from core.checkpoint import Checkpoint
from core.choose import NoCandidateError
from core.errors import HillshadeError
from core.factors import collect
from core.inspection import inspection
from core.model import load_model, load_tokenizer
from core.projection import find_projections, select
from core.request import Dtype, Request
from core.rows import Batch, Tap
from core.study import Study
from core.survey import survey
from core.textfile import held_out, read_windows
from tests.core.processes import together
from tests.core.test_cli import run
from tests.study_factory import sentence, tiny_model, tiny_tokenizer

WINDOW = 24


class Silent:
    """Stages that note their names, and may cancel in one of them."""

    def __init__(self, stop: str | None = None) -> None:
        self.names: list[str] = []
        self._stop = stop

    @contextmanager
    def part(self, name: str) -> Iterator[Callable[..., None]]:
        self.names.append(name)

        def show(done: int, total: int, label: object = "") -> None:
            if name == self._stop:
                raise KeyboardInterrupt

        yield show


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that recites four of eight strings, a text, and the strings."""
    folder = tmp_path_factory.mktemp("own")
    tokenizer = tiny_tokenizer()
    model = tiny_model(len(tokenizer))
    rng = random.Random(1)
    strings = [(sentence(rng), f" {sentence(rng)}") for _ in range(8)]
    learn(model, [tokenizer.encode(a + b) for a, b in strings])
    tokenizer.save_pretrained(folder / "model")
    model.save_pretrained(folder / "model")
    text = "\n".join(sentence(rng) for _ in range(90))
    (folder / "texts.txt").write_text(text, encoding="utf-8")
    lines = [json.dumps({"prefix": a, "suffix": b}) + "\n" for a, b in strings]
    (folder / "strings.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def learn(model: Olmo2ForCausalLM, texts: list[list[int]]) -> None:
    ids = pad(texts, torch.device("cpu"))
    lengths = torch.tensor([len(text) for text in texts])
    labels = ids.masked_fill(torch.arange(ids.shape[1]) >= lengths[:, None], -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(120):
        model(ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def request(folder: Path, out: Path, **changes: object) -> Request:
    asked = Request(str(folder / "model"), folder / "texts.txt", out, layers=(1,), context=WINDOW)
    return replace(asked, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plain(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return survey(request(folder, tmp_path_factory.mktemp("plain") / "study"), Silent())


def test_the_factors_are_those_of_the_windows_that_were_not_kept_back(
    folder: Path, plain: Path
) -> None:
    model = load_model(folder / "model")
    study = Study.open(plain, model)
    windows = read_windows(folder / "texts.txt", load_tokenizer(folder / "model"), WINDOW)
    kept = study.manifest.counts["windows kept from the factors"]
    sample, _, report = held_out(windows, kept, 0)
    projections = select(find_projections(model), [1])
    again = collect(model, sample, projections)
    stored = study.factors()
    assert stored.count == again.count == study.manifest.counts["factor positions"]
    made = bases(again, projections)
    for name, (lam, mu) in study.spectra().items():
        assert np.array_equal(lam, made[name].lam) and np.array_equal(mu, made[name].mu)
    # Perplexity of the unedited model on the reporting half, by transformers' own loss.
    losses, tokens = 0.0, 0
    for window in report:
        row = torch.tensor([window])
        losses += float(model(row, labels=row).loss) * (len(window) - 1)
        tokens += len(window) - 1
    assert study.points["ppl_report"][0] == pytest.approx(np.exp(losses / tokens), rel=1e-5)


def test_a_study_without_strings_knows_prices_only(plain: Path) -> None:
    assert all(check.ok for check in inspection(plain))
    study = Study.open(plain)
    (recipe,) = study.recipes
    assert study.items.empty and study.scores.empty and study.outputs.empty
    assert study.item_list() == ()
    assert recipe.chosen is None and recipe.ticks[0] == 1.0 and len(recipe.ticks) > 10
    points = study.points
    assert list(points["setting"]) == list(recipe.ticks)
    assert (points["ratio_low"] <= points["ratio_report"]).all()
    assert points["directions_kept"].is_monotonic_decreasing
    manifest = study.manifest
    assert (manifest.planted_share, manifest.noise_rate, manifest.labels) == (None, None, "sampled")
    assert shlex.split(manifest.command)[:2] == ["hillshade", "collect"]


def test_strings_are_chosen_on_one_half_and_reported_on_the_other(
    folder: Path, tmp_path: Path
) -> None:
    stages = Silent()
    strings = folder / "strings.jsonl"
    path = survey(request(folder, tmp_path / "study", strings=strings, seed=3), stages)
    study = Study.open(path, load_model(folder / "model"))
    assert stages.names[-3:] == ["choosing projections", "sweep", "writing"]
    assert all(check.ok for check in inspection(path))
    (recipe,) = study.recipes
    strict = study.scores.query("measure == 'strict' and tick == 0").set_index("split")
    assert dict(strict["n"]) == {"choose": 4, "report": 4}
    assert (strict["value"] == 1.0).all()  # the model recites them
    last = study.scores.query("measure == 'strict'").groupby("tick")["value"].max()
    assert last.iloc[-1] < 1.0  # and not when nearly everything is cut
    if recipe.chosen is not None:
        ratio = study.points["ppl_choose"][recipe.chosen] / study.points["ppl_choose"][0]
        assert ratio <= 1.0101
    assert set(recipe.projections) <= set(study.spectra())


def test_cancelling_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    for stop in ("factors", "sweep"):
        with pytest.raises(KeyboardInterrupt):
            survey(request(folder, tmp_path / "study"), Silent(stop))
        assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_done_is_said_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    bare, odd = tmp_path / "bare", tmp_path / "odd"
    load_model(folder / "model").save_pretrained(bare)
    odd.write_text("no folder", encoding="utf-8")
    short = tmp_path / "short.txt"
    short.write_text("The old kettle faces the quiet mill.", encoding="utf-8")
    same = tmp_path / "same.txt"
    same.write_text("The ferry. " * 300, encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    out = tmp_path / "study"
    for changes, said in (
        ({"model": str(tmp_path / "nowhere")}, "No model of transformers|no tokenizer"),
        ({"model": "hillshade/no-such-model"}, "No model of transformers|no tokenizer"),
        ({"model": str(bare)}, "There is no tokenizer"),
        ({"texts": tmp_path / "nowhere.txt"}, "There is no file"),
        ({"texts": short}, "different windows"),
        ({"texts": same}, "different windows|repeats itself"),
        ({"out": bare}, "already exists"),
        ({"out": odd / "study"}, "cannot be written"),
        ({"layers": (7,)}, "There is no layer 7"),
        ({"context": 4096}, "the model reads 128"),
    ):
        with pytest.raises(HillshadeError, match=said) as error:
            survey(request(folder, changes.pop("out", out), **changes), Silent())  # type: ignore[arg-type]
        assert str(error.value).endswith(".") and "\n" not in str(error.value)
        assert sorted(tmp_path.iterdir()) == before


def test_a_failed_sweep_is_no_lost_collection(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no cut costs as little as tolerated, everything is swept and nothing is chosen."""

    def none(*args: object, **kwargs: object) -> None:
        raise NoCandidateError("No candidate.")

    monkeypatch.setattr(surveying, "choose", none)
    asked = request(folder, tmp_path / "study", strings=folder / "strings.jsonl")
    (recipe,) = Study.open(survey(asked, Silent())).recipes
    assert recipe.chosen is None and len(recipe.projections) == 3


def test_the_command_line_tells_its_progress_and_ends_on_a_signal(
    folder: Path, tmp_path: Path
) -> None:
    asked = request(folder, tmp_path / "study")
    command = [sys.executable, "-m", "core.cli", *shlex.split(asked.command)[1:], "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stderr is not None
        assert json.loads(process.stderr.readline())["part"] == "loading the model"
        assert (tmp_path / "study.part").is_dir()
        process.send_signal(signal.SIGTERM)
        told, errors = process.communicate(timeout=100)
    # Python ends itself by SIGINT, 130 to a shell, where the signal came while it ran a string.
    assert process.returncode in (130, -signal.SIGINT) and told == "", errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_survey_goes_on_where_it_was(
    folder: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveying, "Checkpoint", partial(Checkpoint, every=0))
    monkeypatch.setattr(surveying, "batch_of", lambda model, context: 4)
    asked = request(folder, tmp_path / "study")
    with pytest.raises(KeyboardInterrupt):
        survey(asked, Silent("factors"))
    assert [path.name for path in tmp_path.iterdir()] == ["study.checkpoint"]
    other = replace(asked, seed=5)
    with pytest.raises(HillshadeError, match="of another run"):
        survey(other, Silent())
    read: list[int] = []
    run = Tap.run

    def watched(tap: Tap, batch: Batch, *args: object, **options: object) -> None:
        read.append(len(batch.sequences))
        run(tap, batch, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Tap, "run", watched)
    study = Study.open(survey(asked, Silent()))
    assert [path.name for path in tmp_path.iterdir()] == ["study"]
    counts = study.manifest.counts
    assert sum(read) == counts["windows"] - counts["windows kept from the factors"] - 4
    assert study.factors().count == Study.open(plain).factors().count


def as_rank(command: list[str]) -> str | int | None:
    """The command line in this process, as torchrun starts it; its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        return run(patch, *command)


@pytest.mark.parametrize(
    ("dtype", "apart"), [("float32", 1e-5), ("bfloat16", 2e-2)], ids=["float32", "bfloat16"]
)
def test_a_model_in_parts_on_two_processes_gives_the_study_of_a_whole_one(
    dtype: Dtype, apart: float, folder: Path, tmp_path: Path
) -> None:
    """Sums differ by rounding only: of float32, or, where products are split, of bfloat16."""
    asked = request(folder, tmp_path / "parts", dtype=dtype, shard=True)
    assert set(together(as_rank, 2, shlex.split(asked.command)[1:])) <= {None, 0}
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]
    alone = survey(request(folder, tmp_path / "alone", dtype=dtype), Silent())
    model = load_model(folder / "model")
    parted, whole = (Study.open(path, model) for path in (tmp_path / "parts", alone))
    two, one = parted.factors(), whole.factors()
    assert two.count == one.count and two.digests == one.digests
    for p in one.projections:
        for ours, theirs in ((two.a(p.name), one.a(p.name)), (two.g(p.name), one.g(p.name))):
            assert float((ours - theirs).norm()) <= apart * float(theirs.norm())
    assert parted.manifest.request is not None
    assert (parted.manifest.request["dtype"], parted.manifest.request["shard"]) == (dtype, True)
    assert parted.points["ppl_report"][0] == whole.points["ppl_report"][0]  # asked in float32


def test_a_study_in_bfloat16_has_factors_of_rounded_weights_and_edits_the_given_ones(
    folder: Path, plain: Path, tmp_path: Path
) -> None:
    path = survey(request(folder, tmp_path / "study", dtype="bfloat16"), Silent())
    model = load_model(folder / "model")
    study, usual = Study.open(path, model), Study.open(plain, model)
    windows = read_windows(folder / "texts.txt", load_tokenizer(folder / "model"), WINDOW)
    sample, *_ = held_out(windows, study.manifest.counts["windows kept from the factors"], 0)
    projections = select(find_projections(model), [1])
    narrow = collect(model, sample, projections, dtype=torch.bfloat16)
    found, wide = study.factors(), usual.factors()
    assert found.digests == narrow.digests == wide.digests
    for p in projections:
        assert torch.equal(found.g(p.name), narrow.g(p.name))
        apart = float((found.a(p.name) - wide.a(p.name)).norm()) / float(wide.a(p.name).norm())
        assert 1e-6 < apart < 0.02  # G may differ by more: labels are drawn from other logits
        assert found.g_sums[p.name].dtype == torch.float32
    with pytest.raises(HillshadeError, match="start them by torchrun"):
        survey(request(folder, tmp_path / "parts", shard=True), Silent())


@pytest.mark.timeout(300)
def test_processes_that_a_launcher_started_make_one_study(folder: Path, tmp_path: Path) -> None:
    """Two processes as torchrun starts them; the factors of `plain`, to float32's rounding."""
    asked = request(folder, tmp_path / "study")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["--no-python", sys.executable, "-m", "core.cli", *shlex.split(asked.command)[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("The study is in") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["study"]
    alone = survey(request(folder, tmp_path / "alone"), Silent())
    two, one = (Study.open(path).factors() for path in (tmp_path / "study", alone))
    assert two.count == one.count and two.digests == one.digests
    for p in one.projections:
        for ours, theirs in ((two.a(p.name), one.a(p.name)), (two.g(p.name), one.g(p.name))):
            assert float((ours - theirs).norm()) <= 1e-5 * float(theirs.norm())
