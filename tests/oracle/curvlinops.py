"""curvlinops-for-pytorch: KFAC-expand, empirical Fisher. It has no mask: texts of one length."""

import torch
from curvlinops import KFACLinearOperator  # type: ignore[import-not-found]
from torch import Tensor, nn

from tests.oracle.subjects import Subject

TEXTS_A_BATCH = 4


class _Classes(nn.Module):
    """Logits as (batch, classes, positions), the order of torch's cross entropy."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(ids, use_cache=False).logits.transpose(1, 2)


def collected(subject: Subject, texts_a_batch: int = TEXTS_A_BATCH) -> KFACLinearOperator:
    """Its operator over `subject.equal`, the last token of each only predicted.

    A mean loss, so that its correction of the scale takes part.
    """
    ids = torch.tensor(subject.equal)
    data = [(batch[:, :-1], batch[:, 1:]) for batch in ids.split(texts_a_batch)]
    operator = KFACLinearOperator(
        _Classes(subject.linear),
        nn.CrossEntropyLoss(reduction="mean"),
        [subject.linear.get_submodule(name).weight for name in subject.names],
        data,
        check_deterministic=False,
        fisher_type="empirical",
        kfac_approx="expand",
    )
    operator.compute_kronecker_factors()
    return operator


def covariances(operator: KFACLinearOperator) -> dict[str, tuple[Tensor, Tensor]]:
    """(A, G) by projection."""
    return {
        name.removeprefix("model."): (a, operator._gradient_covariances[name])
        for name, a in operator._input_covariances.items()
    }
