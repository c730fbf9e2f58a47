"""The shipped model and its study as folders: manifest, tables, heavy part."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pandas as pd

from core.basis import Basis, save_bases
from core.demo.folder import replaced
from core.demo.laboratory import PLANTED_SHARE, SEED, Laboratory
from core.demo.reported import Finished
from core.demo.stages import Stage
from core.exam import Answers
from core.methods import IN_BASIS
from core.projection import weight_digest
from core.study import Axis, Manifest, ModelCard, StoredRecipe, StudyWriter
from core.sweep import Given
from core.swept import outputs_table, points_table, scores_table

MASS: Final = Axis("mass", "curvature mass kept")
POOLED_MASS: Final = Axis("mass", "curvature mass kept of all projections together")
AXES: Final = {
    "kfac": MASS,
    "random": Axis("share", "share of directions kept"),
    "noise": Axis("mass", "curvature mass kept by K-FAC with a change of this size"),
    "svd": Axis("share", "share of Σσ² kept"),
    "magnitude": Axis("share", "share of entries kept"),
}
CONVENTION: Final = (
    "Factors: sums over all counted positions of a aᵀ and g gᵀ, g the gradient of the summed loss, "
    "labels sampled from the model; the last token of a sequence does not count. Perplexity: "
    "exp(mean token loss)."
)


def write_model(stage: Stage, target: Path) -> None:
    """A normal transformers folder with the tokenizer beside the weights."""
    with replaced(target) as part:
        stage.model.save_pretrained(part)
        stage.tokenizer.save_pretrained(part)


def write_study(
    laboratory: Laboratory,
    finished: Mapping[str, Finished[Answers]],
    documents: Mapping[str, Mapping[str, Any]],
    target: Path,
) -> None:
    """The study of the shipped model at ``target/study``; what lay there stays until the end."""

    def decode(ids: Sequence[int]) -> str:
        return str(laboratory.tokenizer.decode(list(ids)))

    frames = {
        "points": [points_table(recipe, done.swept) for recipe, done in finished.items()],
        "scores": [scores_table(recipe, done.swept) for recipe, done in finished.items()],
        "outputs": [outputs_table(recipe, done.swept, decode) for recipe, done in finished.items()],
    }
    with StudyWriter(target / "study") as writer:
        writer.items(laboratory.exam.items)
        store(writer, frames, laboratory.bases, documents)
        laboratory.other.save(writer.heavy("factors.safetensors"))
        laboratory.planted.save(writer.heavy("factors_planted.safetensors"))
        writer.finish(_manifest(laboratory, finished))


def store(
    writer: StudyWriter,
    frames: Mapping[str, Sequence[pd.DataFrame]],
    bases: Mapping[str, Basis],
    documents: Mapping[str, Mapping[str, Any]],
) -> None:
    """What every study has: one frame a recipe of each table, spectra, documents, eigenvectors."""
    for name, tables in frames.items():
        writer.table(name, pd.concat(tables, ignore_index=True))
    writer.spectra({name: (basis.lam, basis.mu) for name, basis in bases.items()})
    for name, content in documents.items():
        writer.document(name, content)
    save_bases(writer.heavy("basis.safetensors"), bases)


def _manifest(laboratory: Laboratory, finished: Mapping[str, Finished[Answers]]) -> Manifest:
    counts = laboratory.stage.counts
    numbers = {
        "factor positions": laboratory.other.count,
        "factor positions of planted text": laboratory.planted.count,
        "training steps": laboratory.stage.snapshots[-1].step,
    }
    numbers |= {f"training tokens, {kind}": n for kind, n in counts.tokens.items()}
    numbers |= {f"training documents, {kind}": n for kind, n in counts.documents.items()}
    data = json.dumps([laboratory.material.factor_other, laboratory.material.factor_planted])
    return Manifest(
        model=ModelCard(
            id="hillshade-language",
            weight_digest=weight_digest(laboratory.model),
            architecture=type(laboratory.model).__name__,
            parameters=laboratory.model.num_parameters(),
        ),
        data_digest=hashlib.sha256(data.encode()).hexdigest(),
        counts=numbers,
        labels="sampled",
        convention=CONVENTION,
        seed=SEED,
        versions=versions(),
        command="make demo",
        created=datetime.now(UTC).date().isoformat(),
        planted_share=PLANTED_SHARE,
        noise_rate=laboratory.config.noise,
        recipes=tuple(
            stored_recipe(name, done, _planted_share(name)) for name, done in finished.items()
        ),
    )


def _planted_share(recipe: str) -> float:
    return float(recipe.removeprefix("kfac-share-")) if "-" in recipe else PLANTED_SHARE


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide the numbers."""
    packages = ("torch", "transformers", "numpy")
    found = {name: metadata.version(name) for name in packages}
    return {"python": platform.python_version()} | found


def stored_recipe(
    name: str, done: Finished[Given], planted_share: float | None = None
) -> StoredRecipe:
    """A finished recipe as the manifest describes it; its id begins with the method."""
    method = name.split("-")[0]
    best = done.choice.best
    return StoredRecipe(
        id=name,
        method=method,
        title=done.title,
        layers=best.layers,
        kinds=best.kinds,
        projections=best.projections,
        planted_share=planted_share if method in IN_BASIS else None,
        seeds=tuple(sorted({point.seed for point in done.swept.points})),
        axis=POOLED_MASS if done.pooled else AXES[method],
        ticks=done.swept.ticks,
        chosen=done.chosen,
        equal={f"{rise:g}": tick for rise, tick in done.swept.equal.items()},
        pooled=done.pooled,
    )
