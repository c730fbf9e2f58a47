"""bergson: covariances of padded batches, GPT-2's Conv1D as it is. It counts what we count."""

import tempfile

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


class Collector(CovarianceCollector):
    """Its sums stay where they are; it would also write them to a folder that is then deleted."""

    def teardown(self) -> None: ...


def collected(subject: Subject, texts_a_batch: int = TEXTS_A_BATCH) -> Collector:
    """The sums over `subject.ragged`, by its own loop, loss and masks."""
    model = subject.model.requires_grad_(False)  # as its own worker prepares a model
    model.get_input_embeddings().requires_grad_(True)
    data = Dataset.from_dict({"input_ids": [list(text) for text in subject.ragged]})
    count = len(subject.ragged)
    batches = [
        list(range(start, min(count, start + texts_a_batch)))
        for start in range(0, count, texts_a_batch)
    ]
    with tempfile.TemporaryDirectory() as folder:
        index = IndexConfig(run_path=f"{folder}/run")
        index.partial_run_path.mkdir(parents=True)
        collector = Collector(
            model=model, target_modules=set(subject.names), dtype=subject.dtype, path=folder
        )
        computer = CollectorComputer(
            model=model, data=data, collector=collector, batches=batches, cfg=index
        )
        computer.forward_backward = fwd_bwd_hessian_factory(
            index, HessianConfig(method="kfac", use_dataset_labels=True)
        )
        computer.run_with_collector_hooks("covariances")
    return collector


def covariances(collector: Collector) -> dict[str, tuple[Tensor, Tensor]]:
    """(A, G) by projection."""
    return {
        name: (collector.A_cov_dict[name] / count, collector.S_cov_dict[name] / count)
        for name, count in collector.num_positions.items()
    }
