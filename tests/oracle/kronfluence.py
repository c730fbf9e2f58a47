"""kronfluence: covariances and Λ of padded batches.

It counts the last position of every text, which predicts nothing: texts are given to it cut by
their last token, which is only predicted. For a layer with a bias it appends a one to the input.
"""

from typing import Any

import torch
from kronfluence.analyzer import prepare_model  # type: ignore[import-not-found]
from kronfluence.arguments import FactorArguments  # type: ignore[import-not-found]
from kronfluence.factor.covariance import (  # type: ignore[import-not-found]
    fit_covariance_matrices_with_loader,
)
from kronfluence.factor.eigen import (  # type: ignore[import-not-found]
    fit_lambda_matrices_with_loader,
)
from kronfluence.task import Task  # type: ignore[import-not-found]
from kronfluence.utils.state import State  # type: ignore[import-not-found]
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.nn.utils.rnn import pad_sequence

from tests.oracle.subjects import Subject

TEXTS_A_BATCH = 5
_DTYPES = (
    "activation_covariance_dtype",
    "gradient_covariance_dtype",
    "per_sample_gradient_dtype",
    "lambda_dtype",
)

Batch = dict[str, Tensor]
Found = dict[str, dict[str, Tensor]]


class _NextToken(Task):
    """The summed loss of the true next tokens."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def compute_train_loss(self, batch: Batch, model: nn.Module, sample: bool = False) -> Tensor:
        assert not sample, "gold labels only"
        logits = model(batch["ids"], attention_mask=batch["mask"], use_cache=False).logits
        return cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), reduction="sum")

    def compute_measurement(self, batch: Batch, model: nn.Module) -> Tensor:
        return self.compute_train_loss(batch, model)

    def get_influence_tracked_modules(self) -> list[str]:
        return self._names

    def get_attention_mask(self, batch: Batch) -> Tensor:
        return batch["mask"]


class Kronfluence:
    """The prepared model of a subject, and the padded batches of `subject.ragged`."""

    def __init__(self, subject: Subject, texts_a_batch: int = TEXTS_A_BATCH) -> None:
        self._subject = subject
        self._task = _NextToken(subject.names)
        self._model = prepare_model(subject.linear, self._task)
        self._batches = list(_padded(subject.ragged, texts_a_batch))
        dtypes = dict.fromkeys(_DTYPES, subject.dtype)
        self._arguments = FactorArguments(use_empirical_fisher=True, **dtypes)

    def collected(self) -> Found:
        """The sums and counts."""
        return self._fit(fit_covariance_matrices_with_loader)

    def covariances(self, found: Found) -> dict[str, tuple[Tensor, Tensor]]:
        """(A, G) by projection."""
        made = {}
        for projection in self._subject.projections:
            name, q = projection.name, projection.in_features
            a = (
                found["activation_covariance"][name]
                / found["num_activation_covariance_processed"][name]
            )
            g = (
                found["gradient_covariance"][name]
                / found["num_gradient_covariance_processed"][name]
            )
            made[name] = a[:q, :q], g
        return made

    def corrected_by_sequence(self, vectors: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """Λˢᵉᑫ by projection in the given eigenvectors (U_G, U_A), per counted token.

        Λ depends on the choice of eigenvectors wherever eigenvalues lie close together, so both
        sides must use the same. The appended one keeps a direction of its own, cut off again.
        """
        biased = {n for n in self._subject.names if self._has_bias(n)}
        eigen = {
            "gradient_eigenvectors": {n: u_g for n, (u_g, _) in vectors.items()},
            "activation_eigenvectors": {
                n: _beside_one(u_a) if n in biased else u_a for n, (_, u_a) in vectors.items()
            },
            "gradient_eigenvalues": {n: torch.ones(len(u_g)) for n, (u_g, _) in vectors.items()},
            "activation_eigenvalues": {
                n: torch.ones(len(u_a) + (n in biased)) for n, (_, u_a) in vectors.items()
            },
        }
        found = self._fit(fit_lambda_matrices_with_loader, eigen_factors=eigen)
        tokens = sum(len(text) - 1 for text in self._subject.ragged)
        return {
            p.name: found["lambda_matrix"][p.name][:, : p.in_features] / tokens
            for p in self._subject.projections
        }

    def _fit(self, fit: Any, **more: Any) -> Found:
        _, found = fit(
            model=self._model,
            state=State(cpu=True),
            task=self._task,
            loader=self._batches,
            factor_args=self._arguments,
            disable_tqdm=True,
            **more,
        )
        return dict(found)

    def _has_bias(self, name: str) -> bool:
        return self._subject.linear.get_submodule(name).bias is not None


def _beside_one(u_a: Tensor) -> Tensor:
    widened = pad(u_a, (0, 1, 0, 1))
    widened[-1, -1] = 1.0
    return widened


def _padded(texts: tuple[tuple[int, ...], ...], texts_a_batch: int) -> list[Batch]:
    """Texts as they come, so that lengths differ within a batch."""
    batches = []
    for start in range(0, len(texts), texts_a_batch):
        some = [torch.tensor(text) for text in texts[start : start + texts_a_batch]]
        batches.append(
            {
                "ids": pad_sequence([text[:-1] for text in some], batch_first=True),
                "mask": pad_sequence([torch.ones_like(t[:-1]) for t in some], batch_first=True),
                "labels": pad_sequence([t[1:] for t in some], batch_first=True, padding_value=-100),
            }
        )
    return batches
