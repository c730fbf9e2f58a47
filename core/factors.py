"""The Kronecker factors of each projection's Fisher block: raw sums, and one count.

For y = W a, with T counted positions (docs of `core.rows`),

    A = (1/T) Σ_t a_t a_tᵀ  (q x q),    G = (1/T) Σ_t g_t g_tᵀ  (p x p),    Fisher(W) ≈ G ⊗ A,

g_t the gradient of the *summed* loss: a mean loss would scale G by 1/T_batch² and weigh unequal
batches unequally. Sums and count are kept and divided when read, so that parts collected apart can
be added or mixed exactly.

Source: Martens & Grosse 2015 (K-FAC); Merullo et al. 2025, section 3.1 (arXiv 2510.24256).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from core import tensorfile, textfile
from core.causal import require_causal
from core.checkpoint import Checkpoint, Slot
from core.errors import HillshadeError
from core.images import Images
from core.labels import Labels
from core.projection import Projection, matrix_digest, weight_digest
from core.ranks import ALONE, Ranks
from core.reading import read_sums
from core.samples import Patches, Sample, readable
from core.sums import add_outer, symmetric
from core.twin import rounded

__all__ = ["Factors", "Progress", "Scale", "add_outer", "collect", "symmetric"]

Progress = Callable[[int, int], None]
Scale = Literal["summed", "unknown"]


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

    def gathered(self, ranks: Ranks) -> Factors:
        """All sums on rank 0, where each rank has those it owns; elsewhere none."""
        sums = {f"a/{key}": total for key, total in self.a_sums.items()}
        sums |= {f"g/{name}": total for name, total in self.g_sums.items()}
        found = ranks.gathered(sums)
        return replace(
            self,
            a_sums={key[2:]: total for key, total in found.items() if key.startswith("a/")},
            g_sums={key[2:]: total for key, total in found.items() if key.startswith("g/")},
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
        with tensorfile.understood(path):
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
    sequences: Iterable[Sequence[int]] | Images,
    projections: Sequence[Projection],
    *,
    labels: Labels = "sampled",
    seed: int = 0,
    batch_size: int = 32,
    dtype: torch.dtype | None = None,
    passes: Sequence[Sequence[Projection]] | None = None,
    checkpoint: Checkpoint | None = None,
    ranks: Ranks = ALONE,
    progress: Progress | None = None,
) -> Factors:
    """Factors of all `projections` from one forward and one backward pass per batch.

    Works on a twin of the model (`core.twin`): weights, .grad, requires_grad, train/eval mode,
    hooks and the global random state are never touched, so other threads may use the model
    meanwhile. Cost: one forward pass, one backward pass down to the first wanted block, and
    n (q² + p²)/2 multiplications per projection for n positions; memory: the logits of one batch
    and one q x q and p x p sum each.

    dtype       of the rows where it is not the model's own: bfloat16 halves their memory; sums are
                float32 all the same, `digests` are those of the weights before rounding
    passes      the projections in groups of whole layers, each read in a pass of its own where the
                sums of all do not fit (`core.estimate.passes`)
    checkpoint  where the running sums are kept and taken up again, with the same bits at the end
    ranks       who shares the work; each then returns the sums it owns, see `Factors.gathered`

    `progress(done, total)` counts this rank's sequences or images, pass by pass, and may raise to
    cancel. Where memory runs out the batch size halves. Raises HillshadeError for unusable data
    (`core.samples.readable`), a checkpoint of another run, a language model that looks to the right
    (`core.causal`), and when activations or gradients are not finite.
    """
    if labels not in ("sampled", "gold"):
        raise HillshadeError(f"Labels {labels!r} are unknown; choose 'sampled' or 'gold'.")
    if batch_size < 1:
        raise HillshadeError(f"A batch of {batch_size} sequences is impossible; choose 1 or more.")
    sample = readable(sequences, model)
    require_causal(model)
    groups = [projections] if passes is None else passes
    digests = {p.name: matrix_digest(p.weight(model)) for p in projections}
    seen = model if dtype is None else rounded(model, dtype)
    slots: list[Slot | None] = [None] * len(groups)
    if checkpoint is not None:
        record = {
            "weights": weight_digest(model),
            "texts": _identity(sample),
            "labels": [labels, seed],
            "batch size": batch_size,
            "number format": str(dtype),
            "projections": [[p.name for p in group] for group in groups],
        }
        slots = [checkpoint.slot(record, ranks, number) for number in range(len(groups))]
    share = len(ranks.share(sample))
    a_sums: dict[str, Tensor] = {}
    g_sums: dict[str, Tensor] = {}
    count = 0
    for number, group in enumerate(groups):

        def show(done: int, before: int = number * share) -> None:
            if progress is not None:
                progress(before + done, share * len(groups))

        totals, count = read_sums(
            seen, sample, group, labels=labels, seed=seed, batch_size=batch_size, ranks=ranks,
            slot=slots[number], progress=show,
        )  # fmt: skip
        for key in sorted(totals):
            kind, _, name = key.partition("/")
            (a_sums if kind == "a" else g_sums)[name] = symmetric(totals.pop(key))
    return Factors(
        projections=tuple(projections),
        count=count,
        labels=labels,
        seed=seed if labels == "sampled" else None,
        a_sums=a_sums,
        g_sums=g_sums,
        digests=digests,
    )


def _identity(sample: Sample) -> str:
    """sha256 over all that is read, in order."""
    if not isinstance(sample, Patches):
        return textfile.digest(sample)
    found = hashlib.sha256(f"{sample.width} {sample.counted}\n".encode())
    for image in sample.images:
        found.update(image.digest + f"{image.given}\n".encode())
    return found.hexdigest()


def _triangle(total: Tensor) -> Tensor:
    return torch.cat([total[i, i:] for i in range(len(total))])


def _square(triangle: Tensor) -> Tensor:
    size = round(((8 * triangle.numel() + 1) ** 0.5 - 1) / 2)
    total = triangle.new_empty(size, size)
    for i, row in enumerate(triangle.split(list(range(size, 0, -1)))):
        total[i, i:] = row
        total[i:, i] = row
    return total
