"""Exact curvature of single examples along chosen directions, by steps of the weights themselves.

Along a unit direction D, per counted token of an example x with logits z_t and p_t = softmax(z_t):

    GGN      κ_x = (1/T_x) Σ_t Σ_c p_tc (δz_tc − Σ_k p_tk δz_tk)²,
             δz = (z(W + εD) − z(W − εD)) / 2ε
    Hessian  h_x = (1/T_x) (L_x(W + εD) − 2 L_x(W) + L_x(W − εD)) / ε²

κ_x is the variance of δz_t under p_t, in the centred form: E[δz²] − E[δz]² loses all its digits,
and its sign, where the model is certain. It equals the Fisher curvature and is never negative.
h_x adds the model's own bending, weighted by the slopes; it may be negative.

What limits them. Rounding of the logits divided by 2ε is a floor under δz, truncation grows as ε²:
in float32 with ε = 1e-2 directions of κ below about 1e-8 are noise; in bfloat16, where W + εD is
mostly W, all are, and a model of fewer digits than float32 is refused. The Hessian divides rounding
by ε² and is meaningless in float32: it is computed on a float64 twin, in which also those modules
stay in float64 that narrow on their own (RMS norms, eager softmax). Cost: three passes above the
lowest projection for each direction, all examples at once (`core.replay`).

Source: Schraudolph 2002 (curvature-vector products), Martens 2020 (GGN and Fisher).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

from core.curvature.examples import Examples, Progress
from core.direction import Direction
from core.errors import HillshadeError
from core.projection import Projection
from core.replay import Replay, Step
from core.twin import twin

Floats = NDArray[np.float64]

GGN_STEP, GGN_STEP_WIDE, HESSIAN_STEP = 1e-2, 1e-4, 1e-3  # ε; the second for float64 models


def ggn_along(
    model: PreTrainedModel,
    projections: Sequence[Projection],
    examples: Examples,
    directions: Sequence[Direction],
    *,
    epsilon: float | None = None,
    progress: Progress | None = None,
) -> Floats:
    """κ_x of every example along every D/‖D‖, float64 (d, n), per counted token.

    `epsilon` is absolute, in the units of the weights. `progress(done, total)` counts steps and may
    raise to cancel. Raises HillshadeError for a step that is not positive, a zero direction, or
    one that touches none of `projections`, and a model below float32 (`measurable`); for unusable
    texts as `core.replay.Replay`.
    """
    if not measurable(model):
        raise HillshadeError(
            f"Exact curvature is a difference of two passes, and in {model.dtype} that is "
            "rounding; load the model in float32."
        )
    default = GGN_STEP_WIDE if model.dtype == torch.float64 else GGN_STEP
    step = default if epsilon is None else epsilon

    def variance(logits_3rv: Tensor, targets_r: Tensor) -> Tensor:
        p = logits_3rv[0].softmax(-1)
        dz = (logits_3rv[1] - logits_3rv[2]) / (2 * step)
        centred = dz - (p * dz).sum(-1, keepdim=True)
        return (p * centred.square()).sum(-1)[None]

    with _Unnarrowed():
        replay = replayed(model, projections, examples)
        rows = replay.map(_both(directions, step), variance, group=3, progress=progress)
    return per_example(rows[:, 0], examples)


def measurable(model: PreTrainedModel) -> bool:
    """Whether the model's number format has digits enough for `ggn_along`: those of float32."""
    return torch.finfo(model.dtype).eps <= torch.finfo(torch.float32).eps


def hessian_along(
    model: PreTrainedModel,
    projections: Sequence[Projection],
    examples: Examples,
    directions: Sequence[Direction],
    *,
    epsilon: float = HESSIAN_STEP,
    progress: Progress | None = None,
) -> Floats:
    """h_x of every example along every D/‖D‖, float64 (d, n), gold labels, per counted token.

    Runs on a float64 twin, which holds its own copy of the weights; `model` stays as it is.
    `epsilon`, `progress` and errors as in `ggn_along`.
    """
    wide = twin(model)
    module: nn.Module = wide
    module.to(torch.float64)
    with _Unnarrowed():
        replay = replayed(wide, projections, examples)
        loss = replay.read(_both(directions, epsilon), progress).loss
    base, up, down = (per_example(loss[k::3], examples) for k in range(3))
    return ((up - base) + (down - base)) / epsilon**2


def replayed(
    model: PreTrainedModel, projections: Sequence[Projection], examples: Examples
) -> Replay:
    """A replay of the examples in which their counted positions count."""
    return Replay(
        model,
        projections,
        [example.content for example in examples],
        counted=[example.counted for example in examples],
    )


class _Unnarrowed(TorchFunctionMode):
    """Inside, what is given float64 computes in float64, whatever narrower dtype it asks for."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if args and isinstance(args[0], Tensor) and args[0].dtype == torch.float64:
            if func is Tensor.float:
                return args[0]
            args = tuple(torch.float64 if a is torch.float32 else a for a in args)
            named = {k: torch.float64 if v is torch.float32 else v for k, v in named.items()}
        return func(*args, **named)


def _both(directions: Sequence[Direction], step: float) -> list[Step]:
    """For each direction the model as it is, W + εD and W − εD."""
    if not 0.0 < step < float("inf"):
        raise HillshadeError(f"A step of {step} measures nothing; choose a positive one.")
    units = [direction.unit() for direction in directions]
    return [s for unit in units for s in ((), ((unit, step),), ((unit, -step),))]


def per_example(rows_kn: Floats, examples: Examples) -> Floats:
    """Replayed rows as means over the counted tokens of each example, (k, n_examples)."""
    tokens = np.array([example.tokens for example in examples])
    starts = np.concatenate([[0], np.cumsum(tokens)[:-1]])
    return np.add.reduceat(rows_kn, starts, axis=1) / tokens
