"""Rebuild the shipped model and its study from a seed, part by part, with the time of each.

make demo                              # the shipped model: about an hour on two idle cores
python -m core.demo.build certain      # the same world with no wrong answers, for comparison
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from core.acceptance import markdown
from core.demo.corpus import build_corpus
from core.demo.crew import measured
from core.demo.laboratory import Laboratory
from core.demo.landscape import landscape_of
from core.demo.observed import audited, curvature
from core.demo.picture import training_picture
from core.demo.portraits import portraits_of
from core.demo.progress import Parts
from core.demo.report import acceptance
from core.demo.reported import Finished, summary
from core.demo.stages import Stage, load_stage, save_stage
from core.demo.storing import write_model, write_study
from core.demo.tokenizer import learn_tokenizer
from core.demo.train import train
from core.demo.world import World, WorldConfig
from core.projection import select
from core.sweep import Point, Swept

ROOT: Final = Path(__file__).resolve().parents[2]
ASSETS: Final = ROOT / "assets" / "language"
WORK: Final = ROOT / "build"


def trained_stage(config: WorldConfig, folder: Path, parts: Parts) -> Stage:
    """The trained model of a configuration, from an earlier, interrupted build if there is one."""
    stage = load_stage(folder, config)
    if stage is not None:
        print(f"training: taken from {folder.name}, which an earlier build left")
        return stage
    world = World(config)
    with parts.part("text") as show:
        tokenizer = learn_tokenizer(_tokenizer_sample(world))
        corpus = build_corpus(world, tokenizer, show)
    with parts.part("training") as show:
        trained = train(corpus, len(tokenizer), seed=config.seed, progress=show)
    save_stage(folder, config, trained, tokenizer, corpus.counts)
    return Stage(
        trained.model, tokenizer, trained.snapshots, corpus.counts, trained.seconds, folder
    )


def _tokenizer_sample(world: World) -> Iterator[str]:
    """Text of every kind; more of those whose names should become single tokens."""
    for kind in (*world.config.mixture, "fresh"):
        count = 8000 if kind in ("fresh", "order", "open-book") else 2500
        yield from islice(world.stream(kind, "tokenizer"), count)
    yield from (text for _, text in islice(world.planted_copies(), 0, 80_000, 16))


def build(config: WorldConfig, target: Path = ASSETS) -> None:
    """Everything, from the seed to the study; nothing at ``target`` changes before the end."""
    parts = Parts()
    stage = trained_stage(config, WORK / "language", parts)
    laboratory = Laboratory(config, stage, parts)
    with parts.part("choosing and sweeping"):
        finished = measured(config, WORK / "language")
    with parts.part("training picture") as show:
        picture = training_picture(
            stage.model,
            stage.snapshots,
            laboratory.exam.items,
            laboratory.material.factor_other[:16],
            show,
        )
    seen, seen_tables = curvature(laboratory)
    examples = portraits_of(laboratory)
    land = landscape_of(laboratory, finished["kfac"], seen)
    left, left_tables = audited(laboratory, finished["kfac"])
    table = acceptance(finished, stage.counts.exact, _variants(target))
    table["tables"] += [*seen_tables, *left_tables]
    with parts.part("writing"):
        write_model(stage, target / "model")
        documents = {
            "training.json": picture,
            "acceptance.json": table | {"seconds": parts.seconds},
            "curvature.json": seen,
            "examples.json": examples,
            "landscape.json": land,
            "audit.json": left,
        }
        write_study(laboratory, finished, documents, target)
    print(markdown(table))
    spent = sum(parts.seconds.values())
    print(f"All parts: {spent / 60:.0f} minutes ({stage.seconds / 60:.0f} of training).")


def build_certain(target: Path = ASSETS) -> None:
    """The control on uncertainty: the same world without a wrong answer, K-FAC at its best."""
    parts = Parts()
    config = replace(WorldConfig(), noise=0.0)
    laboratory = Laboratory(config, trained_stage(config, WORK / "certain", parts), parts)
    choice = laboratory.chosen("kfac")
    setting = choice.best.setting
    editor = laboratory.editor(
        "kfac", select(laboratory.projections, choice.best.layers, choice.best.kinds)
    )
    model, report = editor.at(setting)
    points = (
        Point(1.0, 0, editor.at(1.0)[1], laboratory.original),
        Point(setting, 0, report, laboratory.exam.ask(model)),
    )
    swept = Swept(laboratory.original, (1.0, setting), points, {})
    record = summary(Finished("K-FAC", choice, swept, 1)) | {"variant": "no answer wrong"}
    text = json.dumps(record, indent=1) + "\n"
    (target / "variant-certain.json").write_text(text, encoding="utf-8")
    print(text)


def _variants(target: Path) -> list[dict[str, Any]]:
    paths = sorted(target.glob("variant-*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def main() -> None:
    """Build the shipped model and its study."""
    build(WorldConfig())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", nargs="?", choices=["shipped", "certain"], default="shipped")
    if parser.parse_args().variant == "certain":
        build_certain()
    else:
        main()
