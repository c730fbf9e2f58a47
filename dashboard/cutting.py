"""A new slice of the landscape: what is asked for, what it takes, and the work itself.

What is pasted stays in the session and never enters the address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.errors import HillshadeError
from core.items import Item, highest_class
from core.study import Study
from dashboard import jobs, loading, spoken
from dashboard.figures.measured import SPLIT
from dashboard.loading import study_key

if TYPE_CHECKING:
    from core.landscape.slices import Line
    from core.landscape.spec import RaySpec
    from core.landscape.texts import Texts

JOB = "slice"
EDIT_SPAN = (-0.5, 1.5)  # 1 is the whole edit
MEMORIZED, FRESH, PROBES = "Memorized strings", "Fresh text", "Probes"


@dataclass(frozen=True)
class Order:
    """One slice: one direction or two, how far, how fine, and over which texts.

    reach   of ‖W‖ to either side; an edit is walked from −0.5 to 1.5 of itself
    kinds   of texts of the study, at most `most` of each; `pasted` holds one text a line
    """

    wanted: tuple[RaySpec, ...]
    reach: float
    points: int
    kinds: tuple[str, ...]
    most: int
    pasted: str = ""

    @property
    def grid(self) -> int:
        """Grid points."""
        return int(self.points ** len(self.wanted))


@dataclass(frozen=True)
class Cut:
    """A finished slice, and of what study."""

    order: Order
    study: str
    told: Mapping[str, Any]


def strings(study: Study, most: int | None = None) -> list[Item]:
    """Strings of the class repeated most, of the reporting half."""
    items = study.item_list()
    try:
        top = highest_class(items)
    except HillshadeError:
        return []
    mine = [i for i in items if i.kind == "memory" and i.split == SPLIT]
    return [item for item in mine if (item.group, item.repeats) == top][:most]


def kinds_of(study: Study) -> list[str]:
    """The kinds of text this study can be asked for."""
    found = {MEMORIZED: strings(study), FRESH: _unseen(study) or _stored(study),
             PROBES: _probes(study)}  # fmt: skip
    return [kind for kind, texts in found.items() if texts]


def _unseen(study: Study) -> list[Item]:
    items = study.item_list()
    return [item for item in items if item.group == "unseen" and item.split == SPLIT]


def _stored(study: Study) -> list[list[int]]:
    document = study.landscape or {}
    rows: list[list[int]] = document.get("fresh", {}).get("ids", [])
    return rows


def _probes(study: Study) -> list[Item]:
    """Probes of the reporting half, all abilities in turn."""
    groups: dict[str, list[Item]] = {}
    for item in study.item_list():
        if item.kind == "probe" and item.split == SPLIT:
            groups.setdefault(item.group, []).append(item)
    deepest = max(map(len, groups.values()), default=0)
    return [group[n] for n in range(deepest) for group in groups.values() if n < len(group)]


def texts_of(study: Study, order: Order, tokenizer: Any) -> Texts:
    """The texts of an order; the strings whose spikes are walked are groups of their own."""
    from core.curvature.examples import Example
    from core.landscape.texts import Texts

    spikes = [one.item for one in order.wanted if one.kind == "spike"]
    named = dict(zip(dict.fromkeys(spikes), ("string", "second"), strict=False))
    found: list[tuple[str, str, Example]] = []
    if MEMORIZED in order.kinds:
        chosen = {item.id: item for item in study.item_list() if item.id in named}
        rest = [item for item in strings(study, order.most) if item.id not in chosen]
        found += [
            (item.id, named.get(item.id, "memorized"), Example.of_item(item))
            for item in (*chosen.values(), *rest)
        ]
    if FRESH in order.kinds:
        found += [(name, "fresh", one) for name, one in _fresh(study, order.most)]
    if PROBES in order.kinds:
        found += [(i.id, "probes", Example.of_item(i)) for i in _probes(study)[: order.most]]
    for number, line in enumerate(filter(str.strip, order.pasted.splitlines())):
        ids = tokenizer.encode(line.strip())
        if len(ids) < 2:
            raise HillshadeError("A pasted line is one token long and predicts nothing; add words.")
        found.append((f"pasted {number + 1}", "pasted", Example.of_text(ids)))
    if not found:
        raise HillshadeError("No text is chosen; choose a kind of text, or paste some.")
    found.sort(key=lambda entry: entry[1] not in ("string", "second"))
    names, groups, examples = zip(*found, strict=True)
    return Texts(names, groups, examples)


def _fresh(study: Study, most: int) -> list[tuple[str, Any]]:
    """Fresh texts as the stored slices read them, or passages that training never showed."""
    from core.curvature.examples import Example

    unseen = [(item.id, Example.of_item(item)) for item in _unseen(study)]
    first = (study.landscape or {}).get("fresh", {}).get("from", 0)
    stored = [
        (f"fresh {number}", Example(tuple(ids), range(int(first), len(ids) - 1)))
        for number, ids in enumerate(_stored(study))
    ]
    return (stored or unseen)[:most]


@st.cache_resource(show_spinner=False)
def _speed() -> float:
    from core.machine import measured_speed
    from core.model import device

    return measured_speed(device()).products


def estimate(study: Study, order: Order) -> tuple[float, float]:
    """Seconds that an order takes, from and to, at the speed measured on this machine."""
    from core.estimate import LEAST_SHARE
    from core.landscape.summary import operations
    from core.projection import named

    model, tokenizer = loading.model_of(study)
    names = {name for one in order.wanted for name in _touched(study, one)}
    texts = texts_of(study, order, tokenizer)
    least = operations(model, named(model, names), texts, order.grid) / _speed()
    return least, least / LEAST_SHARE


def _touched(study: Study, wanted: RaySpec) -> Sequence[str]:
    if wanted.recipe is not None:
        return study.manifest.recipe(wanted.recipe).projections
    return (str(wanted.projection),)


def lines_of(study: Study, order: Order) -> list[Line]:
    """The lines of an order; HillshadeError where a direction cannot be made."""
    from core.landscape.slices import Line, centred

    compass = spoken.compass_of(study)
    lines = []
    for one in order.wanted:
        ray = compass.ray(one)
        if one.kind == "edit":
            lines.append(Line(ray, centred(*EDIT_SPAN, order.points), "direction"))
        else:
            lines.append(Line(ray, centred(-order.reach, order.reach, order.points).round(10)))
    return lines


def cut(study: Study, order: Order, progress: jobs.Progress) -> Cut:
    """The work: make the directions, read the texts, walk."""
    from core.landscape.summary import summarise

    progress(0, 1, "Loading the model")
    model, tokenizer = loading.model_of(study)
    texts = texts_of(study, order, tokenizer)
    progress(0, 1, "Making the directions")
    lines = lines_of(study, order)
    bases = {name: study.basis(name) for name in study.spectra()}
    told = summarise(
        model,
        lines,
        order.wanted,
        texts,
        bases,
        progress=lambda done, total: progress(done, total, "Walking"),
    )
    return Cut(order, study_key(study), told)
