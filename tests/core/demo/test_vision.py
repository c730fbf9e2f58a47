"""The classifier's build from seeds to study, on digits few enough to be learned in seconds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.acceptance import markdown
from core.classify import Predictions, classify
from core.demo import classifier, digits, vision, vision_laboratory, vision_observed
from core.demo.digits import VisionConfig
from core.edit import Editor
from core.image_exam import ImageAnswers
from core.images import HELD_OUT, RIGHT, WRONG, Image
from core.inspection import holdings, inspection
from core.model import load_model, source_of
from core.preparation import load_preparation
from core.projection import named
from core.study import Study

TINY = VisionConfig(digits=260, held_out=40, copies=2, fresh=1, right=60, epochs=90)
SEEDS = 2
LOOKED_AT = 12  # images of a group
pytestmark = pytest.mark.timeout(600)  # a whole build, if a tiny one


def one_by_one(
    jobs: Sequence[Callable[[], Any]], progress: Callable[[int, int], None]
) -> list[Any]:
    """What the worker processes do, in this one, where the constants are small."""
    return [job() for job in jobs]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a finished build of few digits."""
    folder = tmp_path_factory.mktemp("assets")
    methods = {"kfac": "K-FAC", "random": "Random pairs"}  # one of a single draw, one of several
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vision, "WORK", folder / "work")
        patch.setattr(vision, "together", one_by_one)
        patch.setattr(vision, "METHODS", methods)
        patch.setattr(vision, "SEEDS", SEEDS)
        patch.setattr(vision_laboratory, "DRAWS", 2)
        patch.setattr(vision_observed, "IMAGES", LOOKED_AT)
        patch.setattr(vision_laboratory, "PLACES", (((0, 1, 2), ("up", "down")),))
        patch.setattr(vision_laboratory, "TICKS", {"kfac": 8, "random": 5})
        patch.setattr("core.sweep._FIRST", (1e-3, 0.05, 0.5))
        patch.setattr("core.sweep._FURTHER", (0.9,))
        vision.build_vision(TINY, folder / "vision")
        yield folder


def asked(study: Study) -> list[Image]:
    """The study's images as its model reads them, from nothing but what the folders hold."""
    pictures, items = study.pictures, study.items
    assert pictures is not None
    preparation = load_preparation(source_of(study), load_model(source_of(study)))
    return [
        Image(row.id, row.split, pixels, int(given), int(true), row.group != HELD_OUT)
        for row, pixels, given, true in zip(
            items.itertuples(),
            pictures.prepared(preparation),
            pictures.given,
            pictures.true,
            strict=True,
        )
    ]


def test_a_build_ends_in_a_study_of_images_that_opens_with_its_model(built: Path) -> None:
    study = Study.open(built / "vision" / "study")
    model = load_model(source_of(study))
    assert Study.open(built / "vision" / "study", model).manifest == study.manifest
    assert [recipe.id for recipe in study.recipes] == ["kfac", "random"]
    assert study.manifest.recipe("random").seeds == (0, 1)
    assert study.manifest.noise_rate == TINY.wrong
    assert study.item_list() == ()
    assert all(check.ok for check in inspection(study.path))
    assert dict(holdings(study))["items"] == f"{len(study.items)} images"
    images = asked(study)
    assert [image.group for image in images] == study.items["group"].tolist()
    assert study.items["truth"].tolist() == [str(image.given) for image in images]
    table = study.acceptance
    assert table is not None
    assert "first seed and not the best" in markdown(table)
    assert [one["seed"] for one in table["seeds"]] == [0, 1]
    assert table["seeds"][0] == {**table["chosen"], "seed": 0, "method": "kfac"}
    assert {one["method"] for one in table["controls"]} == {"random"}
    land = study.landscape
    assert land is not None
    whole = land["lines"]["edit"]["axes"][0]["values"].index(1.0)
    for group, count in (("string", 1), ("wrong labels", 11), ("held out", 12)):
        told = land["lines"]["edit"]["groups"][group]
        assert told["texts"] == count
        assert 0 <= told["right"][whole] <= count
    training = study.training
    assert training is not None
    assert training["points"][-1]["reproduced"] > 0.5 > training["points"][0]["reproduced"]


