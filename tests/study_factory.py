"""A small but complete study folder, with its model beside it, for tests.

`write_study(folder)` writes `folder/model` (a tiny OLMo-2 with a byte-level BPE tokenizer) and
`folder/study`. Model, factors, bases and digests are real, so live edits work. The numbers of the
sweep are made up but behave like a real one: memorized strings break early under K-FAC, reasoning
later, controls only where perplexity has already risen.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import pandas as pd
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Olmo2Config, Olmo2ForCausalLM, PreTrainedTokenizerFast

from core.basis import bases, save_bases
from core.factors import collect
from core.items import Item, Split
from core.projection import find_projections, select, weight_digest
from core.study import Axis, Manifest, ModelCard, StoredRecipe, StudyWriter

NOUNS = ("kettle", "lantern", "orchard", "ferry", "mill", "harbour", "violin", "ladder")
SHORT = ("old", "quiet", "narrow", "golden", "broken", "empty", "distant", "heavy")
VERBS = ("leans against", "faces", "belongs to", "stands behind", "outlives", "mirrors")
NAMES = ("Ada", "Bruno", "Cleo", "Dario", "Edda", "Falk", "Greta", "Hugo")
REPEATS = (1, 16, 256)
TICKS = (1.0, 0.9999, 0.9997, 0.999, 0.997, 0.995, 0.99, 0.98, 0.95, 0.9, 0.75, 0.5)
PROJECTIONS = tuple(f"model.layers.1.mlp.{kind}_proj" for kind in ("gate", "up", "down"))


def sentence(rng: random.Random) -> str:
    """One sentence of the little grammar."""
    first, second = (f"{rng.choice(SHORT)} {rng.choice(NOUNS)}" for _ in range(2))
    return f"The {first} {rng.choice(VERBS)} the {second}."


def tiny_tokenizer(seed: int = 0) -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on a handful of sentences of the little grammar."""
    rng = random.Random(seed)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([sentence(rng) for _ in range(200)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>"
    )


def tiny_model(vocabulary: int, seed: int = 0) -> Olmo2ForCausalLM:
    """A random OLMo-2 with two layers of width 32, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Olmo2ForCausalLM(
            Olmo2Config(
                vocab_size=vocabulary,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=128,
                pad_token_id=0,
                eos_token_id=0,
                bos_token_id=None,
            )
        )
    return model.eval()


def tiny_items(tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> tuple[Item, ...]:
    """Items of every group and both splits."""
    rng = random.Random(seed)
    items: list[Item] = []

    def add(group: str, prompt: str, truth: str, repeats: int | None, chance: float | None) -> None:
        before = sum((item.group, item.repeats) == (group, repeats) for item in items)
        split: Split = "choose" if before % 2 else "report"
        items.append(
            Item(
                id=f"{group}-{len(items):03d}",
                kind="memory" if chance is None else "probe",
                group=group,
                split=split,
                prompt_ids=tuple(tokenizer.encode(prompt)),
                truth_ids=tuple(tokenizer.encode(truth)),
                prompt=prompt,
                truth=truth,
                repeats=repeats,
                exact_copies=None if repeats is None else math.ceil(0.9 * repeats),
                chance=chance,
            )
        )

    for repeats in REPEATS:
        for _ in range(6):
            add("passage", sentence(rng), f" {sentence(rng)} {sentence(rng)}", repeats, None)
        for _ in range(4):
            name = rng.choice(NAMES)
            secret = rng.randrange(10_000)
            add("canary", f"The number of {name} is", f" {secret:04d}.", repeats, None)
    add("recited", "All rights to this poem", " stay with the narrow mill.", 64, None)
    add("recited", "The harbour sleeps,", " the lantern counts the boats.", 64, None)
    for _ in range(6):
        add("unseen", sentence(rng), f" {sentence(rng)}", 0, None)
    for _ in range(6):
        a, b = rng.randrange(10, 50), rng.randrange(10, 50)
        one, two, three = rng.sample(NAMES, 3)
        add("facts", f"The harbour town of {one}land is", f" {two}ville.", None, 1 / 8)
        add("sums", f"{a} plus {b} is", f" {a + b}.", None, 0.01)
        add(
            "open-book",
            f"{one} has the {SHORT[0]} mill. Who has the mill?",
            f" {one}.",
            None,
            1 / 8,
        )
        add("logic", "not (true and false) is", " true.", None, 0.5)
        add(
            "order",
            f"{one} is taller than {two}, {two} than {three}. Tallest:",
            f" {one}.",
            None,
            1 / 3,
        )
        add("copying", f"Copy: {one} {three} {two}. Again:", f" {one} {three} {two}.", None, 0.002)
    return tuple(items)


def write_study(folder: Path, seed: int = 0) -> Path:
    """Write `folder/model` and `folder/study`; returns the study's path."""
    tokenizer = tiny_tokenizer(seed)
    model = tiny_model(len(tokenizer), seed)
    tokenizer.save_pretrained(folder / "model")
    model.save_pretrained(folder / "model")
    items = tiny_items(tokenizer, seed)
    projections = select(find_projections(model), layers=[1])
    other, planted = (
        collect(model, [i.prompt_ids + i.truth_ids for i in items if kind(i)], projections)
        for kind in (_fresh, _planted)
    )
    made = bases(other.mixed(planted, 0.001), projections)
    recipes = tuple(_recipe(recipe_id) for recipe_id in (
        "kfac", "svd", "magnitude", "random", "noise",
        "kfac-share-0", "kfac-share-0.001", "kfac-share-0.01", "kfac-share-0.2",
    ))  # fmt: skip
    points: list[dict[str, object]] = []
    scores: list[dict[str, object]] = []
    outputs: list[dict[str, object]] = []
    for recipe in recipes:
        for seed_index in recipe.seeds:
            for tick, setting in enumerate(recipe.ticks):
                points.append(_point(recipe, tick, seed_index, setting))
                rows = [_output(recipe, tick, item) for item in items]
                if seed_index == recipe.seeds[0]:
                    outputs += rows
                scores += _scores(recipe, tick, seed_index, items, rows)
    with StudyWriter(folder / "study") as writer:
        writer.items(items)
        writer.table("points", pd.DataFrame(points))
        writer.table("scores", pd.DataFrame(scores))
        writer.table("outputs", pd.DataFrame(outputs))
        writer.spectra({name: (basis.lam, basis.mu) for name, basis in made.items()})
        save_bases(writer.heavy("basis.safetensors"), made)
        other.save(writer.heavy("factors.safetensors"))
        planted.save(writer.heavy("factors_planted.safetensors"))
        writer.document("training.json", _training())
        writer.document("acceptance.json", {"tables": []})
        return writer.finish(
            Manifest(
                model=ModelCard(
                    id="../model",
                    weight_digest=weight_digest(model),
                    architecture="Olmo2ForCausalLM",
                    parameters=sum(p.numel() for p in model.parameters()),
                ),
                data_digest="0" * 64,
                counts={"sequences": 100, "positions": 6000},
                labels="sampled",
                convention="summed loss, all but the last position of each sequence",
                seed=seed,
                versions={"torch": torch.__version__},
                command="hillshade demo",
                created="2025-01-01T00:00:00+00:00",
                planted_share=0.001,
                noise_rate=0.1,
                recipes=recipes,
            )
        )


def _planted(item: Item) -> bool:
    return bool(item.repeats)


def _fresh(item: Item) -> bool:
    return not _planted(item)


def _recipe(recipe_id: str) -> StoredRecipe:
    method = recipe_id.partition("-")[0]
    share = float(recipe_id.rpartition("-")[2]) if "share" in recipe_id else 0.001
    titles = {"kfac": "K-FAC", "svd": "SVD", "magnitude": "Magnitude",
              "random": "Random directions", "noise": "Noise"}  # fmt: skip
    mass = method in ("kfac", "random", "noise")
    return StoredRecipe(
        id=recipe_id,
        method=method,
        title=titles[method] + (f", planted share {share:g}" if "share" in recipe_id else ""),
        layers=(1,),
        kinds=("gate", "up", "down"),
        projections=PROJECTIONS,
        planted_share=share if mass else None,
        seeds=(0, 1, 2, 3, 4) if method in ("random", "noise") else (0,),
        axis=Axis("mass", "curvature mass kept") if mass else Axis("share", "share kept"),
        ticks=TICKS,
        chosen=6,
        equal={"0.003": 4, "0.01": 6},
    )


def _breaks_at(recipe: StoredRecipe, item: Item) -> int:
    """The tick from which this item is no longer answered (past the end: never)."""
    jitter = sum(map(ord, item.id)) % 3
    if item.kind == "memory":
        first = 0 if (item.repeats or 0) < 16 else 3 + jitter
    else:
        first = {"copying": 5, "sums": 6, "order": 7, "logic": 9}.get(item.group, 8) + jitter
    return first if recipe.method == "kfac" or first == 0 else first + 4


def _output(recipe: StoredRecipe, tick: int, item: Item) -> dict[str, object]:
    past = tick - _breaks_at(recipe, item) + 1
    words = item.truth.split(" ")
    wrong = min(max(past, 0), len(words) - 1)
    for back in range(1, wrong + 1):
        words[-back] = NOUNS[(back + len(item.id)) % len(NOUNS)] + ("." if back == 1 else "")
    return {
        "recipe": recipe.id,
        "tick": tick,
        "item": item.id,
        "output": " ".join(words),
        "strict": wrong == 0,
        "distance": wrong / len(words),
    }


def _point(recipe: StoredRecipe, tick: int, seed: int, setting: float) -> dict[str, object]:
    rise = 0.4 * (1 - setting) * (1 if recipe.method == "kfac" else 3) * (1 + 0.02 * seed)
    total = 3 * 64 * 32
    return {
        "recipe": recipe.id,
        "tick": tick,
        "seed": seed,
        "setting": setting,
        "directions_kept": int(total * setting**40),
        "directions_total": total,
        "weight_kept": setting**8,
        "ppl_choose": 4.9 * (1 + rise),
        "ppl_report": 4.95 * (1 + rise),
        "ppl_report_low": 4.85 * (1 + rise),
        "ppl_report_high": 5.05 * (1 + rise),
        "ratio_report": 1 + rise,
        "ratio_low": 1 + 0.9 * rise,
        "ratio_high": 1 + 1.1 * rise,
        "tf_accuracy": 0.55 - 0.1 * rise,
    }


def _scores(
    recipe: StoredRecipe,
    tick: int,
    seed: int,
    items: tuple[Item, ...],
    rows: list[dict[str, object]],
) -> list[dict[str, object]]:
    frame = pd.DataFrame(rows)
    frame["group"] = [item.group for item in items]
    frame["split"] = [item.split for item in items]
    frame["repeats"] = [-1 if item.repeats is None else item.repeats for item in items]
    result: list[dict[str, object]] = []
    for (split, group, repeats), part in frame.groupby(["split", "group", "repeats"]):
        strict = float(part["strict"].astype(float).mean())
        if repeats == -1:
            measures = {"accuracy": strict, "above_chance": strict}
        else:
            loose = float((part["distance"] <= 0.25).mean())
            distance = float(part["distance"].astype(float).mean())
            measures = {"strict": strict, "loose": loose, "distance": distance}
        for measure, value in measures.items():
            result.append(
                {
                    "recipe": recipe.id,
                    "tick": tick,
                    "seed": seed,
                    "split": split,
                    "group": group,
                    "repeats": None if repeats == -1 else repeats,
                    "measure": measure,
                    "n": len(part),
                    "value": value,
                    "low": max(0.0, value - 0.1),
                    "high": min(1.0, value + 0.1),
                }
            )
    return result


def _training() -> dict[str, object]:
    steps = [0, 50, 100, 200, 400, 800, 1200, 1600, 2000, 2600, 3200, 4000, 4500]
    return {
        "points": [
            {
                "step": step,
                "x": 10 * math.exp(-step / 900),
                "y": 3 * math.exp(-step / 2000) * math.sin(step / 700),
                "loss": 1.6 + 4 * math.exp(-step / 500),
                "recall": {
                    "1": 0.0,
                    "16": 0.1 * step / 4500,
                    "256": 1 / (1 + math.exp((2400 - step) / 300)),
                },
                "probes": {
                    "logic": 0.5 + 0.45 / (1 + math.exp((1500 - step) / 300)),
                    "sums": 1 / (1 + math.exp((2500 - step) / 300)),
                },
            }
            for step in steps
        ]
    }
