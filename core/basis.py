"""The eigenbasis of a projection's factors: the directions in which its curvature is measured.

    G = U_G diag(λ) U_Gᵀ,   A = U_A diag(μ) U_Aᵀ,   both descending,

so the Fisher block G ⊗ A has the eigenvectors u_i v_jᵀ (u_i a column of U_G, v_j of U_A) with
curvature Π_ij = λ_i μ_j, and W has the coordinates C = U_Gᵀ W U_A in them. `core.staircase` turns
curvature mass, cut-off and count of pairs into each other.

Source: Merullo et al. 2025, section 3.2 (arXiv 2510.24256).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core import tensorfile
from core.errors import HillshadeError
from core.factors import Factors, Scale
from core.projection import Projection, matrix_digest, tensor_bytes
from core.ranks import ALONE, Ranks
from core.staircase import KeptSet, Staircase, staircase_mask

__all__ = [
    "Basis",
    "Eigen",
    "KeptSet",
    "Staircase",
    "bases",
    "eigen",
    "load_bases",
    "save_bases",
    "staircase_mask",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Eigen:
    """Eigenvectors (columns) and eigenvalues, descending, of one covariance, with the evidence.

    ``clamped`` negative eigenvalues (rounding of a positive semidefinite matrix) were set to 0;
    ``residual`` is ‖M V − V Λ‖_F / ‖M‖_F of what is stored here.
    """

    vectors: Tensor
    values: Floats
    clamped: int
    residual: float


@dataclass(frozen=True, eq=False)
class Basis:
    """Eigenbasis of one projection: U_G (p x p), λ (p), U_A (q x q), μ (q), and its evidence.

    Eigenvalues are float64; eigenvectors have the dtype of the factors' sums (float32, or float64
    for a float64 model). ``weight_digest`` names the weights the factors were collected on:
    in another model's coordinates the basis means nothing. gate and up share one U_A tensor.
    ``scale`` is that of the factors: where it is unknown λ carries one unknown factor, which no
    share of mass and no kept set depends on, and which makes λ_i μ_j no number of nats.
    """

    name: str
    u_g: Tensor
    lam: Floats
    u_a: Tensor
    mu: Floats
    clamped_g: int
    clamped_a: int
    residual_g: float
    residual_a: float
    weight_digest: str
    scale: Scale = "summed"

    @cached_property
    def digest(self) -> str:
        """sha256 over name, weights' digest, eigenvalues and eigenvectors; survives saving."""
        digest = hashlib.sha256(f"{self.name} {self.weight_digest}\n".encode())
        for tensor in (self.u_g, torch.from_numpy(self.lam), self.u_a, torch.from_numpy(self.mu)):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor_bytes(tensor))
        return digest.hexdigest()

    @cached_property
    def staircase(self) -> Staircase:
        """Mass, cut-off and count of this projection's pairs."""
        return Staircase(self.lam, self.mu)

    def require_fit(self, projection: Projection, weight_pq: Tensor) -> None:
        """HillshadeError unless this is the basis of `projection`, collected on these weights."""
        if (len(self.lam), len(self.mu)) != projection.shape or self.name != projection.name:
            raise HillshadeError(
                f"The basis of {self.name} is {len(self.lam)}x{len(self.mu)} but "
                f"{projection.name} is {projection.out_features}x{projection.in_features}; "
                "use this model's own bases."
            )
        if self.weight_digest != matrix_digest(weight_pq):
            raise HillshadeError(
                f"The basis of {projection.name} was collected on other weights; "
                "use this model's own bases, or collect its factors again."
            )


def eigen(covariance: Tensor, dtype: torch.dtype = torch.float64) -> Eigen:
    """Eigendecomposition of a symmetric positive semidefinite matrix, in float64.

    The matrix is symmetrised first; eigenvalues come in descending order, negative ones set to 0
    and counted. Each eigenvector's sign makes its largest entry positive. The vectors are stored
    as `dtype`. Raises HillshadeError for entries that are not finite.
    """
    matrix = covariance.double()
    matrix = (matrix + matrix.T) / 2
    if not bool(torch.isfinite(matrix).all()):
        raise HillshadeError(
            "A covariance holds NaN or infinite entries; collect the factors again from finite "
            "activations."
        )
    ascending, vectors = torch.linalg.eigh(matrix)
    raw, vectors = ascending.flip(0), vectors.flip(1)
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    vectors = (vectors * torch.where(largest < 0, -1.0, 1.0)).to(dtype)
    values = raw.clamp(min=0.0)
    wide, norm = vectors.double(), float(matrix.norm())
    residual = float((matrix @ wide - wide * values).norm()) / norm if norm > 0 else 0.0
    return Eigen(vectors.contiguous(), values.cpu().numpy(), int((raw < 0).sum()), residual)


