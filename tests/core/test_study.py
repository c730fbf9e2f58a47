"""The study folder: what goes in comes out, and nothing damaged, foreign or half-written opens."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import HillshadeError, StudyError
from core.manifest import DOCUMENTS, HEAVY, LIGHT, PICTURES, Manifest, StoredRecipe, digest_of
from core.model import load_model
from core.study import Study, StudyWriter
from core.tables import COLUMNS, read_table, write_table
from tests.study_factory import PROJECTIONS, tiny_items, tiny_tokenizer, write_study


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and its whole study; treat it as read-only."""
    folder = tmp_path_factory.mktemp("home")
    write_study(folder)
    return folder


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    """A study to damage."""
    return Path(shutil.copytree(home / "study", tmp_path / "study"))


def test_a_study_gives_back_what_was_written(home: Path) -> None:
    model = load_model(home / "model")
    study = Study.open(home / "study", model)
    assert study.item_list() == tiny_items(tiny_tokenizer())
    assert [recipe.id for recipe in study.recipes][:3] == ["kfac", "svd", "magnitude"]
    assert study.manifest == replace(study.manifest)
    assert Manifest.read(home / "study") == study.manifest
    recipe = study.manifest.recipe("kfac")
    assert recipe.equal == {"0.003": 4, "0.01": 6}
    assert recipe.tick_at(0.9951) == recipe.ticks.index(0.995)
    for name in ("items", "points", "scores", "outputs"):
        assert list(getattr(study, name).columns) == COLUMNS[name].names
    outputs = study.outputs
    assert len(outputs) == len(study.items) * sum(len(r.ticks) for r in study.recipes)
    assert not outputs["output"].isna().any()
    unedited = outputs[(outputs.recipe == "kfac") & (outputs.tick == 0) & outputs.strict]
    truths = study.items.set_index("id")["truth"]
    assert len(unedited) > 30
    assert (unedited["output"].astype(str).to_numpy() == truths[unedited["item"]].to_numpy()).all()
    scores = study.scores
    assert scores[scores.measure == "accuracy"].repeats.isna().all()
    assert scores[scores.measure == "strict"].repeats.notna().all()
    assert study.training is not None
    assert study.training["points"][0]["step"] == 0
    assert study.acceptance == {"tables": []}


def test_spectra_bases_and_factors_belong_together(home: Path) -> None:
    study = Study.open(home / "study")
    assert study.has_heavy
    spectra, bases = study.spectra(), study.bases("kfac")
    assert set(spectra) == set(bases) == set(PROJECTIONS)
    for name, (lam, mu) in spectra.items():
        assert np.array_equal(lam, bases[name].lam)
        assert np.array_equal(mu, bases[name].mu)
        assert study.staircase(name).kept(0.9).count == bases[name].staircase.kept(0.9).count
        with pytest.raises(ValueError, match="read-only"):
            lam[0] = 1.0
    # The recipe with another planted share lives in the bases of exactly those mixed factors.
    mixed = study.factors(0.2)
    other = study.bases("kfac-share-0.2")[PROJECTIONS[0]]
    assert other.lam.sum() == pytest.approx(float(mixed.g(PROJECTIONS[0]).trace()), rel=1e-5)
    assert not np.array_equal(other.lam, spectra[PROJECTIONS[0]][0])
    same = study.bases("kfac-share-0.001")[PROJECTIONS[0]]
    assert np.array_equal(same.lam, spectra[PROJECTIONS[0]][0])
    assert study.factors(0.0).count == study.factors().count
    with pytest.raises(StudyError, match='No recipe "nothing"'):
        study.bases("nothing")
    with pytest.raises(StudyError, match="no spectrum of"):
        study.staircase("nothing")


