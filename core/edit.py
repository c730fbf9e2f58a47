"""Edited models: a recipe and a model in, a new model out; the given model is never written to.

The edited model is a `core.twin` of the original: it shares every untouched tensor and owns only
the edited weights, so several people can hold different edits of one model, and undoing is dropping
one. It is an ordinary transformers model (generate, save_pretrained).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from core.basis import Basis
from core.ekfac import Ekfac, ekfac_digest
from core.errors import HillshadeError
from core.methods import (
    IN_BASIS,
    IN_EKFAC,
    METHODS,
    SEEDED,
    Coordinates,
    Cut,
    Method,
    PairMethod,
    Target,
)
from core.pairset import PairSet
from core.projection import Projection, named
from core.ranking import select
from core.recipe import Recipe, require_method, require_setting
from core.twin import Model, twin

__all__ = [
    "EditReport",
    "Editor",
    "ProjectionReport",
    "Recipe",
    "apply",
    "bases_digest",
    "edit_report",
    "edited",
]

Model_co = TypeVar("Model_co", bound=nn.Module, covariant=True)


@dataclass(frozen=True)
class ProjectionReport:
    """What an edit left of one projection; ``weight_energy`` is ‖W‖_F²."""

    name: str
    kept: int
    total: int
    weight_kept: float
    weight_energy: float


@dataclass(frozen=True)
class EditReport:
    """What an edit left: directions (pairs, singular directions or entries) and share of ‖W‖².

    A soft edit (strength below 1) counts the directions it leaves whole.
    """

    method: str
    setting: float
    projections: tuple[ProjectionReport, ...]
    until: float = 1.0
    strength: float = 1.0

    @property
    def directions_kept(self) -> int:
        """Directions kept in all edited projections."""
        return sum(part.kept for part in self.projections)

    @property
    def directions_total(self) -> int:
        """Directions of all edited projections."""
        return sum(part.total for part in self.projections)

    @property
    def weight_kept(self) -> float:
        """1 - Σ‖W - W'‖² / Σ‖W‖² over all edited projections."""
        energy = sum(part.weight_energy for part in self.projections)
        kept = sum(part.weight_kept * part.weight_energy for part in self.projections)
        return kept / energy if energy > 0.0 else 1.0

    def __str__(self) -> str:
        band = "" if self.until == 1.0 else f" to {self.until:.6g}"
        soft = "" if self.strength == 1.0 else f", strength {self.strength:.4g}"
        return (
            f"{self.method} at {self.setting:.6g}{band}{soft}: {self.directions_kept:,} of "
            f"{self.directions_total:,} directions kept, {self.weight_kept:.2%} of ‖W‖² "
            f"in {len(self.projections)} projections"
        )


class Editor(Generic[Model_co]):
    """One method prepared for one model, so that each setting costs one pair of matrix products.

    Keeps C = U_Gᵀ W U_A, the singular vectors or the sorted entries of every projection: about one
    more copy of the edited weights; a score that is no staircase, its p x q order too. ``at`` may
    be called from several threads.

    `bases` is not needed for svd and magnitude, `ekfac` only for the scores made of Λ, `seed` only
    matters for random and noise. `by_count` and `pooled` say what a setting is (`Recipe`).
    Raises HillshadeError, before anything is computed, for an unknown method, no projection,
    weights that are not finite, and a basis that is missing, of another shape or of other weights.
    """

    def __init__(
        self,
        model: Model_co,
        bases: Mapping[str, Basis] | None,
        projections: Sequence[Projection],
        method: str,
        seed: int = 0,
        *,
        ekfac: Mapping[str, Ekfac] | None = None,
        by_count: bool = False,
        pooled: bool = False,
    ) -> None:
        require_method(method, by_count=by_count, pooled=pooled)
        targets = _targets(model, bases, projections, method, seed, ekfac)
        names = tuple(projection.name for projection in projections)
        self._model = model
        self._whole = Recipe(  # the recipe of no edit; those of others differ in the setting
            method,
            names,
            1.0,
            seed if method in SEEDED else None,
            bases_digest(t.named_basis for t in targets.values()) if method in IN_BASIS else None,
            ekfac_digest(t.named_ekfac for t in targets.values()) if method in IN_EKFAC else None,
            by_count=by_count,
            pooled=pooled,
        )
        self._targets = targets
        self._cutters: dict[Projection, Method] = {
            projection: METHODS[method](target) for projection, target in targets.items()
        }

    def recipe(self, setting: float, until: float = 1.0, strength: float = 1.0) -> Recipe:
        """The recipe that `edited` turns into the same model as ``at`` with the same numbers."""
        return replace(self._whole, setting=setting, until=until, strength=strength)

    def kept(self, setting: float, until: float = 1.0) -> dict[str, PairSet]:
        """The pairs kept of each projection, by name; none for noise, svd and magnitude."""
        require_setting(self._whole.method, setting, until)
        sets = self._sets(setting, until)
        return {projection.name: chosen for projection, chosen in sets.items()}

    def at(
        self, setting: float, until: float = 1.0, strength: float = 1.0
    ) -> tuple[Model_co, EditReport]:
        """The edited model and what was kept; HillshadeError for numbers outside 0..1."""
        require_setting(self._whole.method, setting, until, strength)
        sets = self._sets(setting, until)
        cuts = {
            projection: cutter.keep(sets[projection])
            if isinstance(cutter, PairMethod)
            else cutter.at(setting)
            for projection, cutter in self._cutters.items()
        }
        return _assemble(self._model, self._targets, cuts, self.recipe(setting, until, strength))

    def _sets(self, setting: float, until: float) -> dict[Projection, PairSet]:
        ranked = {p: c.ranking for p, c in self._cutters.items() if isinstance(c, PairMethod)}
        by_count = self._whole.by_count or self._whole.method == "random"
        options = {"by_count": by_count, "pooled": self._whole.pooled}
        sets = select(tuple(ranked.values()), setting, until, **options)
        return dict(zip(ranked, sets, strict=True))


