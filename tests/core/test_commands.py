"""What all commands share: one JSON document, exit codes, sentences, and nothing half-written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from core import contest as contesting
from core.commands.opened import open_study, strings_of
from core.edit import Editor
from core.ekfac import collect_ekfac
from core.errors import HillshadeError
from core.items import Item
from core.measures import perplexity
from core.model import load_model, load_tokenizer
from core.projection import find_projections, select
from core.recall import strict
from core.study import Study
from core.textfile import held_out, read_windows
from tests.commands import World, calls, interrupted, make_world
from tests.core.test_cli import run
from tests.study_factory import PROJECTIONS, write_study


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("commands"))


NAMES = ("estimate", "collect", "sweep", "slice", "edit", "audit", "mine", "import", "check")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_says_one_document_and_ends_with_its_code(
    name: str,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = calls(world, tmp_path / "out")[name]
    assert run(monkeypatch, name, *asked, "--no-such-option") == 2
    capsys.readouterr()
    # What is not there is said in a sentence; of a study that is unfit `check` still tells.
    missing = [tmp_path / "nowhere", *asked[1:]]
    code = run(monkeypatch, name, *missing, "--json")
    told = capsys.readouterr().out
    assert isinstance(code, str) and code.endswith(".") and "\n" not in code
    assert json.loads(told)["fit"] is False if name == "check" else told == ""
    with monkeypatch.context() as patch:
        for kind in (AutoConfig, AutoModelForCausalLM):
            patch.setattr(kind, "from_pretrained", interrupted)
        assert run(monkeypatch, name, *asked, "--json") == 130
    assert capsys.readouterr().out == "" and list(tmp_path.iterdir()) == []
    assert run(monkeypatch, name, *asked, "--json") in (None, 0)
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict) and document
    for key in ("saved", "study", "strings"):
        if isinstance(document.get(key), str):
            assert Path(document[key]).exists()


def test_a_sweep_tells_what_the_other_half_says(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "sweep.json"
    asked = calls(world, tmp_path / "sweep")["sweep"]
    options = ("--methods", "kfac,random", "--masses", ".5,.9", "--tolerance", "0.5")
    assert run(monkeypatch, "sweep", *asked, *options) in (None, 0)
    printed = capsys.readouterr().out
    found = json.loads(out.read_text(encoding="utf-8"))
    kfac, drawn = found["methods"]
    assert [(t["setting"], t["kinds"]) for t in kfac["trials"]] == [(0.5, ["up"]), (0.9, ["up"])]
    assert (len(kfac["reported"]), len(drawn["reported"])) == (1, 5)
    assert all(t["ratio"]["value"] <= 1.5 * 1.001 for t in (kfac["best"], drawn["best"]))
    assert kfac["reported"][0]["setting"] == kfac["best"]["setting"]
    assert kfac["reported"][0]["recall"]["n"] == 2  # of four strings
    model, tokenizer = load_model(world.model), load_tokenizer(world.model)
    (projection,) = select(find_projections(model), [1], ["up"])
    bases = {projection.name: Study.open(world.study).basis(projection.name)}
    cut = Editor(model, bases, [projection], "kfac").at(kfac["best"]["setting"])[0]
    _, *halves = held_out(read_windows(world / "texts.txt", tokenizer, 128), 64, 0)
    for told, half in zip((kfac["best"], kfac["reported"][0]), halves, strict=True):
        risen = perplexity(cut, half).value / perplexity(model, half).value
        assert told["ratio"]["value"] == pytest.approx(risen, rel=1e-9)
    assert f"x {kfac['reported'][0]['ratio']['value']:.4f}" in printed
    assert f"Best: {found['best']} at" in printed
    # Where nothing keeps to the tolerance nothing is reported, and that is said.
    monkeypatch.setattr(contesting, "tolerated", lambda perplexity, rise: False)
    nothing = [*asked[:-1], tmp_path / "none.json"]
    assert run(monkeypatch, "sweep", *nothing) in (None, 0)
    assert "nothing tried keeps to the tolerance" in capsys.readouterr().out
    assert json.loads((tmp_path / "none.json").read_text())["best"] is None


def test_a_sweep_of_ekfac_reads_the_text_of_the_factors_once_more(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    strings = ("--strings", world / "strings.jsonl")
    made, out = tmp_path / "made", tmp_path / "sweep.json"
    assert run(monkeypatch, "collect", *calls(world, made)["collect"], "--seed", "2") in (None, 0)
    options = ("--methods", "kfac,ekfac_token", "--masses", ".9", "--kinds", "up", *strings)
    asked = (world.model, *options, "--tolerance", "5", "--out", out)
    for where, said in (
        (("--study", world.study), "what its factors"),
        (("--factors", world / "no.safetensors"), "give --study"),
    ):
        fresh = ("--fresh", world / "texts.txt")
        code = run(monkeypatch, "sweep", *asked, *where, *fresh)
        assert isinstance(code, str) and said in code and not out.exists()
    assert run(monkeypatch, "sweep", *asked, "--study", made) in (None, 0)
    told = {one["method"]: one for one in json.loads(out.read_text(encoding="utf-8"))["methods"]}
    model, tokenizer = load_model(world.model), load_tokenizer(world.model)
    study = Study.open(made, model)
    windows = read_windows(world / "texts.txt", tokenizer, 24)
    kept = study.manifest.counts["windows kept from the factors"]
    sample, choose, _ = held_out(windows, kept, 2)
    chosen = select(find_projections(model), [1], ["up"])
    bases = {p.name: study.basis(p.name) for p in chosen}
    corrected = collect_ekfac(model, sample, bases, chosen, seed=2)
    ratios = []
    for method in ("kfac", "ekfac_token"):
        cut = Editor(model, bases, chosen, method, ekfac=corrected).at(0.9)[0]
        ratios.append(perplexity(cut, choose).value / perplexity(model, choose).value)
        assert told[method]["trials"][0]["ratio"]["value"] == pytest.approx(ratios[-1], rel=1e-6)
    assert abs(ratios[0] - ratios[1]) > 1e-5  # they cut other pairs


def test_a_slice_holds_its_direction_and_the_same_losses_as_csv(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "line.json"
    asked = calls(world, tmp_path / "line")["slice"]
    assert run(monkeypatch, "slice", *asked) in (None, 0)
    told = json.loads(out.read_text(encoding="utf-8"))
    lam, mu = Study.open(world.study).spectra()[PROJECTIONS[1]]
    assert told["kfac"][0][0] == pytest.approx(lam[0] * mu[2], rel=1e-4)
    assert told["axes"][0]["wanted"] == {
        "kind": "eigendirection", "projection": PROJECTIONS[1], "i": 0, "j": 2, "seed": 0,
    }  # fmt: skip
    assert set(told["groups"]) == {"passage", "fresh"}
    assert told["groups"]["fresh"]["rise"][1] == 0.0 != told["groups"]["fresh"]["rise"][0]
    table = tmp_path / "line.csv"
    assert run(monkeypatch, "slice", *asked[:-1], table) in (None, 0)
    rows = np.genfromtxt(table, delimiter=",", names=True, dtype=None, encoding="utf-8")
    for name, group in told["groups"].items():
        assert rows["rise"][rows["group"] == name].tolist() == group["rise"]
    plane: list[str | Path] = [
        world.study,
        "--fresh",
        world / "texts.txt",
        "--points",
        "3",
        "--out",
    ]
    both = ["--along", "edit:kfac:.5", "--along", "ggn:1.up"]
    assert run(monkeypatch, "slice", *plane, tmp_path / "plane.json", *both) in (None, 0)
    told = json.loads((tmp_path / "plane.json").read_text(encoding="utf-8"))
    assert [axis["unit_of"] for axis in told["axes"]] == ["direction", "weights"]
    assert told["axes"][1]["origin"]["kind"] == "ggn eigenvector"
    for wrong in ("peak:1.up", "eigendirection:1.up:0", "spike:1.up:nobody", "random:7.up"):
        code = run(monkeypatch, "slice", *plane, tmp_path / "no.json", "--along", wrong)
        assert isinstance(code, str) and code.endswith("."), wrong
    assert not (tmp_path / "no.json").exists()


def test_an_audit_asks_the_edited_model(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = calls(world, tmp_path / "audit")["audit"]
    without = asked.index("--strings")
    own = [*asked[:without], *asked[without + 2 :]]
    assert run(monkeypatch, "audit", *own, "--recipe", "svd") in (None, 0)
    printed = capsys.readouterr().out
    told = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
    assert told["sentence"] in printed and "svd at 0.9" in printed
    study = Study.open(world.study)
    items = [i for i in study.item_list() if (i.group, i.repeats, i.split) == (
        "passage", 256, "report"
    )]  # fmt: skip
    assert [string["id"] for string in told["strings"]] == [item.id for item in items]
    model = load_model(world.model)
    for shown, edited in (
        ("before", model),
        ("after", Editor(model, None, select(find_projections(model), [1]), "svd").at(0.9)[0]),
    ):
        assert told["table"][0][shown]["value"] == strict(edited, items).mean()


def test_strings_that_settings_were_chosen_on_are_not_asked_again(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    items = [i for i in Study.open(world.study).item_list() if i.kind == "memory"]
    chosen, report = (next(i for i in items if i.split == split) for split in ("choose", "report"))
    new = replace(chosen, truth_ids=chosen.truth_ids[:-1])

    def written(name: str, *some: Item) -> Path:
        lines = [{"prefix_ids": i.prompt_ids, "suffix_ids": i.truth_ids} for i in some]
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return tmp_path / name

    asked = calls(world, tmp_path / "own")["audit"]
    asked[asked.index("--strings") + 1] = written("three.jsonl", chosen, report, new)
    assert run(monkeypatch, "audit", *asked) in (None, 0)
    assert "1 of 3 strings" in capsys.readouterr().err
    told = json.loads((tmp_path / "own.json").read_text(encoding="utf-8"))
    assert [string["id"] for string in told["strings"]] == ["recited-00002", "recited-00003"]
    opened = open_study(world.study)
    found = strings_of(opened, tmp_path / "three.jsonl", json_=True)
    assert {i.split for i in found} == {"report"}
    assert json.loads(capsys.readouterr().err)["said"].startswith("1 of 3")
    with pytest.raises(HillshadeError, match=r"2 of 2 strings .* Give others"):
        strings_of(opened, written("none.jsonl", *[i for i in items if i.split == "choose"][:2]))


def test_a_study_made_again_from_its_own_request_has_the_same_factors(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    asked = calls(world, first)["collect"]
    assert run(monkeypatch, "collect", *asked, "--seed", "5") in (None, 0)
    monkeypatch.chdir(tmp_path)
    again = ("collect", "--config", first, "--out", second)
    assert run(monkeypatch, *again) in (None, 0)
    for name in ("factors.safetensors", "basis.safetensors", "points.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    told = [json.loads((s / "study.json").read_text()) for s in (first, second)]
    assert told[0]["request"] == told[1]["request"]
    other = tmp_path / "other.txt"
    other.write_text((world / "texts.txt").read_text()[40:], encoding="utf-8")
    strange = write_study(tmp_path / "strange", seed=1).parent / "model"
    before = sorted(tmp_path.iterdir())
    third = ("collect", "--config", first / "study.json", "--out", tmp_path / "third")
    for options, said in (
        (("--texts", other), "no longer the one"),
        ((strange,), "not the weights"),
        (("--layers", "0"), "says itself"),
        (("--config", world.study), "not complete|does not say"),
    ):
        code = run(monkeypatch, *third, *options)
        assert isinstance(code, str) and any(s in code for s in said.split("|")), code
    assert run(monkeypatch, "collect", "--out", tmp_path / "third") == 2
    assert sorted(tmp_path.iterdir()) == before
