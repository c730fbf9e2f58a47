"""A direction by name: what is needed to make it, now or again, on the model it belongs to.

A `RaySpec` is plain enough for a file; `Compass.ray` makes the direction from it. The same wish on
the same model gives the same direction, up to rounding: eigenvectors are those of the study, draws
are keyed, and an example's own direction has the sign along which its sampled loss rises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from core.basis import Basis
from core.curvature.examples import Example
from core.curvature.spikes import gradients, own_directions
from core.errors import HillshadeError
from core.images import Image
from core.items import Item
from core.landscape import directions
from core.landscape.directions import Origin, Ray
from core.projection import Projection, find_projections, named
from core.replay import Step
from core.twin import twin

Kind = Literal["spike", "eigendirection", "band", "edit", "random"]


@dataclass(frozen=True)
class RaySpec:
    """One direction.

    projection   where it lies; None for an edit, which lies in all that its recipe touches
    i, j         of an eigendirection, from 0, the sharpest first
    start, stop  ranks of a band, from 0
    item         whose own direction
    recipe, setting  of an edit
    seed         of the random direction, or of the labels an own direction is drawn with
    """

    kind: Kind
    projection: str | None = None
    i: int | None = None
    j: int | None = None
    start: int | None = None
    stop: int | None = None
    item: str | None = None
    recipe: str | None = None
    setting: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise HillshadeError(
                f'The direction "{self.kind}" is unknown; choose {", ".join(get_args(Kind))}.'
            )
        missing = [name for name in _NEEDED[self.kind] if getattr(self, name) is None]
        if missing:
            raise HillshadeError(f"A direction of kind {self.kind} needs {' and '.join(missing)}.")

    def plain(self) -> dict[str, Any]:
        """For a file; ``RaySpec(**plain)`` is the inverse."""
        return {name: value for name, value in asdict(self).items() if value is not None}


_NEEDED: dict[str, tuple[str, ...]] = {
    "spike": ("projection", "item"),
    "eigendirection": ("projection", "i", "j"),
    "band": ("projection", "start", "stop"),
    "edit": ("recipe", "setting"),
    "random": ("projection",),
}


@dataclass(frozen=True, eq=False)
class Compass:
    """What directions are made of: one model, its bases by projection, its items, its edits.

    `edited(recipe, setting)` returns the edited model of a recipe's id.
    """

    model: PreTrainedModel
    bases: Mapping[str, Basis]
    items: Iterable[Item | Image] = ()
    edited: Callable[[str, float], nn.Module] | None = None
    _there: dict[str, Projection] = field(init=False)
    _items: dict[str, Item | Image] = field(init=False)

    def __post_init__(self) -> None:
        ours = (*find_projections(self.model), *named(self.model, self.bases))
        there = {projection.name: projection for projection in ours}
        object.__setattr__(self, "_there", there)
        object.__setattr__(self, "_items", {item.id: item for item in self.items})

    def ray(self, wanted: RaySpec) -> Ray:
        """The direction; HillshadeError where the model, its bases or items do not have it."""
        if wanted.kind == "edit":
            return self._edit(wanted)
        projection = self._projection(wanted.projection)
        if wanted.kind == "random":
            return directions.filter_normalised(self.model, [projection], wanted.seed)
        if wanted.kind == "spike":
            return self._spike(wanted, projection)
        basis = self.bases.get(projection.name)
        if basis is None:
            raise HillshadeError(
                f"There is no curvature basis for {projection.name}; choose a projection with one."
            )
        if wanted.kind == "eigendirection":
            assert wanted.i is not None and wanted.j is not None
            return directions.eigendirection(basis, wanted.i, wanted.j)
        assert wanted.start is not None and wanted.stop is not None
        weight = projection.weight(self.model).detach()
        return directions.band(basis, weight, wanted.start, wanted.stop)

    def _projection(self, name: str | None) -> Projection:
        if name not in self._there:
            raise HillshadeError(f"This model has no projection {name}; choose one of its own.")
        return self._there[name]

    def _spike(self, wanted: RaySpec, projection: Projection) -> Ray:
        item = self._items.get(wanted.item or "")
        if item is None:
            raise HillshadeError(f"There is no text {wanted.item} here; choose another one.")
        example = item if isinstance(item, Image) else Example.of_item(item)
        rows = gradients(self.model, [projection], [example], seed=wanted.seed)
        own = own_directions(projection.name, rows[projection.name])
        wide = torch.promote_types(projection.weight(self.model).dtype, torch.float32)
        u, v = own.u[0].to(wide), own.v[0].to(wide)
        return directions.spike(projection.name, u, v, item.id, draws=1, seed=wanted.seed)

    def _edit(self, wanted: RaySpec) -> Ray:
        if self.edited is None or wanted.recipe is None or wanted.setting is None:
            raise HillshadeError("There is no edit to walk along here; choose another direction.")
        changed = self.edited(wanted.recipe, wanted.setting)
        origin: Origin = {"recipe": wanted.recipe, "setting": wanted.setting}
        return directions.edit(self.model, changed, self._there.values(), origin)


def stepped(model: PreTrainedModel, step: Step) -> PreTrainedModel:
    """The model at W + Σ α D: a twin that owns the touched weights and shares every other tensor.

    `model` is never written to. For reading losses alone `core.landscape.slices` copies nothing;
    this is for what needs a whole model, such as letting it write.
    """
    replaced: dict[nn.Parameter, Tensor] = {}
    for projection in named(model, {name for direction, _ in step for name in direction.parts}):
        weight = projection.weight(model).detach()
        moved = weight.to(torch.promote_types(weight.dtype, torch.float32))
        for direction, size in step:
            if projection.name in direction.parts:
                moved = moved + size * direction.dense(projection.name).to(moved)
        parameter = projection.parameter(model)
        stored = moved.T if projection.transposed else moved
        replaced[parameter] = stored.to(parameter.dtype).contiguous()
    return twin(model, replaced)
