"""Curvature measured along the pairs of a basis, in a second pass over texts: EK-FAC's Λ.

With g̃_t = U_Gᵀ g_t and ã_t = U_Aᵀ a_t, over the T counted positions of sequences n,

    Λᵗᵒᵏ_ij = (1/T) Σ_t g̃_ti² ã_tj²                 per token: what λ_i μ_j factorises
    Λˢᵉᑫ_ij = (1/T) Σ_n (Σ_{t∈n} g̃_ti ã_tj)²        per sequence, with the terms between positions

two different matrices, never one symbol. With labels sampled from the model Λˢᵉᑫ is an unbiased
estimate of the diagonal of the Fisher block in this basis, per counted token. Where one position is
one sequence the two are the same, and where g̃² and ã² are uncorrelated Λᵗᵒᵏ_ij = λ_i μ_j.

Source: George et al. 2018 (arXiv 1806.03884); sums over sequences: Grosse et al. 2023
(arXiv 2308.03296).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from core import tensorfile
from core.basis import Basis
from core.errors import HillshadeError
from core.images import Images
from core.labels import Labels
from core.projection import Projection, tensor_bytes
from core.rows import Batch, Tap, batches, readable


@dataclass(frozen=True, eq=False)
class Ekfac:
    """The sums T·Λᵗᵒᵏ and T·Λˢᵉᑫ (p x q) of one projection over `count` = T positions.

    ``basis_digest`` names the basis: in another one the numbers mean nothing. Sums are float32, or
    float64 for a float64 model.
    """

    name: str
    token_sum: Tensor
    sequence_sum: Tensor
    count: int
    labels: Labels
    seed: int | None
    basis_digest: str

    @property
    def token(self) -> Tensor:
        """Λᵗᵒᵏ, float64[p, q]."""
        return self.token_sum.double() / self.count

    @property
    def sequence(self) -> Tensor:
        """Λˢᵉᑫ, float64[p, q]."""
        return self.sequence_sum.double() / self.count

    @cached_property
    def digest(self) -> str:
        """sha256 over basis, count, labels and both sums; survives saving."""
        about = f"{self.name} {self.basis_digest} {self.count} {self.labels} {self.seed}\n"
        digest = hashlib.sha256(about.encode())
        for tensor in (self.token_sum, self.sequence_sum):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor_bytes(tensor))
        return digest.hexdigest()

    def require_basis(self, basis: Basis) -> None:
        """HillshadeError unless these numbers were collected in `basis`."""
        if self.basis_digest != basis.digest:
            raise HillshadeError(
                f"The corrected curvature Λ of {self.name} was collected in another basis; "
                "collect it again in this one."
            )


def collect_ekfac(
    model: nn.Module,
    sequences: Iterable[Sequence[int]] | Images,
    bases: Mapping[str, Basis],
    projections: Sequence[Projection],
    *,
    labels: Labels = "sampled",
    seed: int = 0,
    batch_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Ekfac]:
    """Both Λ of all `projections`, each in its basis, from one more pass like `factors.collect`.

    The same positions count and the same labels are drawn as there. Costs, for n positions and
    every projection, n (p² + q²) multiplications for the rotation and 2 n p q for the sums; memory:
    the eigenvectors and two p x q sums each. The model is never touched.

    `progress(done, total)` counts sequences or images and may raise to cancel. Raises
    HillshadeError for a basis that is missing or of other weights, unusable data, and numbers that
    are not finite.
    """
    if labels not in ("sampled", "gold"):
        raise HillshadeError(f"Labels {labels!r} are unknown; choose 'sampled' or 'gold'.")
    for projection in projections:
        if projection.name not in bases:
            raise HillshadeError(
                f"There is no curvature basis for {projection.name}; make it first."
            )
        bases[projection.name].require_fit(projection, projection.weight(model))
    sample = readable(sequences, model)
    sums = _Sums(bases, projections)
    tap = Tap(model, projections)
    done, count = 0, 0
    for batch in batches(sample, batch_size):
        sums.begin(batch)
        tap.run(batch, sample, sums.add_input, sums.add_gradient, labels=labels, seed=seed)
        sums.require_finite()
        done += len(batch.sequences)
        count += len(batch.rows)
        if progress is not None:
            progress(done, len(sample))
    return {
        p.name: Ekfac(
            name=p.name,
            token_sum=sums.token[p.name].cpu(),
            sequence_sum=sums.sequence[p.name].cpu(),
            count=count,
            labels=labels,
            seed=seed if labels == "sampled" else None,
            basis_digest=bases[p.name].digest,
        )
        for p in projections
    }


class _Sums:
    """Running sums of one pass, in float32 or better whatever the rows' dtype."""

    def __init__(self, bases: Mapping[str, Basis], projections: Sequence[Projection]) -> None:
        self._bases = bases
        self._input_keys = {projection.name: projection.input_key for projection in projections}
        self._vectors: dict[str, tuple[Tensor, Tensor]] = {}
        self.token: dict[str, Tensor] = {}
        self.sequence: dict[str, Tensor] = {}

    def begin(self, batch: Batch) -> None:
        """Forget the last batch's inputs."""
        self._lengths: list[int] = torch.bincount(batch.owner).tolist()
        self._inputs: dict[str, Tensor] = {}

    def add_input(self, key: str, rows_nq: Tensor) -> None:
        self._inputs[key] = rows_nq.to(torch.promote_types(rows_nq.dtype, torch.float32))

    def add_gradient(self, name: str, rows_np: Tensor) -> None:
        a_nq = self._inputs[self._input_keys[name]]
        u_g, u_a = self._vectors_like(name, a_nq)
        g_np, a_nq = rows_np.detach().to(a_nq.dtype) @ u_g, a_nq @ u_a
        if name not in self.token:
            self.token[name] = a_nq.new_zeros(g_np.shape[1], a_nq.shape[1])
            self.sequence[name] = torch.zeros_like(self.token[name])
        self.token[name].addmm_(g_np.square().T, a_nq.square())
        for g_tp, a_tq in zip(g_np.split(self._lengths), a_nq.split(self._lengths), strict=True):
            self.sequence[name] += (g_tp.T @ a_tq).square_()

    def require_finite(self) -> None:
        for name, total in (*self.token.items(), *self.sequence.items()):
            if not bool(torch.isfinite(total).all()):
                raise HillshadeError(
                    f"The curvature along the pairs of {name} is not finite (NaN, infinite or too "
                    "large to square); check the weights, or load the model in a wider dtype."
                )

    def _vectors_like(self, name: str, rows: Tensor) -> tuple[Tensor, Tensor]:
        if name not in self._vectors:
            basis = self._bases[name]
            self._vectors[name] = basis.u_g.to(rows), basis.u_a.to(rows)
        return self._vectors[name]