def test_a_pooled_recipe_keeps_what_one_cutoff_over_all_its_pairs_keeps(home: Path) -> None:
    study = Study.open(home / "study")
    apart = study.manifest.recipe("kfac")
    pooled = replace(apart, pooled=True)
    products = {name: np.outer(*study.spectra()[name]) for name in pooled.projections}
    every = np.sort(np.concatenate([grid.ravel() for grid in products.values()]))[::-1]
    for mass in (0.5, 0.9):
        cutoff = every[np.searchsorted(every.cumsum(), mass * every.sum())]
        counts = {name: study.kept(pooled, name, mass).count for name in products}
        assert counts == {name: int((grid >= cutoff).sum()) for name, grid in products.items()}
        assert counts != {name: study.kept(apart, name, mass).count for name in products}
    assert all(study.kept(pooled, name, 1.0).whole for name in products)


def test_a_study_without_its_heavy_part_shows_results_and_says_what_is_missing(copy: Path) -> None:
    for name in HEAVY:
        (copy / name).unlink()
    study = Study.open(copy)
    assert not study.has_heavy
    assert len(study.points) > 0
    assert study.staircase(PROJECTIONS[0]).pairs == 64 * 32
    with pytest.raises(StudyError, match="live edits need the whole study"):
        study.bases("kfac")
    with pytest.raises(StudyError, match="came without its factors"):
        study.factors()


def edit_manifest(study: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((study / "study.json").read_text(encoding="utf-8"))
    change(manifest)
    (study / "study.json").write_text(json.dumps(manifest), encoding="utf-8")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def cut_and_confess(study: Path, name: str) -> None:
    """Cut a file short and write its new size and digest into the manifest."""
    cut(study / name)
    record = vars(digest_of(study / name))
    edit_manifest(study, lambda manifest: manifest["files"].update({name: record}))


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))


def list_as(study: Path, name: str) -> None:
    """Name a file in the manifest that no study holds."""
    edit_manifest(study, lambda m: m["files"].update({name: m["files"]["items.parquet"]}))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder gone": (shutil.rmtree, "There is no study folder"),
    "still being written": (lambda s: s.rename(f"{s}.part"), "half-written"),
    "no manifest": (lambda s: (s / "study.json").unlink(), "half-written or no study"),
    "manifest cut": (lambda s: cut(s / "study.json"), "no readable JSON"),
    "manifest a list": (lambda s: (s / "study.json").write_text("[]"), "no JSON object"),
    "manifest deeply nested": (
        lambda s: (s / "study.json").write_text("[" * 100_000),
        "no readable JSON",
    ),
    "count a word": (
        lambda s: edit_manifest(s, lambda m: m["counts"].update(positions="many")),
        r"wrong form \(counts is",
    ),
    "weights a word": (
        lambda s: edit_manifest(s, lambda m: m["model"].update(parameters="many")),
        r"wrong form \(parameters is 'many'\)",
    ),
    "title a list": (
        lambda s: edit_manifest(s, lambda m: m["recipes"][0].update(title=["a"])),
        r"wrong form \(title is",
    ),
    "table missing": (lambda s: (s / "scores.parquet").unlink(), "lacks scores.parquet"),
    "table cut": (lambda s: cut(s / "items.parquet"), "bytes instead of"),
    "table changed": (lambda s: flip(s / "outputs.parquet"), "was changed since"),
    "document changed": (lambda s: flip(s / "training.json"), "was changed since"),
    "spectra cut": (lambda s: cut_and_confess(s, "spectra.safetensors"), "is cut short"),
    "basis cut": (lambda s: cut(s / "basis.safetensors"), "bytes instead of"),
    "basis cut knowingly": (lambda s: cut_and_confess(s, "basis.safetensors"), "is cut short"),
    "basis of zeros": (
        lambda s: (s / "basis.safetensors").write_bytes(
            bytes((s / "basis.safetensors").stat().st_size)
        ),
        "is cut short",
    ),
    "format of tomorrow": (
        lambda s: edit_manifest(s, lambda m: m.update(schema_version=2)),
        "has format 2; this version of Hillshade reads format 1",
    ),
    "field missing": (lambda s: edit_manifest(s, lambda m: m.pop("labels")), "lacks a field"),
    "field unknown": (lambda s: edit_manifest(s, lambda m: m.update(x=1)), "lacks a field"),
    "ticks unsorted": (
        lambda s: edit_manifest(s, lambda m: m["recipes"][0]["ticks"].reverse()),
        "ticks falling from 1",
    ),
    "mark beyond the ticks": (
        lambda s: edit_manifest(s, lambda m: m["recipes"][0].update(chosen=99)),
        "marks among them",
    ),
    "recipe twice": (
        lambda s: edit_manifest(s, lambda m: m["recipes"].append(m["recipes"][0])),
        "share one id",
    ),
    "table unlisted": (
        lambda s: edit_manifest(s, lambda m: m["files"].pop("points.parquet")),
        "lists no points.parquet",
    ),
}
for odd in ("../items.parquet", "/etc/passwd", "a/../items.parquet", "x.pkl", ""):
    DAMAGE[f"file name {odd}"] = (partial(list_as, name=odd), "do not trust this folder")


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_study_is_refused_with_a_sentence(copy: Path, damage: str) -> None:
    assert Study.open(copy).manifest.recipes  # negative control: whole before
    break_it, sentence = DAMAGE[damage]
    break_it(copy)
    with pytest.raises(StudyError, match=sentence):
        Study.open(copy)


