"""The trained model between two parts of a build, so that an interrupted build goes on.

Training takes most of a build's time. What comes out of it lies in one folder, written beside its
place and renamed, and is used again only by a build of the same configuration.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import Olmo2ForCausalLM, PreTrainedTokenizerFast

from core.demo.corpus import Counts
from core.demo.folder import replaced
from core.demo.train import Snapshot, Trained
from core.demo.world import WorldConfig


@dataclass(frozen=True)
class Stage:
    """A trained model, its tokenizer, the run's snapshots, what the corpus counted, its folder."""

    model: Olmo2ForCausalLM
    tokenizer: PreTrainedTokenizerFast
    snapshots: tuple[Snapshot, ...]
    counts: Counts
    seconds: float
    folder: Path


def save_stage(
    folder: Path,
    config: WorldConfig,
    trained: Trained,
    tokenizer: PreTrainedTokenizerFast,
    counts: Counts,
) -> None:
    """Write a finished training run; nothing lies at ``folder`` until all of it is there."""
    record = {
        "config": _plain(config),
        "counts": asdict(counts),
        "seconds": trained.seconds,
    }
    with replaced(folder) as part:
        trained.model.save_pretrained(part / "model")
        tokenizer.save_pretrained(part / "model")
        for snapshot in trained.snapshots:
            save_file(snapshot.weights, part / f"snapshot-{snapshot.step}.safetensors")
        (part / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def load_stage(folder: Path, config: WorldConfig) -> Stage | None:
    """The finished training run of this very configuration, or None."""
    if not (folder / "run.json").is_file():
        return None
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if record["config"] != _plain(config):
        return None
    model = Olmo2ForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "model")
    paths = sorted(folder.glob("snapshot-*.safetensors"), key=_step)
    snapshots = tuple(Snapshot(_step(path), load_file(path)) for path in paths)
    return Stage(model, tokenizer, snapshots, Counts(**record["counts"]), record["seconds"], folder)


def _step(path: Path) -> int:
    return int(path.stem.split("-")[1])


def _plain(config: WorldConfig) -> Any:
    """The configuration as JSON would read it back."""
    return json.loads(json.dumps(asdict(config)))
