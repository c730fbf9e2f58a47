"""Strict recall of the shipped model's memorized strings: one forward pass against generation.

Generation is that of transformers, greedy, with the model's cache: string by string, as it is
mostly written, and all strings in one batch. All three must agree on every string.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch

from core.items import Item
from core.model import load_model, source_of
from core.recall import strict
from core.study import Study
from tests.benchmarks.bench_slices import SHIPPED

STRINGS, SOME = 100, 20  # strings asked at once, and generated one by one
TURNS = 5

Answers = list[bool]


def run(turns: int = TURNS) -> dict[str, float | int | str]:
    """Milliseconds a string, and the ratios: medians over the turns."""
    study = Study.open(SHIPPED)
    model = load_model(source_of(study))
    items = [item for item in study.item_list() if item.group == "passage"][-STRINGS:]
    some = items[:SOME]
    times: list[tuple[float, float, float]] = []
    for _ in range(turns):
        ours, answers = _timed(lambda: strict(model, items).tolist())
        batched, in_batch = _timed(lambda: _generated(model, items))
        single, one_by_one = _timed(lambda: [a for i in some for a in _generated(model, [i])])
        if in_batch != answers or one_by_one != answers[:SOME]:
            raise AssertionError("one pass and generation disagree")
        times.append((ours / len(items), batched / len(items), single / SOME))
    return {
        "strings": len(items),
        "tokens_of_prompt": len(items[0].prompt_ids),
        "tokens_of_suffix": len(items[0].truth_ids),
        "one_pass_ms_a_string": 1e3 * median(t[0] for t in times),
        "generated_in_one_batch_ms_a_string": 1e3 * median(t[1] for t in times),
        "generated_one_by_one_ms_a_string": 1e3 * median(t[2] for t in times),
        "batch_over_ours": median(t[1] / t[0] for t in times),
        "one_by_one_over_ours": median(t[2] / t[0] for t in times),
    }


def _timed(work: Callable[[], Answers]) -> tuple[float, Answers]:
    start = time.perf_counter()
    answers = work()
    return time.perf_counter() - start, answers


def _generated(model: Any, items: Sequence[Item]) -> Answers:
    """Whether each greedy continuation is the truth; prompts and truths of one length."""
    prompts = torch.tensor([item.prompt_ids for item in items])
    length = len(items[0].truth_ids)
    with torch.inference_mode():
        said = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            min_new_tokens=length,
            max_new_tokens=length,
            use_cache=True,
        )
    tails = said[:, prompts.shape[1] :].tolist()
    return [tuple(t) == item.truth_ids for t, item in zip(tails, items, strict=True)]