def edited(
    model: Model,
    recipe: Recipe,
    bases: Mapping[str, Basis] | None = None,
    *,
    ekfac: Mapping[str, Ekfac] | None = None,
    kept: Mapping[str, PairSet] | None = None,
) -> Model:
    """The model that `recipe` makes of `model`; `model` itself stays as it is.

    With `kept`, the pairs stored with a recipe (`core.recipe.load_recipe`), these are what stays,
    and no ranking is made; else a recipe of a score made of Λ needs `ekfac`.
    Raises HillshadeError for bases other than those the recipe was made in (see also `Editor`).
    """
    return apply(model, recipe, bases, ekfac=ekfac, kept=kept)[0]


def edit_report(
    model: nn.Module,
    recipe: Recipe,
    bases: Mapping[str, Basis] | None = None,
    *,
    ekfac: Mapping[str, Ekfac] | None = None,
    kept: Mapping[str, PairSet] | None = None,
) -> EditReport:
    """What `recipe` keeps of `model`; arguments and errors as `edited`."""
    return apply(model, recipe, bases, ekfac=ekfac, kept=kept)[1]


def apply(
    model: Model,
    recipe: Recipe,
    bases: Mapping[str, Basis] | None = None,
    *,
    ekfac: Mapping[str, Ekfac] | None = None,
    kept: Mapping[str, PairSet] | None = None,
) -> tuple[Model, EditReport]:
    """Both at once; arguments and errors as `edited`."""
    there = {projection.name: projection for projection in named(model, recipe.projections)}
    for name in recipe.projections:
        if name not in there:
            raise HillshadeError(
                f"The recipe edits {name}, which this model does not have; "
                "use it on the model it was made for."
            )
    chosen = [there[name] for name in recipe.projections]
    if kept:
        targets = _targets(model, bases, chosen, recipe.method, recipe.seed or 0, None)
        found = bases_digest(t.named_basis for t in targets.values())
        _require_same(found == recipe.basis_digest)
        cuts = {p: Coordinates(t).keep(_fitting(kept, p)) for p, t in targets.items()}
        return _assemble(model, targets, cuts, recipe)
    editor = Editor(
        model, bases, chosen, recipe.method, recipe.seed or 0,
        ekfac=ekfac, by_count=recipe.by_count, pooled=recipe.pooled,
    )  # fmt: skip
    numbers = recipe.setting, recipe.until, recipe.strength
    _require_same(editor.recipe(*numbers) == recipe)
    return editor.at(*numbers)


def bases_digest(bases: Iterable[Basis]) -> str:
    """One digest for several bases, whatever their order."""
    digests = sorted(basis.digest for basis in bases)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _targets(
    model: nn.Module,
    bases: Mapping[str, Basis] | None,
    projections: Sequence[Projection],
    method: str,
    seed: int,
    ekfac: Mapping[str, Ekfac] | None,
) -> dict[Projection, Target]:
    """What the method is given for each projection, checked."""
    if not projections:
        raise HillshadeError("No projection is selected; choose at least one.")
    targets: dict[Projection, Target] = {}
    for projection in projections:
        weight = projection.weight(model).detach()
        if not bool(torch.isfinite(weight).all()):
            raise HillshadeError(
                f"The weights of {projection.name} hold NaN or infinity; "
                "load the model again from an intact file."
            )
        basis = (bases or {}).get(projection.name) if method in IN_BASIS else None
        corrected = (ekfac or {}).get(projection.name) if method in IN_EKFAC else None
        targets[projection] = target = Target(weight, projection.name, basis, seed, corrected)
        if method in IN_BASIS:
            target.named_basis.require_fit(projection, weight)
    return targets


def _assemble(
    model: Model, targets: Mapping[Projection, Target], cuts: Mapping[Projection, Cut], made: Recipe
) -> tuple[Model, EditReport]:
    """The twin that owns the weights W + α (W' - W), and the report."""
    replaced: dict[nn.Parameter, Tensor] = {}
    parts: list[ProjectionReport] = []
    for projection, cut in cuts.items():
        target, hard = targets[projection], made.strength == 1.0
        # Of ‖W‖² goes ‖α (W - W')‖².
        left = cut.weight_kept if hard else 1.0 - made.strength**2 * (1.0 - cut.weight_kept)
        parts.append(ProjectionReport(projection.name, cut.kept, cut.total, left, target.energy))
        if cut.weight is not None and made.strength > 0.0:
            weight = cut.weight if hard else torch.lerp(target.wide, cut.weight, made.strength)
            parameter = projection.parameter(model)
            stored = weight.T if projection.transposed else weight
            replaced[parameter] = stored.to(parameter.dtype).contiguous()
    report = EditReport(made.method, made.setting, tuple(parts), made.until, made.strength)
    return twin(model, replaced), report


def _fitting(kept: Mapping[str, PairSet], projection: Projection) -> PairSet:
    if projection.name not in kept or kept[projection.name].shape != projection.shape:
        raise HillshadeError(
            f"The kept pairs are not those of {projection.name}; load them with their recipe."
        )
    return kept[projection.name]


def _require_same(same: bool) -> None:
    if not same:
        raise HillshadeError(
            "The recipe was made in another curvature basis; use the bases it was made with, "
            "or make a new recipe."
        )
