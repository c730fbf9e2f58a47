"""Factors whose G carries an unstored factor: edits as ever, and no absolute curvature anywhere."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.factors import collect
from core.inspection import holdings
from core.projection import find_projections, select
from core.study import Study
from dashboard import bar
from dashboard.figures import projections, spectrum
from tests.core.test_cli import run
from tests.dashboard.test_pages import component, open_page
from tests.study_factory import PROJECTIONS, sentence, tiny_model, tiny_tokenizer

NAME = PROJECTIONS[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a text, strings, and a folder of factors as kronfluence writes them."""
    folder = tmp_path_factory.mktemp("imported")
    tokenizer, rng = tiny_tokenizer(), random.Random(5)
    model = tiny_model(len(tokenizer))
    tokenizer.save_pretrained(folder / "model")
    model.save_pretrained(folder / "model")
    texts = [sentence(rng) for _ in range(60)]
    (folder / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    pairs = [{"prefix": sentence(rng), "suffix": f" {sentence(rng)}"} for _ in range(4)]
    (folder / "strings.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pairs))
    projections = select(find_projections(model), [1])
    found = collect(model, [tokenizer.encode(text) for text in texts], projections)
    count = torch.tensor([found.count])
    (folder / "theirs").mkdir()
    for kind, sums in (
        ("activation", {p.name: found.a_sums[p.input_key].clone() for p in projections}),
        ("gradient", {p.name: found.g_sums[p.name] / 37.0 for p in projections}),
    ):
        save_file(sums, folder / "theirs" / f"{kind}_covariance.safetensors")
        counts = {name: count.clone() for name in sums}
        save_file(counts, folder / "theirs" / f"num_{kind}_covariance_processed.safetensors")
    return folder


@pytest.fixture(scope="module")
def made(folder: Path) -> dict[str, Path]:
    """A study of the same factors where their loss is known to be summed, and where it is not."""
    studies: dict[str, Path] = {}
    with pytest.MonkeyPatch.context() as patch:
        for scale, options in (("summed", ["--summed"]), ("unknown", [])):
            factors, out = folder / f"{scale}.safetensors", folder / scale / "study"
            out.parent.mkdir()
            assert run(
                patch, "import", folder / "theirs", "--model", folder / "model",
                "--labels", "gold", "--out", factors, *options,
            ) in (None, 0)  # fmt: skip
            assert run(
                patch, "collect", folder / "model", "--texts", folder / "texts.txt",
                "--context", "24", "--factors", factors, "--strings", folder / "strings.jsonl",
                "--out", out,
            ) in (None, 0)  # fmt: skip
            studies[scale] = out
    return studies


def test_ranking_and_edits_are_those_of_known_scale(made: dict[str, Path]) -> None:
    summed, unknown = (Study.open(made[scale]) for scale in ("summed", "unknown"))
    for study, scale in ((summed, "summed"), (unknown, "unknown")):
        assert study.manifest.scale == study.factors().scale == study.basis(NAME).scale == scale
        assert study.manifest.labels == "gold" and "imported" in study.manifest.convention
        told = dict(holdings(study))["factors"]
        assert told.endswith("scale unknown" if scale == "unknown" else "summed loss")
    assert [r.ticks for r in summed.recipes] == [r.ticks for r in unknown.recipes]
    assert summed.points.equals(unknown.points) and summed.scores.equals(unknown.scores)
    assert set(summed.spectra()) == set(PROJECTIONS)  # all that the file covers


def test_absolute_curvatures_are_told_in_units_of_the_largest(made: dict[str, Path]) -> None:
    known, study = (Study.open(made[scale]) for scale in ("summed", "unknown"))
    (recipe,) = study.recipes
    name = recipe.projections[0]
    edges = [spectrum.edge(s, recipe, name) for s in (known, study)]
    absolute, told = (
        spectrum.spectrum(s, recipe, name, 3, edge)
        for s, edge in zip((known, study), edges, strict=True)
    )
    lam, mu = study.spectra()[name]
    assert told.products[0] == pytest.approx(1.0) and told.label == "λᵢμⱼ / largest"
    assert absolute.label == "curvature λᵢμⱼ" and spectrum.UNKNOWN not in absolute.how
    assert spectrum.UNKNOWN in told.how and told.payload()["label"] == told.label
    np.testing.assert_allclose(
        np.array(told.products) * lam[0] * mu[0], absolute.products, rtol=1e-3
    )
    assert edges[0].kept == edges[1].kept and edges[0].rows == edges[1].rows
    np.testing.assert_allclose(np.array(edges[1].cutoff) * lam[0] * mu[0], edges[0].cutoff)
    deepest = len(recipe.ticks) - 1
    assert "of the largest" in spectrum.findings(recipe, edges[1], told.total, name)[deepest][1]
    assert "of the largest" not in spectrum.findings(recipe, edges[0], told.total, name)[deepest][1]
    values = projections.eigenvalues(study, name)
    assert values.largest[1] is None and values.largest[0] is not None
    assert values.table().query("factor == 'G'")["eigenvalue"].isna().all()
    small = projections.multiples(study, recipe, deepest).table()
    assert "largest λᵢμⱼ" not in small and "cut-off / largest" in small
    assert "largest λᵢμⱼ" in projections.multiples(known, recipe, deepest).table()
    cutoffs = [bar._cutoffs(s, recipe, name)[deepest] for s in (known, study)]
    assert cutoffs[1].endswith("of the largest") and cutoffs[0] + " of the largest" != cutoffs[1]


def test_the_pages_say_why(monkeypatch: pytest.MonkeyPatch, made: dict[str, Path]) -> None:
    for scale, said in (("unknown", True), ("summed", False)):
        at = open_page(monkeypatch, made[scale], "spectrum")
        assert not at.exception
        captions = [caption.value for caption in at.caption]
        assert any(spectrum.UNKNOWN in caption for caption in captions) == said
        readout = component(at, "hillshade_bar")["readouts"][3]
        assert (spectrum.UNKNOWN in readout["hint"]) == said


def test_a_slice_has_no_prediction_of_kfac_and_keeps_its_share_of_the_mass(
    monkeypatch: pytest.MonkeyPatch, made: dict[str, Path], tmp_path: Path
) -> None:
    told = []
    for scale in ("summed", "unknown"):
        out = tmp_path / f"{scale}.json"
        along = ("--along", "eigendirection:1.up:0:1", "--points", "3")
        assert run(monkeypatch, "slice", made[scale], *along, "--out", out) in (None, 0)
        told.append(json.loads(out.read_text(encoding="utf-8")))
    lam, mu = Study.open(made["summed"]).spectra()[NAME]
    assert told[0]["kfac"][0][0] == pytest.approx(lam[0] * mu[1], rel=1e-3)
    assert told[1]["kfac"] is None
    assert told[0]["mass_share"] == told[1]["mass_share"] > 0.0
    assert told[0]["groups"] == told[1]["groups"]


def test_what_does_not_fit_is_refused(
    monkeypatch: pytest.MonkeyPatch, folder: Path, made: dict[str, Path], tmp_path: Path
) -> None:
    """Another model's factors, layers they do not cover, and others in their place on replay."""
    other = tmp_path / "other"
    tiny_tokenizer().save_pretrained(other)
    tiny_model(len(tiny_tokenizer()), seed=1).save_pretrained(other)
    factors, texts = folder / "unknown.safetensors", folder / "texts.txt"
    rest = ("--texts", texts, "--context", "24", "--out", tmp_path / "study", "--factors")
    again = ("--config", made["unknown"], "--out", tmp_path / "study")
    changed = tmp_path / "changed.jsonl"
    changed.write_text("\n".join((folder / "strings.jsonl").read_text().splitlines()[:3]))
    before = sorted(tmp_path.iterdir())
    for options, said in (
        ((other, *rest, factors), "of other weights"),
        ((folder / "model", *rest, factors, "--layers", "0"), "There is no layer 0"),
        ((folder / "model", *rest, folder / "nowhere"), "There is no file"),
        ((*again, "--factors", folder / "summed.safetensors"), "The factors in"),
        ((*again, "--strings", changed), "The strings in"),
    ):
        code = run(monkeypatch, "collect", *options)
        assert isinstance(code, str) and said in code and code.endswith("."), code
        assert sorted(tmp_path.iterdir()) == before
    assert run(monkeypatch, "collect", *again) in (None, 0)
