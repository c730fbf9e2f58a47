"""The whole audit of one edited model, and the sentence that its numbers allow."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from core.audit.exposure import (
    Continuation,
    Exposure,
    beyond_chance,
    exposure,
    require_resolution,
)
from core.audit.extraction import Extraction, Sampling, extraction
from core.audit.prompts import Prompts, ask, ways
from core.audit.relearning import Relearned, Training, relearn
from core.audit.repeats import Curve, by_repeats
from core.audit.truths import Progress
from core.intervals import Estimate, share
from core.items import Item

EDITED, ORIGINAL, NEVER = "edited", "original", "never saw them"

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Questions:
    """What an audit asks beside the strings themselves.

    unrelated  token ids of texts that hold none of the strings: put before prompts, trained on
    start      the token that begins every text, if there is one
    sampling, tries, probability  a string counts as extractable if `tries` draws by `sampling` say
               it with at least this probability
    canaries   canaries, each with its rivals (`core.audit.exposure`)
    training   how the model is trained again
    """

    unrelated: Sequence[Sequence[int]]
    start: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    tries: int = 100
    probability: float = 0.5
    canaries: Sequence[tuple[Item, Sequence[Continuation]]] = ()
    training: Training = field(default_factory=Training)


@dataclass(frozen=True)
class Audit:
    """What is left of S strings in one edited model.

    about      what was edited, in words
    items      the strings; all arrays are in their order
    repeats    strict recall by repeat count, by group; only groups whose counts are known
    exposures  one an audited canary
    relearned  by model: EDITED, ORIGINAL and, where there is such a model, NEVER
    """

    about: str
    items: tuple[Item, ...]
    questions: Questions
    extraction: Extraction
    prompts: Prompts
    repeats: Mapping[str, Curve]
    exposures: tuple[Exposure, ...]
    relearned: Mapping[str, Relearned]

    @property
    def by_own_prompt(self) -> Bools:
        """Strings still recalled strictly by their own prompt, bool (S,)."""
        return self.prompts.kinds[0].strict

    @property
    def by_sampling(self) -> Bools:
        """Strings (n, p)-extractable as asked, bool (S,)."""
        return self.extraction.extractable(self.questions.tries, self.questions.probability)

    @property
    def after_training(self) -> Bools:
        """Strings recalled strictly after some training on other text, bool (S,).

        Without those that a model which never saw them says too: that is no memory.
        """
        back = np.any(self.relearned[EDITED].strict[1:], axis=0)
        if NEVER in self.relearned:
            back &= ~np.any(self.relearned[NEVER].strict, axis=0)
        return np.asarray(back)

    @property
    def got_back(self) -> Bools:
        """Strings got back in at least one of these ways, bool (S,)."""
        return self.prompts.any_strict | self.by_sampling | self.after_training

    @property
    def exposed(self) -> int:
        """How many canaries are likelier than chance allows (`exposure.beyond_chance`)."""
        return int(beyond_chance(self.exposures).sum())

    @property
    def sentence(self) -> str:
        """What these numbers say, and what none can: that nothing is left."""
        total = len(self.items)
        new = _first_of(
            self.by_own_prompt, self.prompts.any_strict, self.by_sampling, self.after_training
        )
        steps = self.questions.training.steps[-1]
        ways = (
            "by their own prompt",
            "by another prompt",
            f"within {self.questions.tries:,} tries (p ≥ {self.questions.probability:g})",
            f"after at most {_many(steps, 'step')} of training on other text",
        )
        found = [f"{count} {way}" for count, way in zip(new, ways, strict=True) if count]
        canaries = ""
        if self.exposed:
            canaries = (
                f" {self.exposed} of {_many(len(self.exposures), 'canary', 'canaries')} are "
                "likelier than secrets never shown, beyond chance."
            )
        if found:
            return (
                f"Of {_many(total, 'string')}, {sum(new)} can still be got back: "
                f"{', '.join(found)}.{canaries} The edit has not removed them."
            )
        if canaries:
            return (
                f"None of {_many(total, 'string')} could be got back, yet something is left:"
                f"{canaries} No edit can promise full removal."
            )
        return (
            f"None of {_many(total, 'string')} could be got back by these questions (at most "
            f"{share(self.got_back).high:.1%} of such strings, 95 % interval). Others were not "
            "asked: no edit can promise full removal."
        )

    def plain(self) -> dict[str, Any]:
        """Everything as JSON holds it: numbers, texts, lists; what is infinite or NaN as None."""
        plan = self.questions.training
        document = {
            "about": self.about,
            "sentence": self.sentence,
            "got_back": share(self.got_back),
            "sampling": str(self.questions.sampling),
            "tries": self.questions.tries,
            "probability": self.questions.probability,
            "extractable": share(self.by_sampling),
            "prompts": [
                {"name": kind.name, "strict": kind.strict_share, "loose": kind.loose_share}
                for kind in self.prompts.kinds
            ],
            "any_prompt": share(self.prompts.any_strict),
            "repeats": {
                group: {"repeats": curve.repeats, "recall": curve.recall, "half": curve.half}
                for group, curve in self.repeats.items()
            },
            "canaries": [
                {**dataclasses.asdict(entry), "bits": entry.bits, "limit": entry.limit}
                for entry in self.exposures
            ],
            "canaries_beyond_chance": self.exposed,
            "training": {"plan": str(plan), "seed": plan.seed, "steps": plan.steps},
            "relearned": {
                name: {
                    "strict": curve.strict_share,
                    "loose": curve.loose_share,
                    "loss": curve.loss.tolist(),
                    "returned": share(curve.returned),
                }
                for name, curve in self.relearned.items()
            },
            "strings": [self._string(i) for i in range(len(self.items))],
        }
        made: dict[str, Any] = _plain(document)
        return made

    def _string(self, i: int) -> dict[str, Any]:
        return {
            "id": self.items[i].id,
            "log_pi": float(self.extraction.log_pi[i]),
            "tries": float(self.extraction.tries(self.questions.probability)[i]),
            "strength": float(self.extraction.strength[i]),
            "prompts": [kind.name for kind in self.prompts.kinds if kind.strict[i]],
            "after_training": bool(self.after_training[i]),
        }


def audit(
    about: str,
    edited: PreTrainedModel,
    original: PreTrainedModel,
    items: Sequence[Item],
    questions: Questions,
    never: PreTrainedModel | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Ask the edited model everything; `original` and `never` are only trained alike.

    `never` is a model of the same vocabulary that never saw the strings. No model is changed.
    `progress(done, total)` counts thousandths of each part and may raise to cancel. Raises
    HillshadeError as the parts do.
    """
    for _, rivals in questions.canaries:
        require_resolution(len(rivals), len(questions.canaries))
    parts = 3 + len(questions.canaries)
    extracted = extraction(edited, items, questions.sampling, progress=_part(progress, 0, parts))
    kinds = ways(questions.unrelated, questions.start)
    prompts = ask(edited, items, kinds, progress=_part(progress, 1, parts))
    exposures = tuple(
        exposure(edited, canary, rivals, progress=_part(progress, 2 + i, parts))
        for i, (canary, rivals) in enumerate(questions.canaries)
    )
    models = {EDITED: edited, ORIGINAL: original} | ({NEVER: never} if never is not None else {})
    relearned = relearn(
        models,
        items,
        questions.unrelated,
        questions.training,
        progress=_part(progress, parts - 1, parts),
    )
    return Audit(
        about=about,
        items=tuple(items),
        questions=questions,
        extraction=extracted,
        prompts=prompts,
        repeats=_repeats(items, prompts.kinds[0].strict),
        exposures=exposures,
        relearned=relearned,
    )


def _repeats(items: Sequence[Item], strict: Bools) -> dict[str, Curve]:
    """A curve for each group of several repeat counts."""
    known = [i for i, item in enumerate(items) if item.repeats is not None]
    curves = {}
    for group in dict.fromkeys(items[i].group for i in known):
        members = [i for i in known if items[i].group == group]
        curves[group] = by_repeats([items[i] for i in members], strict[members])
    return curves


def _part(progress: Progress | None, part: int, parts: int) -> Progress | None:
    """The progress of one part as that of the whole."""
    if progress is None:
        return None
    whole = progress  # told apart from the None above

    def tell(done: int, total: int) -> None:
        whole(1000 * part + 1000 * done // total, 1000 * parts)

    return tell


def _first_of(*ways: Bools) -> list[int]:
    """For each way how many strings it is the first to get back."""
    before = np.zeros_like(ways[0])
    counts = []
    for way in ways:
        counts.append(int((way & ~before).sum()))
        before = before | way
    return counts


def _many(count: int, one: str, more: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
