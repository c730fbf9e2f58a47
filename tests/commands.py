"""A study, a model, a text and strings, and a command line of every command that reads them."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from core.factors import collect
from core.model import load_model
from core.projection import find_projections, select
from tests.study_factory import sentence, write_study


@dataclass(frozen=True)
class World:
    """A study with its model, a text and strings."""

    folder: Path

    @property
    def study(self) -> Path:
        return self.folder / "study"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


def make_world(folder: Path) -> World:
    """Write it all into `folder`."""
    write_study(folder)
    rng = random.Random(3)
    text = "\n".join(sentence(rng) for _ in range(60))
    (folder / "texts.txt").write_text(text, encoding="utf-8")
    pairs = [{"prefix": sentence(rng), "suffix": f" {sentence(rng)}"} for _ in range(4)]
    (folder / "strings.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pairs))
    questions = [{"prompt": f"{n} plus {n} is", "answer": f" {2 * n}."} for n in range(4)]
    (folder / "probes.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions))
    factors = collect(load_model(folder / "model"), [[1, 2, 3]], select(
        find_projections(load_model(folder / "model")), [1]
    ))  # fmt: skip
    (folder / "ekfac").mkdir()
    for kind, sums in (
        ("activation", {p.name: factors.a_sums[p.input_key] for p in factors.projections}),
        ("gradient", {p.name: factors.g_sums[p.name] for p in factors.projections}),
    ):
        save_file(
            {name: value.clone() for name, value in sums.items()},
            folder / "ekfac" / f"{kind}_covariance.safetensors",
        )
        counts = {name: torch.tensor([factors.count]) for name in sums}
        save_file(counts, folder / "ekfac" / f"num_{kind}_covariance_processed.safetensors")
    return World(folder)


def calls(world: World, out: Path) -> dict[str, list[str | Path]]:
    """A command line of every command that prints a result; `out` names what it writes."""
    text: list[str | Path] = ["--texts", world / "texts.txt"]
    small: list[str | Path] = ["--context", "24", "--layers", "1"]
    fresh: list[str | Path] = ["--fresh", world / "texts.txt"]
    return {
        "estimate": [world.model, *text, *small],
        "collect": [world.model, *text, *small, "--out", out],
        "sweep": [
            world.model, "--study", world.study, *fresh, "--probes", world / "probes.jsonl",
            "--strings", world / "strings.jsonl", "--layers", "1", "--kinds", "up",
            "--masses", ".9", "--out", out.with_suffix(".json"),
        ],
        "slice": [
            world.study, *fresh, "--along", "eigendirection:1.up:0:2", "--points", "3",
            "--out", out.with_suffix(".json"),
        ],
        "edit": [world.study, "--mass", ".9", "--save", out],
        "audit": [
            world.study, *fresh, "--mass", ".9", "--steps", "1",
            "--strings", world / "strings.jsonl", "--out", out.with_suffix(".json"),
        ],
        "mine": [
            world.model, *text, "--prefix", "8", "--suffix", "8", "--out",
            out.with_suffix(".jsonl"),
        ],
        "import": [
            world / "ekfac", "--model", world.model, "--labels", "gold", "--out",
            out.with_suffix(".safetensors"),
        ],
        "check": [world.study],
    }  # fmt: skip


def interrupted(*args: object, **kwargs: object) -> object:
    """In the place of a function: Ctrl-C while it runs."""
    raise KeyboardInterrupt
