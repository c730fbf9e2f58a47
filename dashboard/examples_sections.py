"""The sections of the Examples page, top to bottom."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from dashboard import address, blocks
from dashboard.escape import plain
from dashboard.figures import activations, draw_estimates, examples, shared, stages
from dashboard.figures.estimates import Forest, Lines
from dashboard.figures.examples import Document
from dashboard.figures.palette import Theme
from dashboard.figures.spectrum import short
from dashboard.figures.words import listing
from dashboard.state import View

QUESTION = "Is each memorized string sharp in a direction of its own?"
MISSING = (
    "This study holds no measurement of single examples (curvature.json), so nothing can be said "
    "about them. `hillshade demo` measures them as it makes the shipped study again; for a study "
    "of another model call `core.curvature.findings.measure` with the model, its bases, its "
    "strings and fresh text, and store what `plain()` returns as curvature.json with the study."
)


@dataclass(frozen=True)
class Look:
    """What the sections show of: one document, at one projection and step."""

    document: Document
    projection: str
    fraction: float
    theme: Theme


def document(view: View) -> Document | None:
    """The study's findings; None, and a sentence, where it has none."""
    found = view.study.curvature
    if found is None:
        st.title(QUESTION, anchor=False)
        st.info(MISSING)
    return found


def opening(view: View, document: Document) -> Look:
    """The question, its answer by the numbers, and where to look."""
    st.title(QUESTION, anchor=False)
    answer = st.empty()
    place, _ = st.columns([1, 2.5])
    chosen = str(document["findings"]["chosen"])
    steps = {f"{at:g}": at for at in examples.fractions(document)}
    names = examples.measured_in(document)
    texts = document["findings"]["texts"]
    projection = view.projection if view.projection in names else chosen
    if projection != view.projection:
        measured = listing([short(name) for name in names])
        st.info(
            plain(
                f"Single examples were measured in {measured}, not in {short(view.projection)}: "
                f"{short(chosen)}, which was chosen, is shown."
            )
        )
    with place:
        usual = min(steps, key=lambda name: abs(steps[name] - examples.USUAL))
        step = address.choice(
            "Step along a direction", list(steps), "step", lambda name: f"Step {name} ‖W‖", usual
        )
    look = Look(document, projection, steps[step], view.theme)
    with answer.container():
        blocks.finding(examples.headline(document, projection, look.fraction), "examples")
    st.caption(
        f"{int(texts['report memorized'])} memorized strings (those repeated most often), "
        f"{int(texts['report fresh'])} fresh texts cut to the same shape, and "
        f"{int(texts['report probes'])} probe questions, all of the reporting half. The projection "
        f"{plain(short(chosen))} was chosen on the other half."
    )
    return look


def spikes(look: Look) -> None:
    """Rises along own directions."""
    left, right = st.columns(2, gap="large")
    for place, of in ((left, "memorized"), (right, "fresh")):
        with place:
            _lines(look, examples.spikes(look.document, look.projection, look.fraction, of))


def claims(look: Look) -> None:
    """What is claimed of them, and what holds."""
    _forest(look, examples.claims(look.document, look.projection, look.fraction))


def growth(look: Look) -> None:
    """The same by stage of training."""
    described = stages.growth(look.document)
    if described is not None:
        _lines(look, described)
        return
    st.info(
        "This study holds no measurement at earlier stages of training, so how spikes grow is not "
        "shown."
    )


def together(look: Look) -> None:
    """Whether own directions point apart, and what the average keeps."""
    left, right = st.columns(2, gap="large")
    with left:
        _lines(look, shared.flattening(look.document, look.projection))
    with right:
        _forest(look, shared.overlaps(look.document, look.projection))


def hills(look: Look) -> None:
    """Rises along the directions that many inputs share."""
    _lines(look, shared.hills(look.document, look.projection, look.fraction))


def by_activations(look: Look) -> None:
    """Memorized text told by its activations: the detector, and the bands they lie in."""
    left, right = st.columns(2, gap="large")
    with left:
        _forest(look, activations.detector(look.document))
    with right:
        _lines(look, activations.activation(look.document))


def _lines(look: Look, described: Lines) -> None:
    blocks.figure(described, draw_estimates.lines(described, look.theme), described.table())


def _forest(look: Look, described: Forest) -> None:
    blocks.figure(described, draw_estimates.forest(described, look.theme), described.table())
