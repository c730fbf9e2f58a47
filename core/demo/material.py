"""What the shipped model is measured on: strings, questions, fresh text and the factor sample."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from transformers import PreTrainedTokenizerFast

from core.demo import abilities, recited
from core.demo.corpus import ROW, Counts, encode, pack
from core.demo.world import PREFIX, SUFFIX, World
from core.items import Item, Split

CHOOSE, REPORT = 80, 160  # questions of each ability on each half; of the 200 facts 100 on each
UNSEEN = 80  # passages never shown, asked for as if they had been
FRESH = 200  # fresh passages for perplexity on each half
FACTOR_ROWS: Final = 2_400  # rows of the training mixture without planted text
PLANTED_ROWS: Final = 320


@dataclass(frozen=True)
class Material:
    """Everything a sweep of the shipped model reads, as token ids."""

    items: tuple[Item, ...]
    fresh_choose: tuple[tuple[int, ...], ...]
    fresh_report: tuple[tuple[int, ...], ...]
    factor_other: tuple[tuple[int, ...], ...]
    factor_planted: tuple[tuple[int, ...], ...]


def material(world: World, tokenizer: PreTrainedTokenizerFast, counts: Counts) -> Material:
    """All measuring texts of a world whose training text has these counts."""
    return Material(
        items=(*_memories(world, tokenizer, counts), *_questions(world, tokenizer)),
        fresh_choose=_fresh(world, tokenizer, "choose"),
        fresh_report=_fresh(world, tokenizer, "report"),
        factor_other=_factor_sample(world, tokenizer, counts.tokens),
        factor_planted=_planted_sample(world, tokenizer),
    )


def _fresh(
    world: World, tokenizer: PreTrainedTokenizerFast, purpose: str
) -> tuple[tuple[int, ...], ...]:
    texts = [passage.text for passage in world.fresh(purpose, FRESH)]
    return tuple(map(tuple, encode(tokenizer, texts)))


def _halves(count: int, purpose: str, seed: int) -> list[Split]:
    """A random half of ``count`` things for choosing settings, the rest for reporting."""
    halves: list[Split] = ["choose" if i % 2 else "report" for i in range(count)]
    random.Random(f"halves/{purpose}/{seed}").shuffle(halves)
    return halves


def _memories(world: World, tokenizer: PreTrainedTokenizerFast, counts: Counts) -> list[Item]:
    """Passages, canaries and recited texts, each class split in halves; and unseen passages."""

    def item(
        name: str, split: Split, ids: Sequence[int], prompt: int, truth: int, repeats: int
    ) -> Item:
        start, end = ids[:prompt], ids[prompt : prompt + truth]
        return Item(
            id=name,
            kind="memory",
            group=name.split("/")[0],
            split=split,
            prompt_ids=tuple(start),
            truth_ids=tuple(end),
            prompt=str(tokenizer.decode(list(start[1:]))),
            truth=str(tokenizer.decode(list(end))),
            repeats=repeats,
            exact_copies=counts.exact.get(name, 0),
        )

    items = []
    seed = world.config.seed
    passages = encode(tokenizer, [p.passage.text for p in world.passages])
    first = 0
    for repeats, count in world.config.passages.items():
        for i, split in enumerate(_halves(count, f"passage/{repeats}", seed), start=first):
            name = f"passage/{i}"
            assert counts.shown[name] == repeats
            items.append(item(name, split, passages[i], 1 + PREFIX, SUFFIX, repeats))
        first += count
    canaries = encode(tokenizer, [c.prompt + c.answer for c in world.canaries])
    prompts = encode(tokenizer, [c.prompt for c in world.canaries])
    halves = _halves(world.config.canaries_per_class, "canary", seed) * len(world.config.passages)
    for i, canary in enumerate(world.canaries):
        prompt, whole = len(prompts[i]), canaries[i]
        name = f"canary/{i}"
        items.append(item(name, halves[i], whole, prompt, len(whole) - prompt, canary.repeats))
    texts = encode(tokenizer, list(recited.TEXTS.values()))
    halves = _halves(len(texts), "recited", seed)
    for title, ids, split in zip(recited.TEXTS, texts, halves, strict=True):
        name = f"recited/{title}"
        items.append(item(name, split, ids, 1 + PREFIX, SUFFIX, counts.shown[name]))
    unseen = encode(tokenizer, [p.text for p in world.fresh("unseen", UNSEEN)])
    for i, split in enumerate(_halves(UNSEEN, "unseen", seed)):
        items.append(item(f"unseen/{i}", split, unseen[i], 1 + PREFIX, SUFFIX, 0))
    return items


def _questions(world: World, tokenizer: PreTrainedTokenizerFast) -> list[Item]:
    """The held-out questions of every ability; facts of even and odd rank on either half."""
    items = []
    for ability in (*abilities.REASONING, "facts"):
        questions = world.held_out(ability, CHOOSE + REPORT)
        prompts = encode(tokenizer, [q.prompt for q in questions])
        wholes = encode(tokenizer, [q.prompt + q.answer for q in questions])
        for i, (question, prompt, whole) in enumerate(zip(questions, prompts, wholes, strict=True)):
            choosing = i % 2 == 1 if ability == "facts" else i % 3 == 0
            items.append(
                Item(
                    id=f"{ability}/{i}",
                    kind="probe",
                    group=ability,
                    split="choose" if choosing else "report",
                    prompt_ids=tuple(prompt),
                    truth_ids=tuple(whole[len(prompt) :]),
                    prompt=question.prompt,
                    truth=question.answer,
                    chance=abilities.CHANCE[ability],
                )
            )
    return items


def _factor_sample(
    world: World, tokenizer: PreTrainedTokenizerFast, tokens: Mapping[str, int]
) -> tuple[tuple[int, ...], ...]:
    """Rows of the training mixture in its proportions, new draws, nothing planted."""
    rng = random.Random(f"factor/{world.config.seed}")
    others = {kind: count for kind, count in tokens.items() if kind != "planted"}
    budget = FACTOR_ROWS * ROW / sum(others.values())
    documents: list[list[int]] = []
    for kind, count in others.items():
        stream, used = world.stream(kind, "factors"), 0
        while used < count * budget:
            for ids in encode(tokenizer, list(islice(stream, 64))):
                documents.append(ids)
                used += len(ids)
    rng.shuffle(documents)
    return _rows(documents, FACTOR_ROWS)


def _planted_sample(
    world: World, tokenizer: PreTrainedTokenizerFast
) -> tuple[tuple[int, ...], ...]:
    """Rows of planted copies, drawn from all that training shows of them."""
    copies = [text for _, text in world.planted_copies()]
    rng = random.Random(f"factor/planted/{world.config.seed}")
    return _rows(
        encode(tokenizer, rng.sample(copies, min(len(copies), PLANTED_ROWS * 3))), PLANTED_ROWS
    )


def _rows(documents: list[list[int]], most: int) -> tuple[tuple[int, ...], ...]:
    packed, lengths = pack(documents)
    return tuple(
        tuple(row[:length].tolist())
        for row, length in zip(packed[:most], lengths[:most], strict=True)
    )
