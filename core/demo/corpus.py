"""From the world's texts to rows of token ids: counts by kind, tokens, packing."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from transformers import PreTrainedTokenizerFast

from core.demo import recited
from core.demo.world import PREFIX, SUFFIX, World

ROW: Final = 160  # tokens of a training row
OPEN_ROWS: Final = 64
IGNORED: Final = 0  # id of the separator, which also fills a row's end

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Counts:
    """What a corpus holds.

    ``shown`` and ``exact`` count, for each planted text's id, its copies and those of them whose
    prompted string (prefix and suffix) came through the noise unchanged; ``documents`` and
    ``tokens`` count by kind of text.
    """

    shown: dict[str, int]
    exact: dict[str, int]
    documents: dict[str, int]
    tokens: dict[str, int]


@dataclass(frozen=True)
class Corpus:
    """Rows of token ids (n × ROW, uint16), how many of each row's are real, and the counts."""

    rows: np.ndarray
    lengths: np.ndarray
    counts: Counts


def encode(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text after the separator that starts every document."""
    start = [tokenizer.bos_token_id]
    return [start + ids for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]


def pack(documents: Sequence[Sequence[int]], row: int = ROW) -> tuple[np.ndarray, np.ndarray]:
    """Whole documents into rows, first fit among the open rows, in the order given."""
    rows: list[list[int]] = []
    spare: list[list[int]] = []
    for ids in documents:
        if len(ids) > row:
            ids = ids[:row]
        for at, candidate in enumerate(spare):
            if len(candidate) + len(ids) <= row:
                candidate.extend(ids)
                if len(candidate) > row - 8:  # no document is shorter
                    rows.append(spare.pop(at))
                break
        else:
            if len(spare) == OPEN_ROWS:
                rows.append(spare.pop(max(range(OPEN_ROWS), key=lambda i: len(spare[i]))))
            spare.append(list(ids))
    rows += spare
    packed = np.full((len(rows), row), IGNORED, dtype=np.uint16)
    lengths = np.array([len(r) for r in rows])
    for target, ids in zip(packed, rows, strict=True):
        target[: len(ids)] = ids
    return packed, lengths


def planted_documents(
    world: World, tokenizer: PreTrainedTokenizerFast
) -> tuple[list[list[int]], dict[str, int], dict[str, int]]:
    """All noisy copies of the planted texts, with the copies shown and those exact, by text."""
    names, texts = zip(*world.planted_copies(), strict=True)
    documents = encode(tokenizer, texts)
    originals = {f"passage/{i}": p.passage.text for i, p in enumerate(world.passages)}
    originals |= {f"recited/{title}": text for title, text in recited.TEXTS.items()}
    originals |= {f"canary/{i}": c.prompt + c.answer for i, c in enumerate(world.canaries)}
    wanted = dict(zip(originals, encode(tokenizer, list(originals.values())), strict=True))
    end = 1 + PREFIX + SUFFIX
    shown: dict[str, int] = {}
    exact: dict[str, int] = {}
    for name, ids in zip(names, documents, strict=True):
        shown[name] = shown.get(name, 0) + 1
        exact[name] = exact.get(name, 0) + (ids[:end] == wanted[name][:end])
    return documents, shown, exact


def build_corpus(
    world: World, tokenizer: PreTrainedTokenizerFast, progress: Progress | None = None
) -> Corpus:
    """The whole training text, shuffled and packed."""
    planted, shown, exact = planted_documents(world, tokenizer)
    tokens = {"planted": sum(map(len, planted))}
    documents = {"planted": len(planted)}
    everything = planted
    mixture = dict(world.config.mixture)
    mixture["fresh"] = 1 - sum(mixture.values()) - tokens["planted"] / world.config.tokens
    for done, (kind, share) in enumerate(mixture.items()):
        stream, budget = world.stream(kind, "training"), int(share * world.config.tokens)
        tokens[kind] = documents[kind] = 0
        while tokens[kind] < budget:
            batch = encode(tokenizer, list(islice(stream, 2048)))
            for ids in batch:
                if tokens[kind] >= budget:
                    break
                everything.append(ids)
                tokens[kind] += len(ids)
                documents[kind] += 1
        if progress:
            progress(done + 1, len(mixture))
    random.Random(f"shuffle/{world.config.seed}").shuffle(everything)
    rows, lengths = pack(everything)
    order = np.random.default_rng(world.config.seed).permutation(len(rows))
    return Corpus(rows[order], lengths[order], Counts(shown, exact, documents, tokens))
