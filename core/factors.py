"""The Kronecker factors of each projection's Fisher block: raw sums, and one count.

For y = W a, with T counted positions (docs of `core.rows`),

    A = (1/T) Σ_t a_t a_tᵀ  (q x q),    G = (1/T) Σ_t g_t g_tᵀ  (p x p),    Fisher(W) ≈ G ⊗ A,

g_t the gradient of the *summed* loss: a mean loss would scale G by 1/T_batch² and weigh unequal
batches unequally. Sums and count are kept and divided when read, so that parts collected apart can
be added or mixed exactly.

Source: Martens & Grosse 2015 (K-FAC); Merullo et al. 2025, section 3.1 (arXiv 2510.24256).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch
from scipy.linalg.blas import dsyrk, ssyrk
from torch import Tensor, nn

from core import tensorfile
from core.errors import HillshadeError
from core.labels import Labels
from core.projection import Projection, matrix_digest
from core.rows import Tap, as_sequences, batches

Progress = Callable[[int, int], None]
Scale = Literal["summed", "unknown"]
_CHUNK_ROWS = 2048
_PANEL = 2048  # columns multiplied at a time on other devices than the processor
_MIRRORED = 256  # rows and columns mirrored at a time; more leave the cache


@dataclass(frozen=True, eq=False)
class Factors:
    """Sums Σ a aᵀ by input and Σ g gᵀ by projection over `count` positions, exactly symmetric.

    ``a_sums`` is keyed by ``Projection.input_key``: gate and up share one tensor. ``digests`` names
    the weights that were observed (`core.projection.matrix_digest`). ``seed`` is None for gold
    labels and for mixtures of different seeds. Sums are float32, or float64 for a float64 model.
    ``scale`` is "unknown" for another tool's factors whose G carries a factor that nobody stored
    (`core.foreign`): rankings and shares of mass are free of it, absolute curvatures are not.
    """

    projections: tuple[Projection, ...]
    count: int
    labels: Labels
    seed: int | None
    a_sums: dict[str, Tensor]
    g_sums: dict[str, Tensor]
    digests: dict[str, str]
    scale: Scale = "summed"
    _means: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def a(self, name: str) -> Tensor:
        """A = (1/T) Σ a aᵀ of this projection, float64[q, q]; gate and up get the same tensor."""
        key = self.projection(name).input_key
        return self._mean(f"a/{key}", self.a_sums[key])

    def g(self, name: str) -> Tensor:
        """G = (1/T) Σ g gᵀ of this projection, float64[p, p]."""
        return self._mean(f"g/{name}", self.g_sums[self.projection(name).name])

    def projection(self, name: str) -> Projection:
        """The projection of this name; HillshadeError if it was not collected."""
        for projection in self.projections:
            if projection.name == name:
                return projection
        raise HillshadeError(
            f"These factors do not cover {name}; collect them with that projection selected."
        )

    def mixed(self, other: Factors, share: float) -> Factors:
        """Factors in which `other` makes up `share` of the positions, whatever the two counts.

        mean = (1 - share) · self's mean + share · other's mean, computed in float64. At share 0 or
        1 this is one of the two itself; in between the count is the number of positions read.
        With share = other.count / (both counts) it equals collecting over both texts at once.
        Raises HillshadeError for a share outside 0..1 or factors of other weights or labels.
        """
        if not 0.0 <= share <= 1.0:
            raise HillshadeError(f"A share of {share} is impossible; choose between 0 and 1.")
        if (self.projections, self.digests, self.labels) != (
            other.projections, other.digests, other.labels,
        ):  # fmt: skip
            raise HillshadeError(
                "These factors are of different weights, projections or labels and cannot be "
                "mixed; collect both from the same model in the same way."
            )
        if "unknown" in (self.scale, other.scale):
            raise HillshadeError(
                "Factors of unknown scale cannot be mixed: nobody knows what a share of them is; "
                "collect both here."
            )
        if share == 0.0:
            return self
        if share == 1.0:
            return other
        count = self.count + other.count
        weights = (count * (1.0 - share) / self.count, count * share / other.count)

        def mix(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> dict[str, Tensor]:
            return {
                key: (weights[0] * mine[key].double() + weights[1] * theirs[key].double()).to(
                    torch.promote_types(mine[key].dtype, theirs[key].dtype)
                )
                for key in mine
            }

        return Factors(
            projections=self.projections,
            count=count,
            labels=self.labels,
            seed=self.seed if self.seed == other.seed else None,
            a_sums=mix(self.a_sums, other.a_sums),
            g_sums=mix(self.g_sums, other.g_sums),
            digests=self.digests,
        )

    def save(self, path: str | Path) -> None:
        """Write a safetensors file: upper triangles as they are, the rest in its header."""
        tensors = {f"a/{key}": _triangle(total) for key, total in self.a_sums.items()}
        tensors |= {f"g/{name}": _triangle(total) for name, total in self.g_sums.items()}
        header = {
            "kind": "factors",
            "version": 1,
            "count": self.count,
            "labels": self.labels,
            "seed": self.seed,
            "scale": self.scale,
            "digests": self.digests,
            "projections": [asdict(projection) for projection in self.projections],
        }
        tensorfile.save(path, tensors, header)

    @classmethod
    def load(cls, path: str | Path) -> Factors:
        """Read what `save` wrote, bit for bit; HillshadeError for a missing or damaged file."""
        tensors, header = tensorfile.load(path, "factors")
        projections = tuple(Projection(**entry) for entry in header["projections"])
        keys = {projection.input_key for projection in projections}
        return cls(
            projections=projections,
            count=header["count"],
            labels=header["labels"],
            seed=header["seed"],
            a_sums={key: _square(tensors[f"a/{key}"]) for key in keys},
            g_sums={p.name: _square(tensors[f"g/{p.name}"]) for p in projections},
            digests=header["digests"],
            scale=header.get("scale", "summed"),
        )

    def _mean(self, key: str, total: Tensor) -> Tensor:
        if key not in self._means:
            self._means[key] = total.double() / self.count
        return self._means[key]


def collect(
    model: nn.Module,
    sequences: Iterable[Sequence[int]],
    projections: Sequence[Projection],
    *,
    labels: Labels = "sampled",
    seed: int = 0,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Factors:
    """Factors of all `projections` from one forward and one backward pass per batch.

    Works on a twin of the model (`core.twin`): weights, .grad, requires_grad, train/eval mode,
    hooks and the global random state are never touched, so other threads may use the model
    meanwhile. Cost: one forward pass, one backward pass down to the first wanted block, and
    n (q² + p²)/2 multiplications per projection for n positions; memory: the logits of one batch
    and one q x q and p x p sum each.

    `progress(done, total)` counts sequences and may raise to cancel.
    Raises HillshadeError for unusable data (`core.rows.as_sequences`) and when activations or
    gradients are not finite.
    """
    if labels not in ("sampled", "gold"):
        raise HillshadeError(f"Labels {labels!r} are unknown; choose 'sampled' or 'gold'.")
    texts = as_sequences(sequences, model)
    sums = _Sums()
    tap = Tap(model, projections)
    done, count = 0, 0
    for batch in batches(texts, batch_size):
        tap.run(batch, texts, sums.add_input, sums.add_gradient, labels=labels, seed=seed)
        sums.require_finite()
        done += len(batch.sequences)
        count += len(batch.rows)
        if progress is not None:
            progress(done, len(texts))
    return Factors(
        projections=tuple(projections),
        count=count,
        labels=labels,
        seed=seed if labels == "sampled" else None,
        a_sums={key: symmetric(total) for key, total in sums.a.items()},
        g_sums={p.name: symmetric(sums.g[p.name]) for p in projections},
        digests={p.name: matrix_digest(p.weight(model)) for p in projections},
    )


class _Sums:
    """Running Σ x xᵀ per key, in float32 or better whatever the rows' dtype."""

    def __init__(self) -> None:
        self.a: dict[str, Tensor] = {}
        self.g: dict[str, Tensor] = {}

    def add_input(self, key: str, rows: Tensor) -> None:
        self.a[key] = add_outer(self.a.get(key), rows)

    def add_gradient(self, key: str, rows: Tensor) -> None:
        self.g[key] = add_outer(self.g.get(key), rows)

    def require_finite(self) -> None:
        """The diagonal holds Σ x², so one NaN or infinity in any row shows there."""
        for what, totals in (("activations", self.a), ("gradients", self.g)):
            for key, total in totals.items():
                if not bool(torch.isfinite(total.diagonal()).all()):
                    raise HillshadeError(
                        f"The {what} at {key} are not finite (NaN, infinite or too large to "
                        "square); check the weights, or load the model in a wider dtype."
                    )