def test_a_folder_that_is_being_written_is_never_opened(copy: Path) -> None:
    part = copy.rename(f"{copy}.part")
    with pytest.raises(StudyError, match="is half-written"):
        Study.open(part)


def test_a_study_of_another_model_is_refused(home: Path) -> None:
    model = load_model(home / "model")
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1e-6
    with pytest.raises(StudyError, match="was made of other weights"):
        Study.open(home / "study", model)


def test_a_parquet_file_of_other_columns_is_refused(copy: Path) -> None:
    shutil.copy(copy / "points.parquet", copy / "scores.parquet")
    record = vars(digest_of(copy / "scores.parquet"))
    edit_manifest(copy, lambda manifest: manifest["files"].update({"scores.parquet": record}))
    with pytest.raises(StudyError, match="other columns"):
        _ = Study.open(copy).scores


@pytest.mark.parametrize(
    ("value", "sentence"), [("<b>3", "other columns"), (None, r"points\.parquet lacks a tick")]
)
def test_a_column_of_another_type_or_with_gaps_is_refused(
    copy: Path, value: str | None, sentence: str
) -> None:
    table = pq.read_table(copy / "points.parquet")
    assert read_table("points", copy / "points.parquet")["tick"].dtype == "int32"
    kind = pa.string() if value else pa.int32()
    wrong = pa.array([value] * len(table), kind)
    pq.write_table(table.set_column(1, "tick", wrong), copy / "points.parquet")
    with pytest.raises(StudyError, match=sentence):
        read_table("points", copy / "points.parquet")


