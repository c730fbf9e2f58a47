"""Rebuild the shipped image classifier and its study: wrong labels memorized, then cut.

hillshade demo --vision

Several seeds are trained and measured alike. The study is that of the first, which nothing but its
number picks; the table of all seeds stands in its acceptance.json.
"""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar

import torch

from core.acceptance import markdown
from core.demo.build import ROOT, WORK
from core.demo.classifier import load_classifier, save_classifier, train_classifier
from core.demo.digits import VisionConfig, digits
from core.demo.laboratory import METHODS
from core.demo.progress import Parts
from core.demo.reported import Finished
from core.demo.vision_laboratory import VisionLaboratory
from core.demo.vision_observed import curvature, one_by_one, slices
from core.demo.vision_report import acceptance, told
from core.demo.vision_storing import write_classifier, write_vision_study
from core.image_exam import ImageAnswers

ASSETS: Final = ROOT / "assets" / "vision"
SEEDS: Final = 5  # trained
WORKERS: Final = 2

Result = TypeVar("Result")


def build_vision(config: VisionConfig | None = None, target: Path = ASSETS) -> None:
    """Everything, from the seeds to the study; nothing at ``target`` changes before the end."""
    first = config or VisionConfig()
    parts = Parts()
    every = [replace(first, seed=first.seed + number) for number in range(SEEDS)]
    folders = [WORK / "vision" / f"seed-{one.seed}" for one in every]
    with parts.part("training") as show:
        together([partial(trained, *pair) for pair in zip(every, folders, strict=True)], show)
    with parts.part("choosing and sweeping") as show:
        sweeps = [partial(swept, first, folders[0], method) for method in METHODS]
        finished = dict(zip(METHODS, together(sweeps, show), strict=True))
    with parts.part("every seed") as show:
        pairs = list(zip(every, folders, strict=True))
        choices = [partial(told_of, *pair, method) for pair in pairs for method in METHODS]
        seeds = together(choices, show)
    laboratory = laboratory_of(first, folders[0])
    table = acceptance(finished, seeds)
    with parts.part("single images"):
        seen, spikes = curvature(laboratory)
        table["tables"].append(spikes)
        looked_at = str(seen["findings"]["chosen"])
        examples = one_by_one(laboratory, finished["kfac"], looked_at)
        land = slices(laboratory, finished["kfac"], looked_at)
    with parts.part("writing"):
        write_classifier(laboratory.trained.model, laboratory.data.preprocessor, target / "model")
        points = [asdict(one) for one in laboratory.trained.records]
        documents = {
            "training.json": {"points": points},
            "acceptance.json": table,
            "curvature.json": seen,
            "examples.json": examples,
            "landscape.json": land,
        }
        write_vision_study(laboratory, finished, documents, target)
    print(markdown(table))


def together(
    jobs: Sequence[Callable[[], Result]], progress: Callable[[int, int], None]
) -> list[Result]:
    """The results in order, two jobs at a time: two processes of one thread beat two threads."""
    context = multiprocessing.get_context("spawn")  # a fork would inherit half of the threads
    results = []
    with ProcessPoolExecutor(
        WORKERS, context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        running = [pool.submit(job) for job in jobs]
        for done, one in enumerate(running, start=1):
            results.append(one.result())
            progress(done, len(jobs))
    return results


def trained(config: VisionConfig, folder: Path) -> None:
    """Train, unless an earlier, interrupted build left a run of this configuration."""
    if load_classifier(folder, config) is None:
        save_classifier(folder, config, train_classifier(config, digits(config)))


@cache
def laboratory_of(config: VisionConfig, folder: Path) -> VisionLaboratory:
    """The laboratory of a finished training, made once in each process."""
    found = load_classifier(folder, config)
    assert found is not None
    return VisionLaboratory(config, found)


def swept(config: VisionConfig, folder: Path, method: str) -> Finished[ImageAnswers]:
    """One stored recipe."""
    return laboratory_of(config, folder).swept(method)


def told_of(config: VisionConfig, folder: Path, method: str) -> dict[str, Any]:
    """A method at the place and setting chosen for it in the model of one seed."""
    found = laboratory_of(config, folder).at_chosen(method)
    return told(found) | {"seed": config.seed, "method": method}