def add_outer(total: Tensor | None, rows_nd: Tensor) -> Tensor:
    """Return total + Σ_n x_n x_nᵀ, float32[d, d] or better (bfloat16 sums ruin eigenvectors).

    Only the upper triangle is added to, in n d²/2 multiplications; `symmetric` fills the lower one.
    Adds in place where `total` is given; rows are cast and multiplied some thousand at a time.
    """
    dtype = torch.promote_types(rows_nd.dtype, torch.float32)
    if total is None:
        total = torch.zeros(rows_nd.shape[1], rows_nd.shape[1], dtype=dtype, device=rows_nd.device)
    add = _add_by_blas if total.device.type == "cpu" else _add_by_panels
    for chunk in rows_nd.detach().split(_CHUNK_ROWS):
        add(total, chunk.to(dtype))
    return total


def _add_by_blas(total: Tensor, x_nd: Tensor) -> None:
    """The symmetric rank-n product of BLAS, which PyTorch does not offer."""
    assert total.is_contiguous()  # a copy would be added to, and lost
    syrk = ssyrk if total.dtype == torch.float32 else dsyrk
    # BLAS reads by columns: what is its lower triangle is the upper one of the rows.
    syrk(1.0, x_nd.contiguous().numpy().T, 1.0, total.numpy().T, lower=1, overwrite_c=1)


def _add_by_panels(total: Tensor, x_nd: Tensor) -> None:
    """Plain products of a panel of columns with all that lie to its right, itself included."""
    for start in range(0, len(total), _PANEL):
        end = start + _PANEL
        total[start:end, start:].addmm_(x_nd[:, start:end].T, x_nd[:, start:])


def symmetric(total: Tensor) -> Tensor:
    """The whole matrix from its upper triangle, exactly symmetric, in place; on the CPU."""
    for start in range(0, len(total), _MIRRORED):
        end = start + _MIRRORED
        square = total[start:end, start:end]
        square.copy_(square.triu() + square.triu(1).T)
        total[end:, start:end] = total[start:end, end:].T
    return total.to("cpu")


def _triangle(total: Tensor) -> Tensor:
    return torch.cat([total[i, i:] for i in range(len(total))])


def _square(triangle: Tensor) -> Tensor:
    size = round(((8 * triangle.numel() + 1) ** 0.5 - 1) / 2)
    total = triangle.new_empty(size, size)
    for i, row in enumerate(triangle.split(list(range(size, 0, -1)))):
        total[i, i:] = row
        total[i:, i] = row
    return total