def bases(
    factors: Factors,
    projections: Iterable[Projection],
    progress: Callable[[int, int], None] | None = None,
    ranks: Ranks = ALONE,
) -> dict[str, Basis]:
    """The eigenbasis of each projection; one decomposition per input serves gate and up.

    Costs about 10·(p³ + q³) operations in float64 a projection. With `ranks` each decomposes the
    matrices it owns; rank 0 gets all bases, the others none. `progress(done, total)` counts
    projections and may raise to cancel. Raises HillshadeError for a projection that the factors
    do not cover, or factors that are not finite.
    """
    wanted = [factors.projection(projection.name) for projection in projections]
    solved: dict[str, Tensor] = {}
    for number, projection in enumerate(wanted, start=1):
        for key, total in (  # None where another rank owns it
            (f"a/{projection.input_key}", factors.a_sums.get(projection.input_key)),
            (f"g/{projection.name}", factors.g_sums.get(projection.name)),
        ):
            if total is not None and f"vectors/{key}" not in solved:
                found = eigen(total.double() / factors.count, total.dtype)
                solved[f"vectors/{key}"] = found.vectors
                solved[f"values/{key}"] = torch.from_numpy(found.values)
                evidence = [float(found.clamped), found.residual]
                solved[f"evidence/{key}"] = torch.tensor(evidence, dtype=torch.float64)
        if progress is not None:
            progress(number, len(wanted))
    solved = ranks.gathered(solved)
    if not ranks.leads:
        return {}

    def eigen_of(key: str) -> Eigen:
        clamped, residual = solved[f"evidence/{key}"].tolist()
        values = solved[f"values/{key}"].numpy()
        return Eigen(solved[f"vectors/{key}"], values, int(clamped), residual)

    made: dict[str, Basis] = {}
    for projection in wanted:
        name = projection.name
        g, a = eigen_of(f"g/{name}"), eigen_of(f"a/{projection.input_key}")
        made[name] = Basis(
            name=name,
            u_g=g.vectors,
            lam=g.values,
            u_a=a.vectors,
            mu=a.values,
            clamped_g=g.clamped,
            clamped_a=a.clamped,
            residual_g=g.residual,
            residual_a=a.residual,
            weight_digest=factors.digests[name],
            scale=factors.scale,
        )
    return made


def save_bases(path: str | Path, bases: Mapping[str, Basis]) -> None:
    """Write the bases to one safetensors file; a U_A that several share is stored once."""
    tensors: dict[str, Tensor] = {}
    entries: list[dict[str, Any]] = []
    first: dict[int, str] = {}
    for name, basis in bases.items():
        owner = first.setdefault(basis.u_a.data_ptr(), name)
        tensors |= {f"u_g/{name}": basis.u_g, f"lam/{name}": torch.from_numpy(basis.lam)}
        tensors |= {f"u_a/{owner}": basis.u_a, f"mu/{owner}": torch.from_numpy(basis.mu)}
        entries.append(
            {
                "name": name,
                "input": owner,
                "clamped_g": basis.clamped_g,
                "clamped_a": basis.clamped_a,
                "residual_g": basis.residual_g,
                "residual_a": basis.residual_a,
                "weight_digest": basis.weight_digest,
                "scale": basis.scale,
            }
        )
    tensorfile.save(path, tensors, {"kind": "basis", "version": 1, "bases": entries})


def load_bases(path: str | Path) -> dict[str, Basis]:
    """Read what `save_bases` wrote, bit for bit; HillshadeError for a missing or damaged file."""
    tensors, header = tensorfile.load(path, "basis")
    with tensorfile.understood(path):
        spectra = {
            name: t.numpy() for name, t in tensors.items() if name.startswith(("lam/", "mu/"))
        }
        made: dict[str, Basis] = {}
        for entry in header["bases"]:
            name, owner = entry["name"], entry.pop("input")
            made[name] = Basis(
                u_g=tensors[f"u_g/{name}"],
                lam=spectra[f"lam/{name}"],
                u_a=tensors[f"u_a/{owner}"],
                mu=spectra[f"mu/{owner}"],
                **entry,
            )
    return made
