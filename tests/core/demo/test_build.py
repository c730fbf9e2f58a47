"""The build from seed to study, on a world small enough to be trained in seconds."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from core.acceptance import markdown
from core.audit.relearning import Training
from core.audit.report import Questions
from core.demo import build, crew, laboratory, landscape, material, observed, picture, train
from core.demo.reported import Finished
from core.demo.stages import load_stage
from core.demo.world import WorldConfig
from core.exam import Answers
from core.model import load_model, load_tokenizer, source_of
from core.projection import select
from core.recall import strict
from core.study import Study

TINY = WorldConfig(
    tokens=40_000, passages={1: 4, 30: 4, 60: 20}, canaries_per_class=2, recited_repeats=4
)
pytestmark = pytest.mark.timeout(600)  # a whole build, if a tiny one

METHODS = ("kfac", "random")  # one of a single seed, one of several


def measured_here(config: WorldConfig, folder: Path) -> dict[str, Finished[Answers]]:
    """What the two worker processes do, in this one, where the constants are small."""
    crew._prepare(config, folder)
    finished = {method: crew._method(method) for method in METHODS}
    return finished | {"kfac-share-0.2": crew._share(0.2, finished["kfac"])}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a finished build of the tiny world."""
    folder = tmp_path_factory.mktemp("assets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "WORK", folder / "work")
        patch.setattr(build, "measured", measured_here)
        patch.setattr(laboratory, "LAYERS", ((3,),))
        patch.setattr(laboratory, "KINDS", (("gate", "up"),))
        patch.setattr(laboratory, "SEEDS", 2)
        patch.setattr(laboratory, "TICKS", {"kfac": 7, "random": 4})
        patch.setattr("core.sweep._FIRST", (1e-3, 0.05, 0.5))
        patch.setattr("core.sweep._FURTHER", (0.9,))
        patch.setattr(material, "CHOOSE", 3)
        patch.setattr(material, "REPORT", 6)
        patch.setattr(material, "UNSEEN", 3)
        patch.setattr(material, "FRESH", 10)
        patch.setattr(material, "FACTOR_ROWS", 24)
        patch.setattr(material, "PLANTED_ROWS", 6)
        patch.setattr(train, "SNAPSHOTS", 4)
        patch.setattr(picture, "GRID", 3)
        patch.setattr(landscape, "POINTS", 5)
        patch.setattr(landscape, "SIDE", 3)
        patch.setattr(landscape, "EDIT_POINTS", 9)
        patch.setattr(observed, "STRINGS", 10)
        patch.setattr(observed, "UNRELATED", 32)
        patch.setattr(observed, "RIVALS", 200)
        patch.setattr(observed, "Questions", partial(Questions, training=Training(steps=(0, 2))))
        build.build(TINY, folder / "language")
        yield folder


def test_a_build_ends_in_a_study_that_opens_with_its_model(built: Path) -> None:
    study = Study.open(built / "language" / "study")
    model = load_model(source_of(study))
    assert Study.open(built / "language" / "study", model).manifest == study.manifest
    assert [r.id for r in study.recipes] == [*METHODS, "kfac-share-0.2"]
    assert study.manifest.noise_rate == TINY.noise
    assert load_tokenizer(source_of(study))("An old kettle.")["input_ids"]
    table = study.acceptance
    assert table is not None
    assert "K-FAC" in markdown(table)
    assert table["chosen"]["setting"] in study.manifest.recipe("kfac").ticks


def test_stored_answers_are_those_of_a_live_edit(built: Path) -> None:
    """What a page shows for a tick is what the model says when it is edited there now."""
    study = Study.open(built / "language" / "study")
    model = load_model(source_of(study))
    recipe = study.manifest.recipe("kfac")
    assert recipe.chosen is not None
    items = study.item_list()
    from core.edit import Editor
    from core.projection import find_projections

    projections = select(find_projections(model), recipe.layers, recipe.kinds)
    edited, _ = Editor(model, study.bases("kfac"), projections, "kfac").at(
        recipe.ticks[recipe.chosen]
    )
    rows = study.outputs
    stored = rows[(rows["recipe"] == "kfac") & (rows["tick"] == recipe.chosen)]
    by_item = dict(zip(stored["item"], stored["strict"], strict=True))
    assert [by_item[item.id] for item in items] == strict(edited, items).tolist()


def test_the_training_picture_ends_at_the_final_weights(built: Path) -> None:
    training = Study.open(built / "language" / "study").training
    assert training is not None
    last = training["points"][-1]
    assert abs(last["x"]) < 1e-6
    assert abs(last["y"]) < 1e-6
    grid = training["grid"]
    centre = grid["loss"][grid["y"].index(0.0)][grid["x"].index(0.0)]
    assert centre == pytest.approx(last["loss"], rel=1e-5)
    assert 0 < training["plane"]["held"] <= 1


def test_a_finished_training_is_taken_up_again_by_its_own_configuration_only(built: Path) -> None:
    stage = load_stage(built / "work" / "language", TINY)
    assert stage is not None
    weights = load_model(built / "language" / "model").state_dict()
    assert all(torch.equal(weights[n], w) for n, w in stage.snapshots[-1].weights.items())
    assert load_stage(built / "work" / "language", replace(TINY, noise=0.2)) is None
    assert load_stage(built / "nowhere", TINY) is None


def test_the_landscape_is_that_of_the_chosen_place(built: Path) -> None:
    """Each stored slice has its base at 0, and the whole edit does what the stored sweep says."""
    study = Study.open(built / "language" / "study")
    land = study.landscape
    assert land is not None
    recipe = study.manifest.recipe("kfac")
    assert recipe.chosen is not None
    assert land["setting"] == recipe.ticks[recipe.chosen]
    assert land["projection"] in recipe.projections
    items = {item.id: item for item in study.item_list()}
    assert items[land["string"]].split == items[land["second"]].split == "report"
    assert {items[name].repeats for name in land["items"]["memorized"]} == {60}
    for told in (*land["lines"].values(), *land["planes"].values()):
        centre = tuple(axis["values"].index(0.0) for axis in told["axes"])
        for group in told["groups"].values():
            rise = group["rise"]
            for number in centre:
                rise = rise[number]
            assert rise == 0.0
    edit = land["lines"]["edit"]
    assert set(edit["projections"]) == set(recipe.projections)
    whole = edit["axes"][0]["values"].index(1.0)
    rows = study.outputs
    stored = rows[(rows["recipe"] == "kfac") & (rows["tick"] == recipe.chosen) & rows["strict"]]
    recited = set(stored["item"]) & set(land["items"]["memorized"])
    right = sum(edit["groups"][name]["right"][whole] for name in ("string", "memorized"))
    assert right == len(recited)
