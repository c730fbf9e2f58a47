"""Studies for the dashboard's tests: the small one made whole, and ones that are unfit."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.study_factory import write_study


def whole_study(folder: Path) -> Path:
    """The small study: its model, bases and spectra belong together, so that live edits work."""
    return write_study(folder)


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
