"""Bands, soft and pooled edits; recipes on disk; edits for other programs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.basis import bases
from core.edit import Editor, Recipe, edit_report, edited
from core.ekfac import Ekfac, collect_ekfac
from core.errors import HillshadeError
from core.export import layers_json, save_model
from core.factors import collect
from core.methods import IN_BASIS, METHODS, POOLED, RANKED
from core.projection import find_projections, select, weight_digest
from core.recipe import load_recipe, save_recipe
from tests.study_factory import tiny_model, tiny_tokenizer
from tests.tiny import TEXTS, tiny


class Setup:
    """One model with the bases and Λ of its last two layers."""

    def __init__(self, family: str) -> None:
        self.model = tiny(family).eval()
        self.projections = select(find_projections(self.model), [0, 1])
        made = collect(self.model, TEXTS, self.projections)
        self.bases = bases(made, self.projections)
        self.ekfac: dict[str, Ekfac] = collect_ekfac(
            self.model, TEXTS, self.bases, self.projections
        )

    def editor(self, method: str, **options: bool) -> Editor[Any]:
        return Editor(
            self.model, self.bases, self.projections, method, 5, ekfac=self.ekfac, **options
        )

    def weights(self, model: Any) -> list[Tensor]:
        return [p.weight(model).detach() for p in self.projections]


@pytest.fixture(scope="module")
def olmo2() -> Setup:
    return Setup("olmo2")


@pytest.mark.parametrize("method", sorted(RANKED))
def test_a_band_and_the_two_tails_around_it_make_up_the_weight(olmo2: Setup, method: str) -> None:
    """(W - W'_band) = (W - W'_inner) - (W - W'_outer): what is cut adds up."""
    editor = olmo2.editor(method)
    whole = olmo2.weights(olmo2.model)
    (inner, _), (outer, _), (band, report) = (
        editor.at(*numbers) for numbers in ((0.7,), (0.95,), (0.7, 0.95))
    )
    models = (olmo2.weights(model) for model in (inner, outer, band))
    for w, i, o, b in zip(whole, *models, strict=True):
        assert float((b - (w + i - o)).norm()) <= 1e-12 * float(w.norm())
    masks = [editor.kept(*n).values() for n in ((0.7,), (0.95,), (0.7, 0.95))]
    counts = [sum(kept.count for kept in sets) for sets in masks]
    assert report.directions_kept == counts[2] == report.directions_total - counts[1] + counts[0]
    same, report = editor.at(0.8, 0.8)  # an empty band is no edit
    assert weight_digest(same) == weight_digest(olmo2.model)
    assert report.directions_kept == report.directions_total


@pytest.mark.parametrize("method", list(METHODS))
def test_a_soft_edit_lies_on_the_line_between(olmo2: Setup, method: str) -> None:
    editor = olmo2.editor(method)
    hard, full = editor.at(0.6)
    for strength in (0.25, 1.0, 0.0):
        soft, report = editor.at(0.6, strength=strength)
        lost = energy = 0.0
        three = zip(*(olmo2.weights(m) for m in (olmo2.model, hard, soft)), strict=True)
        for w, cut, part in three:
            assert float((part - (w + strength * (cut - w))).norm()) <= 1e-13 * float(w.norm())
            lost, energy = lost + float((part - w).square().sum()), energy + float(w.square().sum())
        assert report.weight_kept == pytest.approx(1.0 - lost / energy, abs=1e-12)
    assert weight_digest(soft) == weight_digest(olmo2.model)
    assert editor.at(0.6, strength=1.0)[1] == full


def test_one_threshold_for_several_projections_keeps_the_mass_of_all(olmo2: Setup) -> None:
    for method in sorted(POOLED):
        pooled, apart = olmo2.editor(method, pooled=True), olmo2.editor(method)
        kept = pooled.kept(0.9).values()
        cutters = pooled._cutters.values()
        totals = [cutter.ranking.total for cutter in cutters]  # type: ignore[attr-defined]
        mass = sum(k.mass * t for k, t in zip(kept, totals, strict=True)) / sum(totals)
        last = min(k.cutoff for k in kept) / sum(totals)
        assert mass >= 0.9 * (1 - 1e-12) > mass - last - 1e-12
        # No pair that is cut anywhere scores above one that is kept anywhere.
        for chosen, cutter in zip(kept, cutters, strict=True):
            above = cutter.ranking.at_cutoff(min(k.cutoff for k in kept))  # type: ignore[attr-defined]
            assert chosen.count <= above.count
        assert [k.count for k in kept] != [k.count for k in apart.kept(0.9).values()]
    share = olmo2.editor("kfac", pooled=True, by_count=True).at(0.3)[1]
    assert share.directions_kept == round(0.3 * share.directions_total)


@pytest.mark.parametrize("method", list(METHODS))
def test_a_stored_recipe_makes_the_same_model_without_a_ranking(
    olmo2: Setup, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = (0.6, 0.9, 0.5) if method in RANKED else (0.6, 1.0, 0.5)
    editor = olmo2.editor(method, pooled=method in POOLED)
    recipe, (model, report) = editor.recipe(*numbers), editor.at(*numbers)
    path = tmp_path / "cut.json"
    save_recipe(path, recipe, editor.kept(*numbers[:2]))
    found, kept = load_recipe(path)
    assert found == recipe
    assert bool(kept) == (method in IN_BASIS - {"noise"})
    assert (
        sorted(f.name for f in tmp_path.iterdir())
        == ["cut.json", "cut.safetensors"][: 1 + bool(kept)]
    )
    again = edited(olmo2.model, found, olmo2.bases, ekfac=olmo2.ekfac)
    assert weight_digest(again) == weight_digest(model)
    if kept:
        monkeypatch.setattr("core.edit.Editor", None)  # nothing is ranked again, Λ is not needed
        again = edited(olmo2.model, found, olmo2.bases, kept=kept)
        assert edit_report(olmo2.model, found, olmo2.bases, kept=kept) == report
    assert weight_digest(again) == weight_digest(model)


def test_recipes_on_disk_are_refused_where_they_are_not_whole(olmo2: Setup, tmp_path: Path) -> None:
    path, beside = tmp_path / "cut.json", tmp_path / "cut.safetensors"
    editor = olmo2.editor("kfac")
    save_recipe(path, editor.recipe(0.6), editor.kept(0.6))
    text, data = path.read_text(), beside.read_bytes()
    for gone in (path, beside):  # one of the two is enough: beside a model lies model.safetensors
        gone.unlink()
        with pytest.raises(HillshadeError, match="already exists"):
            save_recipe(path, editor.recipe(0.5), editor.kept(0.5))
        path.write_text(text)
        beside.write_bytes(data)
    other = tmp_path / "other"
    other.mkdir()
    save_recipe(other / "cut.json", editor.recipe(0.5), editor.kept(0.5))
    beside.write_bytes((other / "cut.safetensors").read_bytes())
    with pytest.raises(HillshadeError, match="does not belong to"):
        load_recipe(path)  # what is left when the second file was never written
    beside.write_bytes(data)
    assert load_recipe(path)[0] == editor.recipe(0.6)
    document = json.loads(text)
    for change, sentence in (
        ({"kind": "study"}, "does not hold a recipe"),
        ({"version": 2}, "format 2"),
        ({"kept_file": None}, "which pairs it keeps"),
        ({"setting": 7}, "between 0 and 1"),
        ({"strength": None}, "no complete recipe"),
        ({"kept": [{**entry, "count": 1} for entry in document["kept"]]}, "no complete recipe"),
    ):
        path.write_text(json.dumps(document | change))
        with pytest.raises(HillshadeError, match=sentence):
            load_recipe(path)
    path.write_text(text[:40])
    with pytest.raises(HillshadeError, match="damaged or cut short"):
        load_recipe(path)
    with pytest.raises(HillshadeError, match="no file"):
        load_recipe(tmp_path / "nowhere.json")
    beside.unlink()
    path.write_text(text)
    with pytest.raises(HillshadeError, match="no file"):
        load_recipe(path)
    with pytest.raises(HillshadeError, match=r"ending \.json"):
        save_recipe(tmp_path / "cut.txt", editor.recipe(0.6), {})


def test_stored_pairs_are_refused_in_another_basis_or_model(olmo2: Setup) -> None:
    editor = olmo2.editor("kfac")
    recipe, kept = editor.recipe(0.6), editor.kept(0.6)
    other = bases(collect(olmo2.model, TEXTS[:2], olmo2.projections), olmo2.projections)
    with pytest.raises(HillshadeError, match="another curvature basis"):
        edited(olmo2.model, recipe, other, kept=kept)
    with pytest.raises(HillshadeError, match="other weights"):
        edited(tiny("olmo2", seed=1), recipe, olmo2.bases, kept=kept)
    up, down = recipe.projections[1:3]
    with pytest.raises(HillshadeError, match="kept pairs are not those of"):
        edited(olmo2.model, recipe, olmo2.bases, kept=kept | {up: kept[down]})
    corrected = olmo2.editor("ekfac_token").recipe(0.6)
    strange = collect_ekfac(olmo2.model, TEXTS[:2], olmo2.bases, olmo2.projections)
    with pytest.raises(HillshadeError, match="another curvature basis"):
        edited(olmo2.model, corrected, olmo2.bases, ekfac=strange)


def test_what_a_method_cannot_do_is_answered_by_a_sentence(olmo2: Setup) -> None:
    recipe = olmo2.editor("kfac").recipe(0.5)
    for change, sentence in (
        ({"until": 0.4}, "before it begins"),
        ({"until": 1.1}, "end of the cut"),
        ({"strength": -1.0}, "strength of"),
    ):
        with pytest.raises(HillshadeError, match=sentence):
            replace(recipe, **change)  # type: ignore[arg-type]
    with pytest.raises(HillshadeError, match="no band"):
        olmo2.editor("svd").at(0.5, 0.9)
    with pytest.raises(HillshadeError, match="no common unit"):
        olmo2.editor("only_a", pooled=True)
    with pytest.raises(HillshadeError, match="no number of them"):
        Recipe("svd", recipe.projections, 0.5, by_count=True)


def test_the_paper_s_format_says_the_mass_of_every_map(olmo2: Setup) -> None:
    editor = olmo2.editor("kfac")
    given = editor.recipe(0.6), editor.kept(0.6), olmo2.projections
    kinds = {"gate": 0.6, "up": 0.6, "down": 0.6}
    assert json.loads(layers_json(*given)) == {"0": kinds, "1": kinds}
    # Pooled: each map's own mass, which gives the same pairs when each is cut apart.
    pooled = olmo2.editor("kfac", pooled=True)
    kept = pooled.kept(0.97)
    document = json.loads(layers_json(pooled.recipe(0.97), kept, olmo2.projections))
    for p in olmo2.projections:
        mass = document[str(p.layer)][p.kind]
        alone = olmo2.bases[p.name].staircase.kept(mass)
        assert alone.count == kept[p.name].count
    for recipe, sentence in (
        (editor.recipe(0.6, 0.9), "only a curvature mass"),
        (olmo2.editor("svd").recipe(0.6), "only a curvature mass"),
        (editor.recipe(0.99995), "unedited"),
    ):
        with pytest.raises(HillshadeError, match=sentence):
            layers_json(recipe, editor.kept(0.6), olmo2.projections)
    gpt2 = Setup("gpt2")
    other = gpt2.editor("kfac")
    with pytest.raises(HillshadeError, match="do not know transformer"):
        layers_json(other.recipe(0.6), other.kept(0.6), gpt2.projections)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_saved_folder_is_one_of_transformers(dtype: torch.dtype, tmp_path: Path) -> None:
    """Opened as an evaluation harness does: from_pretrained on the folder and nothing else."""
    tokenizer = tiny_tokenizer()
    tiny_model(len(tokenizer)).save_pretrained(tmp_path / "original")
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "original", dtype=dtype)
    projections = select(find_projections(model), [1])
    texts = [tokenizer.encode("The old kettle faces the quiet mill.")]
    made = bases(collect(model, texts, projections), projections)
    cut, _ = Editor(model, made, projections, "kfac").at(0.9)
    folder = tmp_path / "edited"
    save_model(cut, tokenizer, folder)
    again: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    words = AutoTokenizer.from_pretrained(folder)("The old kettle faces the quiet mill.")
    ids = torch.tensor([words["input_ids"]])
    assert ids.tolist() == texts
    with torch.no_grad():
        assert again.dtype == dtype
        assert torch.equal(again(ids).logits, cut(ids).logits)
        assert not torch.equal(again(ids).logits, model(ids).logits)
    assert {path.name for path in tmp_path.iterdir()} == {"original", "edited"}
    with pytest.raises(HillshadeError, match="already exists"):
        save_model(cut, tokenizer, folder)
    with pytest.raises(HillshadeError, match="cannot be written"):
        save_model(cut, tokenizer, folder / "config.json" / "below")