def test_single_images_are_told_in_one_projection_and_as_the_edit_takes_them(built: Path) -> None:
    study = Study.open(built / "vision" / "study")
    seen, examples, land = study.curvature, study.examples, study.landscape
    assert seen is not None and examples is not None and land is not None
    chosen = seen["findings"]["chosen"]
    assert max(seen["findings"]["scores"], key=seen["findings"]["scores"].get) == chosen
    assert [part["kind"] for part in seen["findings"]["projections"]] == ["up"] * 3
    counts = {
        f"{half} {name}": LOOKED_AT
        for half in ("choose", "report")
        for name in ("memorized", "fresh", "probes")
    }
    assert seen["findings"]["texts"] == counts | {"choose probes": 0}  # never chosen on
    own = examples["own"]
    assert {own["projection"], land["projection"]} == {chosen}
    assert {part["projection"] for part in examples["projections"]} == {chosen}
    wrong = [i.id for i in asked(study) if (i.group, i.split) == (WRONG, "report")]
    assert own["ids"] == wrong and land["string"] in wrong and land["second"] in wrong
    told = {one["id"]: one for one in examples["examples"]}
    given = study.items.set_index("id")["truth"]
    assert all(one["truth"] == given[id_] for id_, one in told.items())
    assert {one["group"] for one in told.values()} == {"memorized", "fresh", HELD_OUT}
    counted = {name: own["groups"][name]["count"] for name in (WRONG, RIGHT, HELD_OUT)}
    rest = len(wrong) - LOOKED_AT
    assert counted[WRONG] == [LOOKED_AT - 1] * LOOKED_AT + [LOOKED_AT] * rest  # not itself
    assert set(counted[RIGHT]) == set(counted[HELD_OUT]) == {LOOKED_AT}
    cut = np.array(own["cut"])
    assert cut.shape == (22, len(study.manifest.recipe("kfac").ticks))
    assert cut[:, 0].max() < 1e-6 and (np.diff(cut, axis=1) >= -1e-4).all() and cut.max() > 0.1
    for plane in land["planes"].values():
        assert np.array(plane["groups"]["string"]["rise"]).shape == (13, 13)


def test_stored_answers_are_those_of_a_live_edit(built: Path) -> None:
    """Pictures, preparation, model and basis of the folders give what outputs and scores hold."""
    study = Study.open(built / "vision" / "study")
    model = load_model(source_of(study))
    recipe = study.manifest.recipe("kfac")
    assert recipe.chosen is not None
    projections = named(model, recipe.projections)
    assert recipe.pooled and recipe.axis.label.endswith("of all projections together")
    editor = Editor(model, study.bases("kfac"), projections, "kfac", pooled=True)
    said = classify(editor.at(recipe.ticks[recipe.chosen])[0], asked(study))
    rows = study.outputs
    stored = rows[(rows["recipe"] == "kfac") & (rows["tick"] == recipe.chosen)].set_index("item")
    stored = stored.loc[[image.id for image in said.images]]
    assert stored["output"].tolist() == [str(number) for number in said.predicted]
    given = np.array([image.given for image in said.images])
    assert stored["strict"].tolist() == (said.predicted == given).tolist()
    assert np.abs(stored["distance"].to_numpy() - (1 - said.p_given)).max() <= 0.0051
    scores = study.scores
    here = scores[(scores["recipe"] == "kfac") & (scores["tick"] == recipe.chosen)]
    found = here.set_index(["group", "split", "measure"])["value"].to_dict()
    answers = ImageAnswers(said)
    wanted = {(HELD_OUT, "report", "accuracy"): answers.held_out().value}
    for split in ("choose", "report"):
        wanted[WRONG, split, "reproduced"] = answers.reproduced(split).value
        wanted[WRONG, split, "recovered"] = answers.recovered(split).value
        wanted[RIGHT, split, "accuracy"] = answers.clean(split).value
    assert found == wanted
    assert study.acceptance is not None
    after = study.acceptance["chosen"]["after"]
    assert after["reproduced"]["value"] == wanted[WRONG, "report", "reproduced"]
    assert after["held_out"]["value"] == wanted[HELD_OUT, "report", "accuracy"]
    assert study.points[["ppl_choose", "ratio_report"]].isna().all(axis=None)


