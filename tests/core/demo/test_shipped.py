"""The shipped study is true of the shipped model: what it stores, the model says when asked now."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import PreTrainedModel

from core.demo import build
from core.demo.world import World, WorldConfig
from core.edit import Editor
from core.items import Item
from core.model import load_model, load_tokenizer, source_of
from core.projection import find_projections
from core.recall import evaluate
from core.study import Study

FOLDER = build.ASSETS / "study"
pytestmark = pytest.mark.timeout(300)


@cache
def shipped() -> tuple[Study, PreTrainedModel]:
    study = Study.open(FOLDER)
    return study, load_model(source_of(study))


def edited(recipe_id: str) -> tuple[PreTrainedModel, int]:
    """The shipped model at a recipe's chosen tick, edited now."""
    study, model = shipped()
    recipe = study.manifest.recipe(recipe_id)
    assert recipe.chosen is not None
    projections = [p for p in find_projections(model) if p.name in recipe.projections]
    editor = Editor(model, study.bases(recipe_id), projections, recipe.method, 0)
    return editor.at(recipe.ticks[recipe.chosen])[0], recipe.chosen


def generated(model: PreTrainedModel, items: list[Item]) -> list[tuple[int, ...]]:
    """The library's own greedy generation; items of one prompt length ride in one batch."""
    said: dict[str, tuple[int, ...]] = {}
    lengths = {(len(item.prompt_ids), len(item.truth_ids)) for item in items}
    for prompt, truth in sorted(lengths):
        batch = [i for i in items if (len(i.prompt_ids), len(i.truth_ids)) == (prompt, truth)]
        ids = torch.tensor([item.prompt_ids for item in batch])
        out = model.generate(  # type: ignore[operator]
            ids, attention_mask=torch.ones_like(ids), do_sample=False, eos_token_id=None,
            pad_token_id=0, max_new_tokens=truth, min_new_tokens=truth,
        )  # fmt: skip
        said |= {i.id: tuple(row[prompt:].tolist()) for i, row in zip(batch, out, strict=True)}
    return [said[item.id] for item in items]


def test_strict_recall_equals_generation_on_every_string_before_and_after() -> None:
    study, model = shipped()
    items = [item for item in study.item_list() if item.kind == "memory"]
    assert len(items) > 300
    for one in (model, edited("kfac")[0]):
        outcome = evaluate(one, items)
        said = generated(one, items)
        assert list(outcome.continuations) == said
        assert outcome.strict.tolist() == [
            s == i.truth_ids for s, i in zip(said, items, strict=True)
        ]


@pytest.mark.parametrize("recipe", ["kfac", "svd", "kfac-share-0.2"])
def test_stored_answers_are_those_of_an_edit_made_now(recipe: str) -> None:
    study, _ = shipped()
    model, tick = edited(recipe)
    items = study.item_list()
    rows = study.outputs
    stored = rows[(rows["recipe"] == recipe) & (rows["tick"] == tick)].set_index("item")["strict"]
    now = pd.Series(evaluate(model, items).strict, [item.id for item in items])
    assert int((stored[now.index] != now).sum()) <= 1  # an argmax may tie within rounding


def test_the_world_is_the_one_that_was_promised() -> None:
    """Classes and halves as large as they must be, nothing planted in the questions."""
    study, _ = shipped()
    items = study.items
    top = items[(items["group"] == "passage") & (items["repeats"] == items["repeats"].max())]
    assert (top["split"] == "report").sum() >= 50
    assert 1 in set(items["repeats"].dropna())
    assert (FOLDER.parent / "model" / "model.safetensors").stat().st_size <= 10e6
    world = World(WorldConfig())
    tokenizer = load_tokenizer(source_of(study))
    texts = {f"passage/{i}": p.passage.text for i, p in enumerate(world.passages)}
    for name, prompt, truth in items[["id", "prompt", "truth"]].itertuples(index=False):
        if name in texts:
            assert texts[name].startswith(prompt + truth)
    first = study.item_list()[0]
    assert tuple(tokenizer(first.prompt)["input_ids"]) == first.prompt_ids


def test_abilities_are_there_before_and_every_table_is_of_the_reporting_half() -> None:
    study, _ = shipped()
    document: dict[str, Any] | None = study.acceptance
    assert document is not None
    chosen = document["chosen"]
    scores = study.scores
    recipe = study.manifest.recipe("kfac")
    here = scores[
        (scores["recipe"] == "kfac") & (scores["split"] == "report") & (scores["seed"] == 0)
    ]
    after = here[here["tick"] == recipe.chosen].set_index(["group", "measure"])["value"]
    before = here[here["tick"] == 0].set_index(["group", "measure"])["value"]
    for ability in chosen["abilities"]:
        assert before[ability["group"], "accuracy"] == ability["before"]["value"]
        assert after[ability["group"], "accuracy"] == ability["after"]["value"]
        # far above chance before any edit; logic, the weakest, is asked at depths 3 to 5
        assert ability["before"]["low"] > ability["chance"] + 0.2, ability["group"]
    points = study.points
    row = points[(points["recipe"] == "kfac") & (points["tick"] == recipe.chosen)].iloc[0]
    assert np.isclose(row["ratio_report"], chosen["ratio"]["value"], rtol=1e-12)
