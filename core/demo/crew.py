"""Every method's choice and sweep, two at a time: two processes of one thread beat two threads."""

import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Final

import torch

from core.demo.laboratory import METHODS, OTHER_SHARES, Laboratory
from core.demo.progress import Parts
from core.demo.reported import Finished
from core.demo.stages import load_stage
from core.demo.world import WorldConfig
from core.exam import Answers

WORKERS: Final = 2

_laboratory: Laboratory | None = None  # of this worker process


def measured(config: WorldConfig, folder: Path) -> dict[str, Finished[Answers]]:
    """All recipes of the shipped study, of the finished training in ``folder``."""
    context = multiprocessing.get_context("spawn")  # a fork would inherit half of the threads
    with ProcessPoolExecutor(
        WORKERS, context, initializer=_prepare, initargs=(config, folder)
    ) as pool:
        running: dict[str, Future[Finished[Answers]]] = {
            m: pool.submit(_method, m) for m in METHODS
        }
        main = running["kfac"].result()
        for share in OTHER_SHARES:
            running[f"kfac-share-{share:g}"] = pool.submit(_share, share, main)
        return {name: future.result() for name, future in running.items()}


def _prepare(config: WorldConfig, folder: Path) -> None:
    global _laboratory
    torch.set_num_threads(1)
    stage = load_stage(folder, config)
    assert stage is not None
    _laboratory = Laboratory(config, stage, Parts())


def _method(method: str) -> Finished[Answers]:
    assert _laboratory is not None
    return _laboratory.swept(method, _laboratory.chosen(method))


def _share(share: float, main: Finished[Answers]) -> Finished[Answers]:
    assert _laboratory is not None
    return _laboratory.swept_share(share, main.choice)
