"""A slice of the loss landscape as it is kept: grid, losses, recall and where they came from.

A grid point (α, β) stands for the weights W + s D₁ + t D₂ with s = α·unit₁, t = β·unit₂ and
orthogonal D₁, D₂ of length 1. α = 0 is always a grid point: the unedited model. Losses are means
over the counted tokens of a text, in nats. A loss that is not finite is kept as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from core import tensorfile
from core.errors import HillshadeError
from core.intervals import Estimate, ratio_of_sums, share
from core.landscape.directions import Origin

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Unit = Literal["weights", "direction"]


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of a slice.

    values    float64 (k,): α, ascending, 0 among them
    unit      absolute length of α = 1 in weight space
    unit_of   what that length is: "weights", ‖W‖_F of the projections the slice touches, or
              "direction", the length of D as it was given (α = 1 is then the whole edit)
    origin    what the direction is and how it is made again (`core.landscape.directions.Ray`)
    digest    sha256 of the direction's entries
    """

    values: Floats
    unit: float
    unit_of: Unit
    origin: Origin
    digest: str

    def __post_init__(self) -> None:
        values = self.values
        if (
            values.ndim != 1
            or not np.isfinite(values).all()
            or (np.diff(values) <= 0).any()
            or 0.0 not in values
        ):
            raise HillshadeError(
                "The values of an axis must be finite, ascending, and 0 among them; "
                "take them from core.landscape.slices.centred."
            )
        if self.unit_of not in get_args(Unit):
            raise HillshadeError(f'An axis has no unit "{self.unit_of}"; use weights or direction.')

    @property
    def centre(self) -> int:
        """Index of α = 0."""
        return int(np.flatnonzero(self.values == 0.0)[0])

    @property
    def steps(self) -> Floats:
        """Absolute lengths of the steps, s = α · unit, (k,)."""
        return self.values * self.unit


@dataclass(frozen=True, eq=False)
class Curve:
    """A value with its 95 % interval at every grid point; n units (tokens or texts) behind each."""

    value: Floats
    low: Floats
    high: Floats
    n: int


