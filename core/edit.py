"""Edited models: a recipe and a model in, a new model out; the given model is never written to.

The edited model is a `core.twin` of the original: it shares every untouched tensor and owns only
the edited weights, so several people can hold different edits of one model, and undoing is dropping
one. It is an ordinary transformers model (generate, save_pretrained).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from core.basis import Basis
from core.errors import HillshadeError
from core.methods import IN_BASIS, METHODS, SEEDED, Cut, Method, Target
from core.projection import Projection, find_projections, matrix_digest
from core.twin import Model, twin

Model_co = TypeVar("Model_co", bound=nn.Module, covariant=True)


@dataclass(frozen=True)
class Recipe:
    """All that an edit needs beside the model and the bases.

    ``setting`` in 0..1 lies on the method's own axis (`core.methods`); 1 is W itself, bit for bit:
    kfac, noise: curvature mass ρ; svd: share of Σσ²; magnitude, random: share of entries, pairs.
    ``seed`` is set for random and noise only. ``basis_digest`` names the bases of the methods that
    work in them: a recipe means nothing in another basis, and is refused there.
    """

    method: str
    projections: tuple[str, ...]
    setting: float
    seed: int | None = None
    basis_digest: str | None = None

    def __post_init__(self) -> None:
        _require_method(self.method)
        _require_setting(self.setting)
        if (self.seed is not None) != (self.method in SEEDED):
            need = "needs a seed" if self.method in SEEDED else "draws nothing and takes no seed"
            raise HillshadeError(f"The method {self.method} {need}; change the recipe.")


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
    """What an edit left: directions (pairs, singular directions or entries) and share of ‖W‖²."""

    method: str
    setting: float
    projections: tuple[ProjectionReport, ...]

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
        return (
            f"{self.method} at {self.setting:.6g}: {self.directions_kept:,} of "
            f"{self.directions_total:,} directions kept, {self.weight_kept:.2%} of ‖W‖² "
            f"in {len(self.projections)} projections"
        )


class Editor(Generic[Model_co]):
    """One method prepared for one model, so that each setting costs one pair of matrix products.

    Keeps C = U_Gᵀ W U_A, the singular vectors or the sorted entries of every projection: about one
    more copy of the edited weights. ``at`` may be called from several threads.

    Raises HillshadeError, before anything is computed, for an unknown method, no projection,
    weights that are not finite, and a basis that is missing, of another shape or of other weights.
    `bases` is not needed for svd and magnitude, `seed` only matters for random and noise.
    """

    def __init__(
        self,
        model: Model_co,
        bases: Mapping[str, Basis] | None,
        projections: Sequence[Projection],
        method: str,
        seed: int = 0,
    ) -> None:
        _require_method(method)
        if not projections:
            raise HillshadeError("No projection is selected; choose at least one.")
        self._model = model
        self._method = method
        self._seed = seed if method in SEEDED else None
        self._basis_digest: str | None = None
        targets: dict[Projection, Target] = {}
        for projection in projections:
            weight = projection.weight(model).detach()
            if not bool(torch.isfinite(weight).all()):
                raise HillshadeError(
                    f"The weights of {projection.name} hold NaN or infinity; "
                    "load the model again from an intact file."
                )
            basis = (bases or {}).get(projection.name) if method in IN_BASIS else None
            targets[projection] = target = Target(weight, projection.name, basis, seed)
            if method in IN_BASIS:
                _require_fit(target.named_basis, projection, weight)
        if method in IN_BASIS:
            self._basis_digest = bases_digest(t.named_basis for t in targets.values())
        self._energy = {p: float(t.wide.double().square().sum()) for p, t in targets.items()}
        self._cutters: dict[Projection, Method] = {
            projection: METHODS[method](target) for projection, target in targets.items()
        }

    def recipe(self, setting: float) -> Recipe:
        """The recipe that `edited` turns into the same model as ``at(setting)``."""
        names = tuple(projection.name for projection in self._cutters)
        return Recipe(self._method, names, setting, self._seed, self._basis_digest)

    def at(self, setting: float) -> tuple[Model_co, EditReport]:
        """The edited model and what was kept; HillshadeError for a setting outside 0..1."""
        _require_setting(setting)
        cuts = {projection: cutter.at(setting) for projection, cutter in self._cutters.items()}
        replaced: dict[nn.Parameter, Tensor] = {}
        for projection, cut in cuts.items():
            if cut.weight is not None:
                parameter = projection.parameter(self._model)
                stored = cut.weight.T if projection.transposed else cut.weight
                replaced[parameter] = stored.to(parameter.dtype).contiguous()
        return twin(self._model, replaced), self._report(setting, cuts)

    def _report(self, setting: float, cuts: Mapping[Projection, Cut]) -> EditReport:
        parts = tuple(
            ProjectionReport(p.name, cut.kept, cut.total, cut.weight_kept, self._energy[p])
            for p, cut in cuts.items()
        )
        return EditReport(self._method, setting, parts)


def edited(model: Model, recipe: Recipe, bases: Mapping[str, Basis] | None = None) -> Model:
    """The model that `recipe` makes of `model`; `model` itself stays as it is.

    Raises HillshadeError for bases other than those the recipe was made in (see also `Editor`).
    """
    return _editor(model, recipe, bases).at(recipe.setting)[0]


def edit_report(
    model: nn.Module, recipe: Recipe, bases: Mapping[str, Basis] | None = None
) -> EditReport:
    """What `recipe` keeps of `model`; errors as `edited`."""
    return _editor(model, recipe, bases).at(recipe.setting)[1]


def bases_digest(bases: Iterable[Basis]) -> str:
    """One digest for several bases, whatever their order."""
    digests = sorted(basis.digest for basis in bases)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _editor(model: Model, recipe: Recipe, bases: Mapping[str, Basis] | None) -> Editor[Model]:
    there = {projection.name: projection for projection in find_projections(model)}
    for name in recipe.projections:
        if name not in there:
            raise HillshadeError(
                f"The recipe edits {name}, which this model does not have; "
                "use it on the model it was made for."
            )
    chosen = [there[name] for name in recipe.projections]
    editor = Editor(model, bases, chosen, recipe.method, recipe.seed or 0)
    if editor.recipe(recipe.setting).basis_digest != recipe.basis_digest:
        raise HillshadeError(
            "The recipe was made in another curvature basis; use the bases it was made with, "
            "or make a new recipe."
        )
    return editor


def _require_method(method: str) -> None:
    if method not in METHODS:
        raise HillshadeError(f"The method {method!r} is unknown; choose {', '.join(METHODS)}.")


def _require_setting(setting: float) -> None:
    if not 0.0 <= setting <= 1.0:
        raise HillshadeError(f"A setting of {setting} is impossible; choose between 0 and 1.")


def _require_fit(basis: Basis, projection: Projection, weight: Tensor) -> None:
    if (len(basis.lam), len(basis.mu)) != projection.shape or basis.name != projection.name:
        raise HillshadeError(
            f"The basis of {basis.name} is {len(basis.lam)}x{len(basis.mu)} but {projection.name} "
            f"is {projection.out_features}x{projection.in_features}; use this model's own bases."
        )
    if basis.weight_digest != matrix_digest(weight):
        raise HillshadeError(
            f"The basis of {projection.name} was collected on other weights; "
            "use this model's own bases, or collect its factors again."
        )