def test_one_reader_cannot_change_what_another_sees(home: Path) -> None:
    study = Study.open(home / "study")
    frames: list[pd.DataFrame] = []
    threads = [threading.Thread(target=lambda: frames.append(study.points)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(frames) == 8
    frames[0].loc[0, "ppl_report"] = -1.0
    frames[1]["setting"] = 0.0
    fresh = study.points
    assert fresh.loc[0, "ppl_report"] > 0
    assert fresh["setting"].max() == 1.0
    study.spectra().clear()
    assert study.spectra()
    with pytest.raises(TypeError):
        study.manifest.recipes[0].equal["0.5"] = 1  # type: ignore[index]


def rewrite(source: Study, writer: StudyWriter) -> Manifest:
    """Fill a writer with another study's light part."""
    writer.items(source.item_list())
    for name in ("points", "scores", "outputs"):
        writer.table(name, getattr(source, name))
    writer.spectra(source.spectra())
    return source.manifest


def test_a_writer_that_is_left_early_leaves_everything_as_it_was(copy: Path) -> None:
    source = Study.open(copy)
    before = {path.name: path.read_bytes() for path in copy.iterdir()}

    def cancelled() -> None:
        with StudyWriter(copy) as writer:
            rewrite(source, writer)
            raise KeyboardInterrupt

    def incomplete() -> None:
        with StudyWriter(copy) as writer:
            writer.items(source.item_list())
            writer.finish(source.manifest)

    with pytest.raises(KeyboardInterrupt):
        cancelled()
    with pytest.raises(StudyError, match=r"lists no points\.parquet"):
        incomplete()
    with StudyWriter(copy):
        pass  # never finished
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    assert [path.name for path in copy.parent.iterdir()] == ["study"]


def test_a_finished_writer_replaces_the_study_and_leaves_no_debris(copy: Path) -> None:
    source = Study.open(copy)
    with StudyWriter(copy) as writer:
        writer.finish(replace(rewrite(source, writer), noise_rate=0.25))
    again = Study.open(copy)
    assert again.manifest.noise_rate == 0.25
    assert again.training is None
    assert set(again.manifest.files) == set(LIGHT) - {*DOCUMENTS, PICTURES}
    pd.testing.assert_frame_equal(again.outputs, source.outputs)
    pd.testing.assert_frame_equal(again.scores, source.scores)
    assert [path.name for path in copy.parent.iterdir()] == ["study"]


def test_a_study_stays_where_the_new_one_cannot_take_its_place(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Study.open(copy)
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self.name == "study.part":
            raise OSError("No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(OSError, match="No space"), StudyWriter(copy) as writer:
        writer.finish(rewrite(source, writer))
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    assert [path.name for path in copy.parent.iterdir()] == ["study"]


def test_what_lies_in_the_way_of_a_writer_is_not_deleted(copy: Path) -> None:
    part = copy.with_name("study.part")
    part.mkdir()
    (part / "thesis.txt").write_text("mine")
    with pytest.raises(HillshadeError, match="is in the way"), StudyWriter(copy):
        pass
    assert (part / "thesis.txt").read_text() == "mine"
    (part / "thesis.txt").rename(part / "points.parquet")
    with StudyWriter(copy):  # what a killed run left goes
        assert list(part.iterdir()) == []
        with pytest.raises(HillshadeError, match="Another run is writing"), StudyWriter(copy):
            pass
        assert part.is_dir()
    assert not part.exists()


def test_a_writer_refuses_what_no_study_holds(copy: Path, tmp_path: Path) -> None:
    source = Study.open(copy)
    (tmp_path / "photos").mkdir()
    with pytest.raises(StudyError, match="exists and is no study"):
        StudyWriter(tmp_path / "photos")
    with StudyWriter(tmp_path / "new") as writer:
        twice = [source.item_list()[0]] * 2
        with pytest.raises(StudyError, match="share one id"):
            writer.items(twice)
        with pytest.raises(StudyError, match="needs the columns"):
            writer.table("points", source.points.drop(columns="seed"))
        for name in ("table", "document"):
            with pytest.raises(StudyError, match=r'no (table|document) "\.\./x"'):
                getattr(writer, name)("../x", pd.DataFrame())
        with pytest.raises(StudyError, match=r'no file "\.\./x"'):
            writer.heavy("../x")
        with pytest.raises(ValueError, match="JSON"):
            writer.document("training.json", {"x": float("nan")})
        doubled = pd.concat([source.outputs, source.outputs.head(1)])
        with pytest.raises(StudyError, match="twice at one tick"):
            writer.table("outputs", doubled)
    with pytest.raises(HillshadeError, match="lies outside 0 to 1"):
        source.recipes[0].tick_at(1.5)
    assert isinstance(source.recipes[0], StoredRecipe)


rows = st.lists(
    st.tuples(
        st.sampled_from(["kfac", "svd"]),
        st.integers(0, 5),
        st.sampled_from(["a", "b", "ü/1"]),
        st.sampled_from(["", " x", "x", " x y", "\n", "né 😀"]),
        st.booleans(),
        st.sampled_from([0.0, 0.25, 1.0]),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda row: row[:3],
)


@settings(max_examples=60)
@given(rows=rows)
def test_outputs_are_packed_without_loss(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]]
) -> None:
    path = tmp_path_factory.mktemp("outputs") / "outputs.parquet"
    write_table(pd.DataFrame(rows, columns=COLUMNS["outputs"].names), "outputs", path)
    assert {tuple(row) for row in read_table("outputs", path).itertuples(index=False)} == set(rows)