@dataclass(frozen=True, eq=False)
class Slice:
    """Loss and strict recall of n texts on a grid of one or two axes.

    names, groups   of the texts
    tokens          int64 (n,): counted tokens of each
    loss            float64 (*grid, n): mean loss per counted token of each text, in nats
    strict          bool (*grid, n): every counted token is the teacher-forced argmax; for a
                    memorized string this is strict recall
    slopes          float64 (axes, n): ⟨∇L_x, D⟩ at the centre, exact; None for a training path
    kfac            float64 (axes, axes): vec(D_a)ᵀ (G ⊗ A) vec(D_b); None without a basis
    mass_share      share of the curvature mass ΣλΣμ of the touched projections that lies in the
                    directions of the axes; None without a basis
    texts_digest    of token ids and counted positions (`Texts.digest`)
    weights         digest of each touched projection's W, by name
    """

    axes: tuple[Axis, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    tokens: NDArray[np.int64]
    loss: Floats
    strict: Bools
    slopes: Floats | None
    kfac: Floats | None
    mass_share: float | None
    texts_digest: str
    weights: Mapping[str, str]

    @property
    def centre(self) -> tuple[int, ...]:
        """Grid index of the unedited model."""
        return tuple(axis.centre for axis in self.axes)

    @property
    def base(self) -> Floats:
        """Losses of the unedited model, (n,)."""
        base: Floats = self.loss[self.centre]
        return base

    @property
    def finite(self) -> Bools:
        """Grid points at which every loss is a number, (*grid,)."""
        return np.asarray(np.isfinite(self.loss).all(-1))

    def mean_loss(self, group: str | None = None) -> Curve:
        """Mean loss per counted token over the texts of a group (None: all of them)."""
        return self._over_tokens(self.loss, group)

    def rise(self, group: str | None = None) -> Curve:
        """Mean loss minus that of the unedited model, paired text by text: exactly 0 at the centre.

        Pairing removes how hard each text is, so the interval is far narrower than mean_loss's.
        """
        return self._over_tokens(self.loss - self.base, group)

    def recall(self, group: str | None = None) -> Curve:
        """Share of the texts of a group whose counted tokens are all right, Wilson's interval."""
        return self._curve(self.strict, group, share)

    def quadratic(
        self, group: str | None = None, curvature: Floats | float | None = None
    ) -> Floats:
        """L(0) + s·⟨∇L, D⟩ + ½ sᵀ C s on the grid: the loss if curvature stayed what it is.

        Base loss and slope are the group's own means over tokens. C is K-FAC's (``kfac``), or
        `curvature`: an exact GGN's κ of one axis, a number, or of both, (axes, axes). Raises
        HillshadeError where slopes or curvature are missing.
        """
        c = self.kfac if curvature is None else np.atleast_2d(np.asarray(curvature, np.float64))
        if self.slopes is None or c is None or c.shape != (len(self.axes),) * 2:
            raise HillshadeError(
                "A quadratic needs slopes and one curvature for every pair of axes; "
                "cut the slice with slopes and a basis, or give the curvature."
            )
        mine = self._members(group)
        weights = self.tokens[mine] / self.tokens[mine].sum()
        steps = np.stack(np.meshgrid(*(axis.steps for axis in self.axes), indexing="ij"), -1)
        tilt = steps @ (self.slopes[:, mine] @ weights)
        bend = 0.5 * np.einsum("...a,ab,...b->...", steps, c, steps)
        whole: Floats = float(self.base[mine] @ weights) + tilt + bend
        return whole

    def save(self, path: str | Path) -> None:
        """Write one safetensors file; NaN and infinity stay what they are."""
        tensors, header = pack(self)
        tensorfile.save(path, tensors, {"kind": "slice", "version": 1} | header)

    @classmethod
    def load(cls, path: str | Path) -> Slice:
        """Read what `save` wrote, bit for bit; HillshadeError for a missing or damaged file."""
        return unpack(*tensorfile.load(path, "slice"))

    def _members(self, group: str | None) -> NDArray[np.int64]:
        mine = np.array([n for n, g in enumerate(self.groups) if group in (None, g)], np.int64)
        if not len(mine):
            raise HillshadeError(
                f'The slice has no group "{group}"; choose among {", ".join(set(self.groups))}.'
            )
        return mine

    def _over_tokens(self, losses: Floats, group: str | None) -> Curve:
        tokens = self.tokens[self._members(group)]
        return self._curve(losses, group, lambda row: ratio_of_sums(row * tokens, tokens))

    def _curve(
        self, values: NDArray[Any], group: str | None, estimate: Callable[[NDArray[Any]], Estimate]
    ) -> Curve:
        mine = values[..., self._members(group)]
        with np.errstate(invalid="ignore"):  # a loss that overflowed makes this grid point NaN
            found = [estimate(row) for row in mine.reshape(-1, mine.shape[-1])]
        value, low, high = (
            np.array([getattr(e, part) for e in found]).reshape(mine.shape[:-1])
            for part in ("value", "low", "high")
        )
        return Curve(value, low, high, found[0].n)


def pack(kept: Slice) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Arrays and JSON of a slice; `unpack` is the inverse."""
    arrays = {f"values{number}": axis.values for number, axis in enumerate(kept.axes)}
    arrays |= {name: getattr(kept, name) for name in ("tokens", "loss", "strict")}
    arrays |= {n: a for n in ("slopes", "kfac") if (a := getattr(kept, n)) is not None}
    axes = [
        {name: value for name, value in asdict(axis).items() if name != "values"}
        for axis in kept.axes
    ]
    header = {"axes": axes, "weights": dict(kept.weights)}
    header |= {n: getattr(kept, n) for n in ("names", "groups", "mass_share", "texts_digest")}
    return {n: torch.from_numpy(np.ascontiguousarray(a)) for n, a in arrays.items()}, header


def unpack(tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> Slice:
    """The slice that `pack` took apart."""
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    axes = tuple(
        Axis(values=arrays[f"values{number}"], **entry)
        for number, entry in enumerate(header["axes"])
    )
    return Slice(
        axes=axes,
        names=tuple(header["names"]),
        groups=tuple(header["groups"]),
        tokens=arrays["tokens"],
        loss=arrays["loss"],
        strict=arrays["strict"],
        slopes=arrays.get("slopes"),
        kfac=arrays.get("kfac"),
        mass_share=header["mass_share"],
        texts_digest=header["texts_digest"],
        weights=header["weights"],
    )