def save_ekfac(path: str | Path, ekfac: Mapping[str, Ekfac]) -> None:
    """Write both sums of every projection to one safetensors file."""
    tensors: dict[str, Tensor] = {}
    for name, entry in ekfac.items():
        tensors |= {f"token/{name}": entry.token_sum, f"sequence/{name}": entry.sequence_sum}
    entries = [
        {
            "name": name,
            "count": entry.count,
            "labels": entry.labels,
            "seed": entry.seed,
            "basis_digest": entry.basis_digest,
        }
        for name, entry in ekfac.items()
    ]
    tensorfile.save(path, tensors, {"kind": "ekfac", "version": 1, "ekfac": entries})


def load_ekfac(path: str | Path) -> dict[str, Ekfac]:
    """Read what `save_ekfac` wrote, bit for bit; HillshadeError for a missing or damaged file."""
    tensors, header = tensorfile.load(path, "ekfac")
    with tensorfile.understood(path):
        return {
            entry["name"]: Ekfac(
                token_sum=tensors[f"token/{entry['name']}"],
                sequence_sum=tensors[f"sequence/{entry['name']}"],
                **entry,
            )
            for entry in header["ekfac"]
        }


def ekfac_digest(entries: Iterable[Ekfac]) -> str:
    """One digest for the Λ of several projections, whatever their order."""
    return hashlib.sha256("\n".join(sorted(e.digest for e in entries)).encode()).hexdigest()
