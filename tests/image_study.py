"""A small but complete study of an image classifier, for tests.

`write_image_study(folder)` writes `folder/study`. Images, factors, bases and digests are real. What
is said of the images is made up, but behaves like a real sweep: under K-FAC the wrong labels give
way to the true ones before anything else falls; under the controls they stay until all falls.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from core.basis import bases
from core.factors import collect
from core.images import HELD_OUT, RIGHT, WRONG, Image, Images
from core.intervals import share
from core.pictures import Pictures
from core.projection import find_projections, weight_digest
from core.study import Axis, Manifest, ModelCard, StoredRecipe, StudyWriter
from tests.vision import CLASSES, classifier

TICKS = (1.0, 0.99, 0.97, 0.95, 0.93, 0.9, 0.87, 0.85, 0.8, 0.7)
CHOSEN = 6
METHODS = {"kfac": "K-FAC", "svd": "SVD", "random": "Random directions"}
COUNTS = {WRONG: 48, RIGHT: 60, HELD_OUT: 20}
LABELS = {number: str(number) for number in range(CLASSES)}


def small_images(seed: int = 0) -> tuple[list[Image], Pictures]:
    """Blobs at a place that depends on the class, as a model reads them and as they look."""
    rng = np.random.default_rng(seed)
    made: list[Image] = []
    looks = []
    for group, count in COUNTS.items():
        for number in range(count):
            true = int(rng.integers(CLASSES))
            given = (true + 1 + number % 9) % CLASSES if group == WRONG else true
            look = rng.integers(0, 60, (1, 8, 8)).astype(np.uint8)
            row, column = divmod(true, 4)
            look[0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 2] = 250
            looks.append(look)
            made.append(
                Image(
                    id=f"image/{len(made)}",
                    split="report" if group == HELD_OUT or number % 2 else "choose",
                    pixels=torch.from_numpy(look.astype(np.float32) / 255.0),
                    given=given,
                    true=true,
                    trained=group != HELD_OUT,
                )
            )
    given_, true_ = (
        np.array([getattr(image, name) for image in made], dtype=np.int64)
        for name in ("given", "true")
    )
    return made, Pictures(np.stack(looks), given_, true_)


def wrongly_labelled() -> tuple[str, ...]:
    """The ids of the wall's images: the wrongly labelled ones of the reporting half."""
    images, _ = small_images()
    return tuple(i.id for i in images if (i.group, i.split) == (WRONG, "report"))


def write_image_study(folder: Path, seed: int = 0) -> Path:
    """Write `folder/study`; returns its path."""
    images, pictures = small_images(seed)
    model = classifier(dtype=torch.float32)
    projections = find_projections(model)
    trained = [image for image in images if image.trained]
    made = bases(collect(model, Images(trained, "all"), projections), projections)
    recipes = tuple(_recipe(method, tuple(made)) for method in METHODS)
    outputs = pd.DataFrame(
        [row for recipe in recipes for image in images for row in _outputs(recipe, image)]
    )
    with StudyWriter(folder / "study") as writer:
        writer.images(images, LABELS, pictures)
        writer.table("points", pd.DataFrame([p for recipe in recipes for p in _points(recipe)]))
        writer.table("scores", pd.DataFrame(_scores(recipes, images, outputs)))
        writer.table("outputs", outputs)
        writer.spectra({name: (basis.lam, basis.mu) for name, basis in made.items()})
        writer.document("acceptance.json", _acceptance())
        writer.document("training.json", _training())
        return writer.finish(
            Manifest(
                model=ModelCard(
                    id="hillshade-vision",
                    weight_digest=weight_digest(model),
                    architecture=type(model).__name__,
                    parameters=sum(p.numel() for p in model.parameters()),
                ),
                data_digest="1" * 64,
                counts={"images": len(images)},
                labels="sampled",
                convention="summed loss, every position of an image",
                seed=seed,
                versions={"torch": torch.__version__},
                command="hillshade demo --vision",
                created="2025-01-01T00:00:00+00:00",
                planted_share=None,
                noise_rate=0.1,
                recipes=recipes,
            )
        )


def _recipe(method: str, projections: tuple[str, ...]) -> StoredRecipe:
    return StoredRecipe(
        id=method,
        method=method,
        title=METHODS[method],
        layers=(0, 1),
        kinds=("up", "down"),
        projections=projections,
        planted_share=None,
        seeds=(0, 1, 2) if method == "random" else (0,),
        axis=Axis("mass", "curvature mass kept") if method == "kfac" else Axis("share", "kept"),
        ticks=TICKS,
        chosen=CHOSEN,
        equal={"0.01": CHOSEN - 1, "0.03": CHOSEN} if method == "kfac" else {"0.03": 3},
    )


