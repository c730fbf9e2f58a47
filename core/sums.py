"""Running sums Σ x xᵀ of rows, one per matrix, that survive a batch which fails halfway.

Keys are ``a/<input key>`` and ``g/<projection>``, as in the files of `core.factors`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from scipy.linalg.blas import dsyrk, ssyrk
from torch import Tensor

from core.errors import HillshadeError

_CHUNK_ROWS = 2048
_PANEL = 2048  # columns multiplied at a time on other devices than the processor
_MIRRORED = 256  # rows and columns mirrored at a time; more leave the cache


class Sums:
    """Running Σ x xᵀ per key, in float32 or better whatever the rows' dtype.

    Where a pass over some sequences breaks off, some keys have their rows already and some have
    not. Nothing is subtracted, and no copy is held back for it: each key knows how many rows it is
    ahead, and leaves out as many when the same sequences come again, in the same order, whole or in
    smaller batches. `settle` says that a batch went through.
    """

    def __init__(self, totals: Mapping[str, Tensor] | None = None) -> None:
        self.totals = dict(totals or {})
        self._ahead: dict[str, int] = {}

    @property
    def settled(self) -> bool:
        """Whether every key holds the same rows."""
        return not self._ahead

    def add_input(self, key: str, rows: Tensor) -> None:
        """Rows a_nq of one input tensor."""
        self._add(f"a/{key}", rows)

    def add_gradient(self, name: str, rows: Tensor) -> None:
        """Rows g_np of one projection."""
        self._add(f"g/{name}", rows)

    def settle(self, rows: int) -> None:
        """A batch of so many rows is in every sum; HillshadeError where one is not finite.

        The diagonal holds Σ x², so one NaN or infinity in any row shows there.
        """
        for key, total in self.totals.items():
            if not bool(torch.isfinite(total.diagonal()).all()):
                what, _, name = key.partition("/")
                what = "activations" if what == "a" else "gradients"
                raise HillshadeError(
                    f"The {what} at {name} are not finite (NaN, infinite or too large to "
                    "square); check the weights, or load the model in a wider dtype."
                )
        self._ahead = {key: more - rows for key, more in self._ahead.items() if more > rows}

    def _add(self, key: str, rows_nd: Tensor) -> None:
        for chunk in rows_nd[self._ahead.get(key, 0) :].split(_CHUNK_ROWS):
            self.totals[key] = add_outer(self.totals.get(key), chunk)
            self._ahead[key] = self._ahead.get(key, 0) + len(chunk)


def add_outer(total: Tensor | None, rows_nd: Tensor) -> Tensor:
    """Return total + Σ_n x_n x_nᵀ, float32[d, d] or better (bfloat16 sums ruin eigenvectors).

    Only the upper triangle is added to, in n d²/2 multiplications; `symmetric` fills the lower one.
    Adds in place where `total` is given, and all rows or none where memory runs out.
    """
    dtype = torch.promote_types(rows_nd.dtype, torch.float32)
    if total is None:
        total = torch.zeros(rows_nd.shape[1], rows_nd.shape[1], dtype=dtype, device=rows_nd.device)
    add = _add_by_blas if total.device.type == "cpu" else _add_by_panels
    add(total, rows_nd.detach().to(dtype))
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


def operations(size: int, where: torch.device) -> int:
    """Operations of `add_outer` for one row of so many numbers, a multiply-add counted as two."""
    if where.type == "cpu":
        return size * (size + 1)
    return sum(2 * min(_PANEL, size - start) * (size - start) for start in range(0, size, _PANEL))


def symmetric(total: Tensor) -> Tensor:
    """The whole matrix from its upper triangle, exactly symmetric, in place; on the CPU."""
    for start in range(0, len(total), _MIRRORED):
        end = start + _MIRRORED
        square = total[start:end, start:end]
        square.copy_(square.triu() + square.triu(1).T)
        total[end:, start:end] = total[start:end, end:].T
    return total.to("cpu")
