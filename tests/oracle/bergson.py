"""bergson: covariances of padded batches, GPT-2's Conv1D as it is. It counts what we count."""

import copy
import tempfile

import torch
from bergson.collector.collector import (  # type: ignore[import-not-found]
    CollectorComputer,
    fwd_bwd_hessian_factory,
)
from bergson.config.config import HessianConfig, IndexConfig  # type: ignore[import-not-found]
from bergson.hessians.kfac import CovarianceCollector  # type: ignore[import-not-found]
from datasets import Dataset
from torch import Tensor

from tests.oracle.subjects import Subject

TEXTS_A_BATCH = 5


def covariances(subject: Subject) -> dict[str, tuple[Tensor, Tensor]]:
    """(A, G) by projection, over `subject.ragged`, by its own loop, loss and masks."""
    model = copy.deepcopy(subject.model)
    data = Dataset.from_dict({"input_ids": [list(text) for text in subject.ragged]})
    count = len(subject.ragged)
    batches = [
        list(range(start, min(count, start + TEXTS_A_BATCH)))
        for start in range(0, count, TEXTS_A_BATCH)
    ]
    with tempfile.TemporaryDirectory() as folder:
        index = IndexConfig(run_path=f"{folder}/run")
        index.partial_run_path.mkdir(parents=True)
        collector = CovarianceCollector(
            model=model, target_modules=set(subject.names), dtype=torch.float64, path=folder
        )
        computer = CollectorComputer(
            model=model, data=data, collector=collector, batches=batches, cfg=index
        )
        computer.forward_backward = fwd_bwd_hessian_factory(
            index, HessianConfig(method="kfac", use_dataset_labels=True)
        )
        computer.run_with_collector_hooks("covariances")
    return {
        name: (
            collector.A_cov_dict[name] / collector.num_positions[name],
            collector.S_cov_dict[name] / collector.num_positions[name],
        )
        for name in subject.names
    }
