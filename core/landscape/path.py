"""The way of a training run through weight space, and the loss on its plane, kept as a slice.

Training moves every weight of the model, attention and embeddings too, so nothing can be computed
once: each grid point is a forward pass of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from core.errors import HillshadeError
from core.landscape.restricted import RestrictedLoss
from core.landscape.result import Axis, Bools, Floats, Slice
from core.landscape.slices import centred
from core.landscape.texts import Texts
from core.projection import tensor_bytes, weight_digest

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Training:
    """Snapshots of a training run on a plane through the final weights, and the loss on it.

    plane    the slice; axes in units of ‖W‖_F over all weights of the model
    steps    int64 (m,): training steps of the snapshots
    places   float64 (m, 2): their coordinates α, β on the plane
    loss     float64 (m, n): mean loss per counted token of each text, at the snapshots themselves,
             which lie off the plane
    strict   bool (m, n): every counted token is right
    held     share of the displacements' squared length that lies in the plane: a plane shows
             little of a space of a million dimensions
    """

    plane: Slice
    steps: NDArray[np.int64]
    places: Floats
    loss: Floats
    strict: Bools
    held: float


def training_path(
    model: PreTrainedModel,
    snapshots: Sequence[tuple[int, Mapping[str, Tensor]]],
    texts: Texts,
    *,
    points: int = 17,
    margin: float = 0.25,
    progress: Progress | None = None,
) -> Training:
    """The snapshots on the plane of their two leading principal directions, and the loss there.

    The plane goes through the weights of `model`; its axes are the leading right singular vectors
    of the snapshots' displacements from them, over all weights, and reach `margin` of the run's
    extent beyond it. Each snapshot is a step and all parameters by name. Costs a forward pass for
    every snapshot and grid point, memory one copy of the weights a snapshot.

    `progress(done, total)` counts forward passes over all texts and may raise to cancel. Raises
    HillshadeError for fewer than two snapshots away from the model, or of another model.
    """
    parameters = dict(model.named_parameters())
    for step, weights in snapshots:
        if {n: w.shape for n, w in weights.items()} != {n: w.shape for n, w in parameters.items()}:
            raise HillshadeError(
                f"The snapshot of step {step} holds other weights than the model; "
                "give all parameters of this model by name."
            )
    final = _flat(parameters, parameters)
    length = float(final.double().norm())
    moves = [(_flat(weights, parameters) - final) / length for _, weights in snapshots]
    moves_mn = torch.stack(moves) if moves else final.new_zeros(0, final.numel())
    if int((moves_mn.norm(dim=1) > 0).sum()) < 2:
        raise HillshadeError(
            "A plane needs two snapshots away from the final weights; keep more of the run."
        )
    _, sizes, vectors = torch.linalg.svd(moves_mn, full_matrices=False)
    plane = vectors[:2]
    places = (moves_mn.double() @ plane.double().T).numpy()
    axes = tuple(
        _axis(places[:, rank], plane[rank], rank, length, points, margin) for rank in (0, 1)
    )
    reader = RestrictedLoss(model, (), texts)
    total = len(snapshots) + points**2
    done = 0

    def read(flat: Tensor) -> tuple[Floats, Bools]:
        nonlocal done
        found = reader.read(_named(flat, parameters))
        done += 1
        if progress is not None:
            progress(done, total)
        return found

    at = [read(final + length * move) for move in moves_mn]
    grid = [
        read(final + torch.tensor(steps).to(plane) @ plane if any(steps) else final)
        for steps in product(*(axis.steps.tolist() for axis in axes))
    ]
    return Training(
        plane=Slice(
            axes=axes,
            names=texts.names,
            groups=texts.groups,
            tokens=texts.tokens,
            loss=np.array([loss for loss, _ in grid]).reshape(points, points, -1),
            strict=np.array([strict for _, strict in grid]).reshape(points, points, -1),
            slopes=None,
            kfac=None,
            mass_share=None,
            texts_digest=texts.digest,
            weights={"model": weight_digest(model)},
        ),
        steps=np.array([step for step, _ in snapshots], dtype=np.int64),
        places=places,
        loss=np.array([loss for loss, _ in at]),
        strict=np.array([strict for _, strict in at]),
        held=float(sizes[:2].square().sum() / sizes.square().sum()),
    )


def _axis(
    places: Floats, vector: Tensor, rank: int, length: float, points: int, margin: float
) -> Axis:
    """The α that cover the run with its margin, and 0."""
    low, high = min(0.0, places.min()), max(0.0, places.max())
    more = margin * (high - low)
    return Axis(
        values=centred(low - more, high + more, points),
        unit=length,
        unit_of="weights",
        origin={"kind": "principal direction of training", "rank": rank, "snapshots": len(places)},
        digest=hashlib.sha256(tensor_bytes(vector)).hexdigest(),
    )


def _flat(weights: Mapping[str, Tensor], names: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([weights[name].detach().flatten() for name in names])


def _named(flat: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    parts = flat.split([parameter.numel() for parameter in parameters.values()])
    named = zip(parts, parameters.items(), strict=True)
    return {name: part.view_as(parameter) for part, (name, parameter) in named}
