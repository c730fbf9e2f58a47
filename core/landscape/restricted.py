"""The loss of some texts as a function of a few weight matrices, and its exact derivatives.

With the other weights fixed, z_t(W) are the logits of counted token t and L(W) = (1/T) Σ_t l_t the
mean loss over the T counted tokens, gold labels. Here are

    hessian     ∇²L · V = ∇⟨∇L, V⟩, by two backward passes
    ggn         (1/T) Σ_t J_tᵀ (diag p_t − p_t p_tᵀ) J_t V with J_t = ∂z_t/∂W. Positive
                semidefinite, equal to the Fisher, not to the Hessian.

J V is taken as ∂/∂c ⟨Jᵀc, V⟩, linear in c: two backward passes, and no forward-mode derivative of
attention is needed. Weights enter by `torch.func.functional_call` on a twin (`core.twin`), which
never writes to a weight. Derivatives take attention by its plain formula: fused kernels know first
derivatives only, and transformers' "eager" attention rounds its softmax to float32 even in a
float64 model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd import grad
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from core.batches import batches, require_eval
from core.curvature.examples import readable_examples
from core.direction import Direction
from core.landscape.texts import Texts
from core.projection import Projection
from core.samples import asked, lengths, placed
from core.twin import twin

Weights = Mapping[str, Tensor]

BATCH_TOKENS = 1024  # graphs of second derivatives hold several tensors a layer and token


class RestrictedLoss:
    """L as a function of `projections` of `model` (none for `read` alone), on `texts`.

    Computes in the model's dtype, at least float32. Raises HillshadeError for texts that the model
    cannot read and a model in training mode.
    """

    def __init__(
        self, model: PreTrainedModel, projections: Sequence[Projection], texts: Texts
    ) -> None:
        require_eval(model)
        self._sample = readable_examples(model, texts.examples)
        self._model = twin(model).requires_grad_(False)
        dtype = torch.promote_types(model.dtype, torch.float32)
        module: nn.Module = self._model
        module.to(dtype)
        if self._model.config._attn_implementation != "eager":
            self._model.set_attn_implementation("sdpa")
        self._projections = tuple(projections)
        self._texts = texts
        self._at = {
            f"{p.name}.weight": p.parameter(self._model).detach() for p in self._projections
        }
        self.count = int(texts.tokens.sum())

    @property
    def size(self) -> int:
        """Number of weights, Σ p·q."""
        return sum(weight.numel() for weight in self._at.values())

    def direction(self, vector: NDArray[np.float64]) -> Direction:
        """A vector of length `size` as a direction; entries in row-major order of W (p × q)."""
        parts, start = {}, 0
        for projection in self._projections:
            p, q = projection.shape
            flat = torch.from_numpy(np.ascontiguousarray(vector[start : start + p * q]))
            like = self._at[f"{projection.name}.weight"]
            parts[projection.name] = flat.reshape(p, q).to(like)
            start += p * q
        return Direction(parts)

    def vector(self, direction: Direction) -> NDArray[np.float64]:
        """The direction as a vector of length `size`; projections it does not touch are 0."""
        return self._flat(self._stored(direction))

    def read(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Mean loss of every text, (n,), and whether all its counted tokens are the argmax, (n,).

        ``weights`` replaces any parameters of the model, by their names.
        """
        loss = np.zeros(len(self._texts.names))
        strict = np.zeros(len(self._texts.names), dtype=np.bool_)
        for batch in self._batches():
            with torch.inference_mode():
                logits = self._logits(batch, weights)
                losses = cross_entropy(logits, batch.targets, reduction="none").double()
                right = logits.argmax(-1) == batch.targets
            loss[batch.numbers] = [part.mean().item() for part in losses.split(batch.counts)]
            strict[batch.numbers] = [bool(part.all()) for part in right.split(batch.counts)]
        return loss, strict

    def hessian(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """∇²L · V, by differentiating ⟨∇L, V⟩; vectors as `direction` lays them out."""
        along = self._stored(self.direction(vector))
        total = np.zeros(self.size)
        for batch in self._batches():
            with _graph():
                leaves = self._leaves()
                loss = self._losses(batch, leaves).sum() / self.count
                slope = _inner(grad(loss, list(leaves.values()), create_graph=True), along)
                total += self._flat(grad(slope, list(leaves.values())))
        return total

    def ggn(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """(1/T) Σ_t J_tᵀ (diag p_t − p_t p_tᵀ) J_t V; vectors as `direction` lays them out."""
        along = self._stored(self.direction(vector))
        total = np.zeros(self.size)
        for batch in self._batches():
            with _graph():
                leaves = self._leaves()
                z_tv = self._logits(batch, leaves)
                dz_tv = _forward(z_tv, leaves, along)
                p_tv = z_tv.detach().softmax(-1)
                curved = p_tv * (dz_tv - (p_tv * dz_tv).sum(-1, keepdim=True)) / self.count
                total += self._flat(grad(z_tv, list(leaves.values()), curved))
        return total

    def _batches(self) -> Iterator[_Batch]:
        examples, widths = self._texts.examples, lengths(self._sample)
        order = sorted(range(len(widths)), key=widths.__getitem__)
        for numbers in batches(self._model, widths, order, BATCH_TOKENS):
            counted = [examples[n].counted for n in numbers]
            some = asked(self._sample, numbers, counted)
            inputs, device = placed(some.inputs, self._model), self._model.device
            targets = some.targets.to(device)
            yield _Batch(numbers, inputs, some.flat.to(device), targets, list(map(len, counted)))

    def _leaves(self) -> dict[str, Tensor]:
        """The weights as leaves of a new graph; they share the twin's storage."""
        return {name: weight.detach().requires_grad_() for name, weight in self._at.items()}

    def _logits(self, batch: _Batch, weights: Weights) -> Tensor:
        out = functional_call(self._model, dict(weights), (), batch.inputs)
        return cast("Tensor", out.logits.flatten(0, -2)[batch.rows])

    def _losses(self, batch: _Batch, weights: Weights) -> Tensor:
        return cross_entropy(self._logits(batch, weights), batch.targets, reduction="none")

    def _stored(self, direction: Direction) -> list[Tensor]:
        """The direction, projection by projection, in the shape in which modules keep weights."""
        stored: list[Tensor] = []
        for projection, like in zip(self._projections, self._at.values(), strict=True):
            if projection.name in direction.parts:
                part = direction.dense(projection.name).to(like)
                stored.append(part.T if projection.transposed else part)
            else:
                stored.append(torch.zeros_like(like))
        return stored

    def _flat(self, stored: Sequence[Tensor]) -> NDArray[np.float64]:
        """The inverse of `_stored`, as one vector."""
        parts = []
        for projection, part in zip(self._projections, stored, strict=True):
            part = part.detach().T if projection.transposed else part.detach()
            parts.append(part.double().flatten().cpu().numpy())
        return np.concatenate(parts)


@dataclass(frozen=True)
class _Batch:
    """Some texts or images that are run together."""

    numbers: list[int]
    inputs: dict[str, Any]
    rows: Tensor  # int64 (m,) counted rows of the flattened logits
    targets: Tensor  # int64 (m,) the tokens that truly follow, or the labels given
    counts: list[int]  # counted positions of each text


@contextmanager
def _graph() -> Iterator[None]:
    """Record a graph, whatever surrounds the call, with attention that differentiates twice."""
    with torch.inference_mode(False), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        yield


def _forward(outputs: Tensor, leaves: Mapping[str, Tensor], along: Sequence[Tensor]) -> Tensor:
    """J V, the derivative of `outputs` along V; the graph of `outputs` stays."""
    cotangent = torch.zeros_like(outputs, requires_grad=True)
    pulled = grad(outputs, list(leaves.values()), cotangent, create_graph=True)
    return grad(_inner(pulled, along), cotangent)[0].detach()


def _inner(some: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(some, others, strict=True)]).sum()