def _said(recipe: StoredRecipe, image: Image, tick: int) -> int:
    """The label said; a wrongly labelled image's becomes the true one, some images' another."""
    number = int(image.id.rpartition("/")[2])
    assert image.true is not None
    another = (image.true + 5) % CLASSES
    if recipe.method != "kfac":  # nothing moves before all does
        return another if tick >= 8 and number % 3 else image.given
    if image.wrong and tick >= 2 + number % 4:
        return another if number % 7 == 0 and another != image.given else image.true
    if not image.wrong and tick >= 8 and number % 6 == 0:
        return another
    return image.given


def _outputs(recipe: StoredRecipe, image: Image) -> list[dict[str, object]]:
    said = [_said(recipe, image, tick) for tick in range(len(TICKS))]
    return [
        {
            "recipe": recipe.id,
            "tick": tick,
            "item": image.id,
            "output": LABELS[label],
            "strict": label == image.given,
            "distance": 0.0 if label == image.given else 0.9,
        }
        for tick, label in enumerate(said)
    ]


def _points(recipe: StoredRecipe) -> list[dict[str, object]]:
    nothing = ("ppl_choose", "ppl_report", "ppl_report_low", "ppl_report_high", "ratio_report",
               "ratio_low", "ratio_high", "tf_accuracy")  # fmt: skip
    return [
        {
            "recipe": recipe.id,
            "tick": tick,
            "seed": seed,
            "setting": setting,
            "directions_kept": int(6144 * setting**20),
            "directions_total": 6144,
            "weight_kept": setting**8,
        }
        | dict.fromkeys(nothing, float("nan"))
        for seed in recipe.seeds
        for tick, setting in enumerate(TICKS)
    ]


def _scores(
    recipes: tuple[StoredRecipe, ...], images: list[Image], outputs: pd.DataFrame
) -> list[dict[str, object]]:
    known = {image.id: image for image in images}
    found: list[dict[str, object]] = []
    frame = outputs.assign(
        group=[known[i].group for i in outputs["item"]],
        split=[known[i].split for i in outputs["item"]],
        true=[LABELS[known[i].true or 0] for i in outputs["item"]],
    )
    for (name, tick, split, group), part in frame.groupby(["recipe", "tick", "split", "group"]):
        measures = {"accuracy": part["strict"]}
        if group == WRONG:
            measures = {"reproduced": part["strict"], "recovered": part["output"] == part["true"]}
        seeds = next(recipe.seeds for recipe in recipes if recipe.id == name)
        for measure, hits in measures.items():
            e = share(hits.to_numpy())
            found += [
                {
                    "recipe": name, "tick": tick, "seed": seed, "split": split, "group": group,
                    "repeats": None, "measure": measure, "n": e.n, "value": e.value,
                    "low": e.low, "high": e.high,
                }
                for seed in seeds
            ]  # fmt: skip
    return found


def _acceptance() -> dict[str, object]:
    def four(*values: float) -> dict[str, object]:
        names = ("reproduced", "recovered", "clean", "held_out")
        return {
            name: {"value": v, "low": max(v - 0.02, 0.0), "high": min(v + 0.02, 1.0), "n": 500}
            for name, v in zip(names, values, strict=True)
        }

    def gained(value: float) -> dict[str, object]:
        return {
            "claim": "held-out accuracy gained",
            "measured": {"value": value, "low": value - 0.02, "high": value + 0.02, "n": 20},
            "at_least": 5e-324,
            "at_most": None,
        }

    seeds = [
        {"seed": s, "before": four(1, 0, 1, 0.95), "after": four(0.02 + 0.02 * s, 0.8, 0.98, 0.98),
         "verdicts": [gained(0.01 + 0.02 * s)]}
        for s in range(3)
    ]  # fmt: skip
    return {"tables": [], "chosen": seeds[0], "seeds": seeds}


def _training() -> dict[str, object]:
    names = ("loss", "reproduced", "recovered", "clean", "held_out")
    rows = {300: (1.1, 0.04, 0.91, 0.98, 0.97), 900: (0.8, 0.44, 0.53, 0.99, 0.97),
            1500: (0.5, 1.0, 0.0, 1.0, 0.95)}  # fmt: skip
    return {
        "points": [
            {"step": step, **dict(zip(names, row, strict=True))} for step, row in rows.items()
        ]
    }
