"""The shipped study of images is true of the shipped classifier, and told as its numbers are."""

from functools import cache

import numpy as np
import pytest

from core.classify import classify
from core.demo import vision
from core.demo.digits import VisionConfig, digits
from core.edit import Editor
from core.inspection import inspection, size_on_disk
from core.model import load_model, source_of
from core.projection import named
from core.study import Study
from tests.core.demo.test_vision import asked

FOLDER = vision.ASSETS / "study"
pytestmark = pytest.mark.timeout(300)


@cache
def shipped() -> Study:
    return Study.open(FOLDER)


@pytest.mark.parametrize("recipe", ["kfac", "svd", "magnitude", "random", "noise"])
def test_stored_answers_are_those_of_an_edit_made_now(recipe: str) -> None:
    study = shipped()
    model = load_model(source_of(study))
    told = study.manifest.recipe(recipe)
    assert told.chosen is not None
    projections, pooled = named(model, told.projections), told.pooled
    editor = Editor(model, study.bases(recipe), projections, told.method, 0, pooled=pooled)
    said = classify(editor.at(told.ticks[told.chosen])[0], asked(study))
    rows = study.outputs
    stored = rows[(rows["recipe"] == recipe) & (rows["tick"] == told.chosen)].set_index("item")
    stored = stored.loc[[image.id for image in said.images]]
    differ = stored["output"].astype(str) != np.array([str(n) for n in said.predicted])
    assert int(differ.sum()) <= 2  # an argmax may tie within rounding


def test_the_pictures_are_those_that_the_seed_draws_and_the_folder_is_sound_and_small() -> None:
    study, data = shipped(), digits(VisionConfig())
    assert study.pictures is not None
    for name in ("pixels", "given", "true"):
        assert np.array_equal(getattr(study.pictures, name), getattr(data.asked, name))
    assert all(check.ok for check in inspection(FOLDER))
    assert size_on_disk(FOLDER) + size_on_disk(FOLDER.parent / "model") <= 6e6


def test_wrong_labels_were_memorized_and_every_verdict_is_that_of_its_number() -> None:
    """What holds is told as holding and what fails as failing, for all seeds."""
    document = shipped().acceptance
    assert document is not None
    assert len(document["seeds"]) == 5
    first = {**document["chosen"], "seed": 0, "method": "kfac"}
    assert first == document["seeds"][0]  # the first, not the best
    for one in document["seeds"]:
        assert one["before"]["reproduced"]["low"] > 0.9
        for verdict in one["verdicts"]:
            low, high = (verdict["measured"][side] for side in ("low", "high"))
            least = -np.inf if verdict["at_least"] is None else verdict["at_least"]
            most = np.inf if verdict["at_most"] is None else verdict["at_most"]
            assert (verdict["holds"] is True) == (least <= low and high <= most)
            assert (verdict["holds"] is False) == (high < least or low > most)