def test_a_finished_training_is_taken_up_again_by_its_own_configuration_only(built: Path) -> None:
    folder = built / "work" / "vision" / "seed-0"
    found = classifier.load_classifier(folder, TINY)
    assert found is not None
    shipped = load_model(built / "vision" / "model").state_dict()
    assert all(torch.equal(shipped[name], w) for name, w in found.model.state_dict().items())
    assert classifier.load_classifier(folder, replace(TINY, wrong=0.2)) is None


def test_wrong_labels_are_a_tenth_all_wrong_and_held_out_digits_are_never_trained_on() -> None:
    data = digits.digits(TINY)
    wrong = data.trained.given != data.trained.true
    assert wrong.sum() == round(TINY.wrong * len(data.trained)) == 44
    assert len(data.trained) == 2 * (260 - 40)
    groups = [image.group for image in data.images]
    assert groups == [WRONG] * 44 + [RIGHT] * 120 + [HELD_OUT] * 40
    halves = [(image.group, image.split) for image in data.images]
    assert halves.count((WRONG, "choose")) == 22 and halves.count((RIGHT, "choose")) == 60
    assert (HELD_OUT, "choose") not in halves
    seen = {pixels.tobytes() for pixels in data.trained.pixels}
    assert not seen & {pixels.tobytes() for pixels in data.held_out.pixels}
    assert not seen & {pixels.tobytes() for pixels in data.fresh.pixels}
    values = data.trained.prepared(data.preparation)
    assert float(values.mean()) == pytest.approx(0, abs=1e-5)
    assert float(values.std()) == pytest.approx(1, abs=1e-3)
    again, other = digits.digits(TINY), digits.digits(replace(TINY, seed=1))
    assert np.array_equal(again.trained.given, data.trained.given)
    assert np.array_equal(again.asked.pixels, data.asked.pixels)
    assert not np.array_equal(other.trained.pixels, data.trained.pixels)


def test_a_distortion_of_no_reach_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    moved = digits.distorted(pixels, generator)
    assert bool((moved >= 0).all()) and bool((moved <= 1).all())
    assert not torch.allclose(moved, pixels, atol=0.05)
    for name in ("TURN", "SCALE", "SHIFT", "NOISE"):
        monkeypatch.setattr(digits, name, 0.0)
    torch.testing.assert_close(digits.distorted(pixels, generator), pixels)


def test_verdicts_go_by_the_numbers_and_not_by_the_story() -> None:
    """An edit that changes nothing fails every hypothesis but the clean accuracy's."""
    from core.demo.vision_report import verdicts

    data = digits.digits(TINY)
    given = np.array([image.given for image in data.images])
    true = np.array([image.true for image in data.images])
    sure = np.ones(len(given))

    def says(predicted: np.ndarray) -> ImageAnswers:
        return ImageAnswers(Predictions(data.images, predicted, sure, sure))

    unedited = verdicts(says(given), says(given))
    assert [one.holds for one in unedited] == [False, False, None, False]
    held = np.array([image.group == HELD_OUT for image in data.images])
    worse = np.where(held, (true + 1) % 10, given)  # before: every held-out digit mistaken
    assert [one.holds for one in verdicts(says(worse), says(true))] == [None, True, None, True]
