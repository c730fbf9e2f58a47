"""Studies for the dashboard's tests: the small one made whole, and ones that are unfit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from core.basis import bases, save_bases
from core.factors import collect
from core.manifest import digest_of
from core.model import load_model
from core.projection import find_projections, weight_digest
from core.study import Study
from tests.study_factory import PROJECTIONS, write_study


def whole_study(folder: Path) -> Path:
    """The small study with its model's digest and real eigenvectors, so that live edits work."""
    study = write_study(folder)
    model = load_model(folder / "model")
    projections = tuple(p for p in find_projections(model) if p.name in PROJECTIONS)
    sequences = [[*item.prompt_ids, *item.truth_ids] for item in Study.open(study).item_list()[:40]]
    save_bases(
        study / "basis.safetensors", bases(collect(model, sequences, projections), projections)
    )
    manifest = json.loads((study / "study.json").read_text(encoding="utf-8"))
    manifest["model"]["weight_digest"] = weight_digest(model)
    record = digest_of(study / "basis.safetensors")
    manifest["files"]["basis.safetensors"] = {"sha256": record.sha256, "bytes": record.bytes}
    (study / "study.json").write_text(json.dumps(manifest), encoding="utf-8")
    return study


def unfit_studies(whole: Path, folder: Path) -> dict[str, tuple[Path, str]]:
    """Every way a study can be unfit: name -> (its folder, a piece of the sentence it must get)."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(whole, folder / name / "study"))

    half = folder / "half" / "study"
    half.with_name("study.part").mkdir(parents=True)
    empty = folder / "empty" / "study"
    empty.mkdir(parents=True)
    cut = copy("cut")
    spectra = cut / "spectra.safetensors"
    spectra.write_bytes(spectra.read_bytes()[:-100])
    changed = copy("changed")
    scores = changed / "scores.parquet"
    raw = bytearray(scores.read_bytes())
    raw[len(raw) // 2] ^= 1
    scores.write_bytes(bytes(raw))
    lacking = copy("lacking")
    (lacking / "outputs.parquet").unlink()
    return {
        "missing": (folder / "nowhere" / "study", "There is no study folder"),
        "half-written": (half, "half-written"),
        "empty": (empty, "holds no study.json"),
        "truncated": (cut, "copy the study again"),
        "changed": (changed, "was changed since"),
        "incomplete": (lacking, "lacks outputs.parquet"),
    }
