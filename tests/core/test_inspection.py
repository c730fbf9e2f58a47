"""A study's report line by line: every fault is found, and the sound lines stay sound."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from core import tensorfile
from core.errors import HillshadeError
from core.factors import Factors
from core.inspection import holdings, inspection, size_on_disk
from core.manifest import digest_of
from core.study import Study
from core.tables import write_table
from tests.study_factory import write_study


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("inspected"))


def faults(path: Path) -> dict[str, str]:
    return {check.name: check.said for check in inspection(path) if not check.ok}


def test_a_sound_study_has_no_fault_and_says_what_it_holds(whole: Path) -> None:
    checks = inspection(whole)
    assert all(check.ok for check in checks)
    assert {check.name for check in checks} == {
        "study.json", "file", "tables", "recipes", "basis", "weights",
    }  # fmt: skip
    study = Study.open(whole)
    said = dict(holdings(study))
    assert said["command"] == study.manifest.command
    assert f"{size_on_disk(whole) / 1e6:.2f} MB" == said["size"]
    assert "6,000 positions" in said["counts"]


def test_every_fault_is_found_beside_the_others(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole.parent, tmp_path / "copy")) / "study"
    (path / "outputs.parquet").unlink()
    scores = bytearray((path / "scores.parquet").read_bytes())
    scores[len(scores) // 2] ^= 1
    (path / "scores.parquet").write_bytes(bytes(scores))
    (path / "basis.safetensors").write_bytes((path / "basis.safetensors").read_bytes()[:-9])
    (path / "factors.safetensors").unlink()  # the heavy part may stay behind
    said = [check.said for check in inspection(path) if not check.ok]
    assert len(said) == 3
    for piece in ("lacks outputs.parquet", "was changed since", "basis.safetensors in"):
        assert any(piece in line for line in said)
    fit = [check.said for check in inspection(path) if check.ok]
    assert any("factors.safetensors, not copied along" in line for line in fit)
    assert any("points.parquet" in line for line in fit)


def test_faults_that_open_does_not_see(whole: Path, tmp_path: Path) -> None:
    """Whole files with right digests that do not belong together."""
    path = Path(shutil.copytree(whole.parent, tmp_path / "copy")) / "study"

    def record(name: str) -> None:
        manifest = json.loads((path / "study.json").read_text())
        found = digest_of(path / name)
        manifest["files"][name] = {"sha256": found.sha256, "bytes": found.bytes}
        (path / "study.json").write_text(json.dumps(manifest))

    points = pd.read_parquet(path / "points.parquet")
    write_table(points[points["tick"] != 3], "points", path / "points.parquet")
    record("points.parquet")
    other = write_study(tmp_path / "other", seed=5)
    shutil.copy(other / "basis.safetensors", path / "basis.safetensors")
    shutil.copy(other.parent / "model" / "model.safetensors", path.parent / "model")
    record("basis.safetensors")
    Study.open(path)
    found = faults(path)
    assert found.keys() == {"recipes", "basis", "weights"}
    assert "12 settings and 11 are measured" in found["recipes"]
    assert "belong to another spectrum" in found["basis"]
    assert "made of other weights" in found["weights"]


def test_an_eigenvector_that_is_not_there_is_a_fault_and_no_error(
    whole: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(whole.parent, tmp_path / "copy")) / "study"
    tensors, header = tensorfile.load(path / "basis.safetensors", "basis")
    gone = min(name for name in tensors if name.startswith("u_g/"))
    del tensors[gone]
    tensorfile.save(path / "basis.safetensors", tensors, header)
    manifest = json.loads((path / "study.json").read_text())
    manifest["files"]["basis.safetensors"] = vars(digest_of(path / "basis.safetensors"))
    (path / "study.json").write_text(json.dumps(manifest))
    found = faults(path)
    assert found.keys() == {"basis"} and gone in found["basis"]
    factors, header = tensorfile.load(path / "factors.safetensors", "factors")
    tensorfile.save(path / "factors.safetensors", factors, header | {"projections": [1]})
    with pytest.raises(HillshadeError, match="of another form"):
        Factors.load(path / "factors.safetensors")


def test_what_is_no_study_is_one_line(tmp_path: Path) -> None:
    (line,) = inspection(tmp_path / "nowhere")
    assert not line.ok and "There is no study folder" in line.said
    (tmp_path / "empty").mkdir()
    (line,) = inspection(tmp_path / "empty")
    assert "holds no study.json" in line.said
