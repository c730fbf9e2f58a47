"""Recipes: all that an edit needs beside the model and its bases, in memory and on disk.

    save_recipe("cut.json", editor.recipe(0.99), editor.kept(0.99))   # cut.json, cut.safetensors
    recipe, kept = load_recipe("cut.json")
    model = edited(model, recipe, bases, kept=kept)                    # core.edit

On disk lie the recipe as JSON and, where it chooses among the pairs of a basis, the pairs kept: the
k_i of a staircase, one bit a pair otherwise. The stored pairs are what the edit uses, so neither Λ
nor the order of a sum of floats enters again. A recipe means nothing without its basis.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from core import tensorfile
from core.errors import HillshadeError
from core.methods import IN_BASIS, METHODS, POOLED, RANKED, SEEDED
from core.pairset import PairSet, from_arrays
from core.places import require_new_file

_KIND = "hillshade recipe"


@dataclass(frozen=True)
class Recipe:
    """All that an edit needs beside the model and the bases.

    ``setting`` in 0..1 lies on the method's own axis (`core.methods`); 1 is W itself, bit for bit:
    kfac, noise: curvature mass ρ; svd: share of Σσ²; magnitude, random: share of entries, pairs;
    other scores: share of their own total. ``by_count``: a share of the pairs for any score.
    ``until``: the cut ends here on the same axis and what comes after stays; 1 cuts the whole tail.
    ``strength`` α in 0..1 softens the edit, W + α (W' - W). ``pooled``: one cut-off for all
    projections together.

    ``seed`` is set for random and noise only. ``basis_digest`` names the bases of the methods that
    work in them: a recipe means nothing in another basis, and is refused there; ``ekfac_digest``
    names the Λ of the scores made of it.
    """

    method: str
    projections: tuple[str, ...]
    setting: float
    seed: int | None = None
    basis_digest: str | None = None
    ekfac_digest: str | None = None
    until: float = 1.0
    strength: float = 1.0
    by_count: bool = False
    pooled: bool = False

    def __post_init__(self) -> None:
        require_method(self.method, by_count=self.by_count, pooled=self.pooled)
        require_setting(self.method, self.setting, self.until, self.strength)
        if (self.seed is not None) != (self.method in SEEDED):
            need = "needs a seed" if self.method in SEEDED else "draws nothing and takes no seed"
            raise HillshadeError(f"The method {self.method} {need}; change the recipe.")


def require_method(method: str, *, by_count: bool = False, pooled: bool = False) -> None:
    """HillshadeError for an unknown method, or one that cannot count or pool pairs."""
    if method not in METHODS:
        raise HillshadeError(f"The method {method!r} is unknown; choose {', '.join(METHODS)}.")
    if by_count and method not in RANKED:
        raise HillshadeError(
            f"The method {method} does not rank pairs, so no number of them can be asked for; "
            f"choose one of {', '.join(_in_order(RANKED))}."
        )
    if pooled and method not in POOLED:
        raise HillshadeError(
            f"What {method} ranks by has no common unit in different projections, so one threshold "
            f"cannot serve them all; choose one of {', '.join(_in_order(POOLED))}."
        )


def require_setting(method: str, setting: float, until: float = 1.0, strength: float = 1.0) -> None:
    """HillshadeError for a setting, end or strength that the method does not have."""
    for what, value in (("setting", setting), ("end of the cut", until), ("strength", strength)):
        if not 0.0 <= value <= 1.0:
            raise HillshadeError(f"A {what} of {value} is impossible; choose between 0 and 1.")
    if until < setting:
        raise HillshadeError(
            f"The cut would end at {until}, before it begins at {setting}; swap the two."
        )
    if until < 1.0 and method not in RANKED:
        raise HillshadeError(
            f"The method {method} does not rank pairs, so no band can be cut out of it; "
            f"choose one of {', '.join(_in_order(RANKED))}."
        )


def save_recipe(path: str | Path, recipe: Recipe, kept: Mapping[str, PairSet]) -> None:
    """Write the recipe to `path` (.json) and its kept pairs beside it, under the same name.

    `kept` is `Editor.kept` at the same setting: one set per projection, empty for methods that know
    no pairs. Each file is written beside its place and renamed, the JSON last; it names the digest
    of the other, so that two that do not belong together are refused. Raises HillshadeError where
    one of the two is there already.
    """
    path = Path(path)
    beside = path.with_suffix(".safetensors")
    require_new_file(path, ".json")
    require_new_file(beside, ".safetensors")
    if kept and set(kept) != set(recipe.projections):
        raise HillshadeError("The kept pairs are of other projections than the recipe's.")
    sets: list[dict[str, Any]] = []
    if kept:
        tensors = {
            f"{part}/{name}": torch.from_numpy(array)
            for name, chosen in kept.items()
            for part, array in chosen.arrays().items()
        }
        tensorfile.save(beside, tensors, {"kind": "kept pairs", "version": 1})
        sets = [
            {
                "projection": name,
                "shape": chosen.shape,
                "count": chosen.count,
                "mass": chosen.mass,
                "cutoff": chosen.cutoff if math.isfinite(chosen.cutoff) else None,
                "step": chosen.step,
            }
            for name, chosen in kept.items()
        ]
    document = {
        "kind": _KIND,
        "version": 1,
        **asdict(recipe),
        "kept": sets,
        "kept_file": beside.name if kept else None,
        "kept_sha256": _digest(beside) if kept else None,
    }
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load_recipe(path: str | Path) -> tuple[Recipe, dict[str, PairSet]]:
    """The recipe and its kept pairs, as `save_recipe` wrote them.

    Raises HillshadeError for files that are missing, damaged, or do not belong together.
    """
    path = Path(path)
    document = _read(path)
    try:
        names = ("method", "setting", "seed", "basis_digest", "ekfac_digest")
        options = ("until", "strength", "by_count", "pooled")
        fields = {name: document[name] for name in names + options}
        recipe = Recipe(projections=tuple(document["projections"]), **fields)
        kept: dict[str, PairSet] = {}
        if document["kept_file"] is not None:
            beside = path.with_name(Path(document["kept_file"]).name)
            tensors = tensorfile.load(beside, "kept pairs")[0]
            if _digest(beside) != document["kept_sha256"]:
                raise HillshadeError(
                    f"{beside.name} does not belong to {path.name}; save the recipe again."
                )
            kept = {entry["projection"]: _set(entry, tensors) for entry in document["kept"]}
    except (KeyError, TypeError, ValueError) as error:
        raise HillshadeError(
            f"{path} is no complete recipe ({error!r}); save the recipe again."
        ) from error
    wanted = set(recipe.projections) if recipe.method in IN_BASIS - {"noise"} else set()
    if set(kept) != wanted:
        raise HillshadeError(f"{path} does not say which pairs it keeps; save the recipe again.")
    return recipe, kept


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise HillshadeError(f"There is no file {path}; check the path.") from error
    except (OSError, ValueError) as error:
        raise HillshadeError(
            f"{path} is damaged or cut short ({error}); copy or make it again."
        ) from error
    if not isinstance(document, dict) or document.get("kind") != _KIND:
        raise HillshadeError(f"{path} does not hold a recipe; give a file that save_recipe wrote.")
    if document.get("version") != 1:
        raise HillshadeError(
            f"{path} is a recipe of format {document.get('version')}, which this version does not "
            "read; save it again."
        )
    return document


def _set(entry: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> PairSet:
    name, (p, q) = entry["projection"], entry["shape"]
    arrays = {
        key.partition("/")[0]: tensor.numpy()
        for key, tensor in tensors.items()
        if key.partition("/")[2] == name
    }
    cutoff = math.inf if entry["cutoff"] is None else entry["cutoff"]
    found = from_arrays((p, q), entry["mass"], cutoff, entry["step"], arrays)
    if found.count != entry["count"]:
        raise ValueError(f"{entry['count']} pairs of {name} are stated, {found.count} are there")
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _in_order(methods: frozenset[str]) -> list[str]:
    return [method for method in METHODS if method in methods]
