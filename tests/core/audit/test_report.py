"""The sentence follows the numbers; everything becomes plain JSON; one audit from end to end."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest

from core.audit.exposure import Exposure
from core.audit.extraction import Extraction, Sampling
from core.audit.prompts import AS_IS, Prompted, Prompts
from core.audit.relearning import Relearned, Training
from core.audit.repeats import by_repeats
from core.audit.report import EDITED, NEVER, ORIGINAL, Audit, Questions, audit
from core.errors import HillshadeError
from core.items import Item
from core.projection import find_projections
from core.twin import twin
from tests.core.recall_oracle import greedy
from tests.tiny import VOCABULARY, tiny


def bools(*marks: int) -> np.ndarray:
    return np.array(marks, dtype=bool)


def made(
    own: np.ndarray,
    other: np.ndarray,
    log_pi: list[float],
    after: np.ndarray,
    exposures: tuple[Exposure, ...] = (),
    never: np.ndarray | None = None,
) -> Audit:
    items = tuple(
        Item(f"s/{i}", "memory", "p", "report", (1,), (2,), "", "", 8) for i in range(len(own))
    )
    everyone = np.ones_like(own)
    plan = Training((0, 4))
    curves = {EDITED: after, ORIGINAL: everyone} | ({NEVER: never} if never is not None else {})
    return Audit(
        about="kfac at 0.9",
        items=items,
        questions=Questions([], training=plan),
        extraction=Extraction(Sampling(), np.array(log_pi), own.astype(float)),
        prompts=Prompts(
            (Prompted(AS_IS, everyone, own, own), Prompted("other", everyone, other, other))
        ),
        repeats={"p": by_repeats(items, own)},
        exposures=exposures,
        relearned={
            name: Relearned((0, 4), np.array([own, row]), np.array([own, row]), np.zeros(2))
            for name, row in curves.items()
        },
    )


NOTHING = made(bools(0, 0, 0), bools(0, 0, 0), [-math.inf, -50.0, -90.0], bools(0, 0, 0))


def test_each_string_is_told_by_the_mildest_way_that_gets_it_back() -> None:
    found = made(
        bools(1, 0, 0, 0, 0), bools(1, 1, 0, 0, 0), [0.0, -9.0, -1.0, -50.0, -50.0],
        bools(1, 1, 1, 1, 0),
    )  # fmt: skip
    assert found.sentence == (
        "Of 5 strings, 4 can still be got back: 1 by their own prompt, 1 by another prompt, "
        "1 within 100 tries (p ≥ 0.5), 1 after at most 4 steps of training on other text. "
        "The edit has not removed them."
    )
    assert found.got_back.tolist() == [True, True, True, True, False]


def test_nothing_found_is_a_bound_and_no_promise() -> None:
    sentence = NOTHING.sentence
    assert sentence.startswith("None of 3 strings could be got back by these questions (at most 56")
    assert sentence.endswith("no edit can promise full removal.")


def test_an_exposed_canary_is_something_left() -> None:
    found = replace(
        NOTHING, exposures=(Exposure("c/0", 1.0, 1.0, 1000), Exposure("c/1", 1.0, 400.0, 1000))
    )
    assert "yet something is left: 1 of 2 canaries are likelier" in found.sentence


def test_what_a_model_says_that_never_saw_them_is_no_memory() -> None:
    gone = bools(0, 0)
    arguments = (gone, gone, [-50.0, -50.0], bools(1, 1))
    assert made(*arguments).after_training.tolist() == [True, True]
    assert made(*arguments, never=bools(1, 0)).after_training.tolist() == [False, True]


def test_the_plain_form_is_json_without_infinities() -> None:
    found = replace(NOTHING, exposures=(Exposure("c/0", 1.0, 1.0, 1000),))
    plain = json.loads(json.dumps(found.plain(), allow_nan=False))
    assert plain["sentence"] == found.sentence
    assert plain["strings"][0]["log_pi"] is None and plain["strings"][0]["tries"] is None
    assert plain["canaries"][0]["bits"]["high"] is None
    assert plain["canaries"][0]["bits"]["value"] == pytest.approx(math.log2(1000))
    assert plain["relearned"][ORIGINAL]["strict"][1]["value"] == 1.0


def test_an_audit_from_end_to_end_tells_the_edited_from_the_original() -> None:
    original = tiny("olmo2").eval().requires_grad_(False)
    weights = [p.parameter(original) for p in find_projections(original)]
    edited = twin(original, {weight: weight.detach() * 0.1 for weight in weights})
    rng = random.Random(0)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(VOCABULARY) for _ in range(count))

    prompts = [tokens(6) for _ in range(8)]
    items = [
        Item(f"s/{i}", "memory", "p", "report", p, greedy(original, p, 6), "", "", 8)
        for i, p in enumerate(prompts)
    ]
    rivals = list({tokens(3) for _ in range(60)})
    canary = Item("c/0", "memory", "canary", "report", tokens(5), tokens(4), "", "", 8)
    questions = Questions(
        unrelated=[tokens(9) for _ in range(4)],
        canaries=[(canary, rivals)],
        training=Training((0, 2), batch=2),
    )
    seen: list[tuple[int, int]] = []
    after = audit("cut", edited, original, items, questions, None, lambda *now: seen.append(now))
    before = audit("nothing", original, original, items, questions)
    assert before.by_own_prompt.all() and before.got_back.all()
    assert after.by_own_prompt.sum() < before.by_own_prompt.sum()
    assert (before.extraction.strength == 1.0).all() and (after.extraction.strength < 1.0).any()
    assert after.repeats["p"].recall[0].value == after.by_own_prompt.mean()
    assert [e.item for e in after.exposures] == ["c/0"]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (4000, 4000)
    json.dumps(after.plain(), allow_nan=False)
    few = replace(questions, canaries=[(canary, rivals[:5])])
    with pytest.raises(HillshadeError, match="at least 20"):
        audit("cut", edited, original, items, few)
