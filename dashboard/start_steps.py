"""What each step of the guided tour shows, before the guess and after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import bar, blocks, guessing
from dashboard.components import scrubber
from dashboard.escape import plain
from dashboard.figures import answers, draw_estimates, draw_tour, outcome, recall, rows, tour
from dashboard.figures.estimates import Forest, Lines
from dashboard.figures.examples import Document
from dashboard.figures.recall import memory_track
from dashboard.figures.texts import Texts
from dashboard.figures.words import percent
from dashboard.guessing import Place
from dashboard.recall_sections import NO_PROMISE, said
from dashboard.state import View

LACKS = (
    "This study holds no {name}, so this step has nothing to show. `hillshade demo` makes the "
    "shipped study again with it; the other steps do without."
)
NO_STRINGS = (
    "This study was made without memorized strings, so what it recites is not known. Run its "
    "command again with `--strings strings.jsonl`; the other steps do without."
)


class Tabled(blocks.Described, Protocol):
    """A description that is also a table."""

    def table(self) -> pd.DataFrame: ...


WIDE = (1.35, 1)  # the exhibit and what is said of it


def recites(place: Place) -> None:
    """One: a memorized string's prompt, and what comes back."""
    view = place.view
    shown = _first(view, "memory", view.measured.memory[0])
    if shown is None:
        _lacking(place, NO_STRINGS)
        return
    question = answers.RECITES
    told = guessing.guessed(place, question) is not None
    left, right = st.columns(WIDE, gap="large")
    with left:
        st.subheader("Here is how one text begins", anchor=False)
        row = shown.rows[0]
        # Nothing is cut here: the texts of the other ticks stay at home.
        kept = replace(row, outputs=row.outputs[:told], strict=row.strict[:told])
        scrubber.passage(replace(shown, rows=(kept,)).payload(), 0, "start-recites")
        if told:
            st.caption(
                "Underlined and bold: words that repeat the true text. The model writes the "
                "likeliest token, again and again. It is the first of its class as stored, not "
                "picked for what came back."
            )
    with right:
        guessing.step(
            place,
            question,
            "The model saw this text in training. Now it gets only this beginning.",
            lambda: answers.recites(
                row,
                memory_track(view.measured, view.recipe),
                view.measured.score(view.recipe, "unseen", "strict"),
            ),
        )


def downhill(place: Place) -> None:
    """Two: training rolls downhill; at the bottom some walls are steep and some are flat."""
    training, curvature = place.view.study.training, place.view.study.curvature
    question = answers.STEEPER
    told = guessing.guessed(place, question) is not None
    left, right = st.columns(WIDE, gap="large")
    with left:
        if told and curvature is not None:
            with blocks.understood("curvature.json"):
                _lines(place.view, tour.valleys(curvature))
        elif training is None:
            st.info(LACKS.format(name="points of a training run (training.json)"))
        else:
            with blocks.understood("training.json"):
                run = tour.descent(training)
                _titled(run.title)
                _chart(run, draw_tour.descent(run, place.view.theme))
    with right, blocks.understood("curvature.json"):
        if curvature is None:
            _lacking(place, LACKS.format(name="measurement of single examples (curvature.json)"))
            return
        answer = answers.steeper(*tour.walls(curvature))
        guessing.step(
            place,
            question,
            "The loss says how surprised the model is by the next word. Training changes the "
            "weights, step by step, so that it falls: a ball that rolls downhill.",
            lambda: answer,
        )


def alone(place: Place) -> None:
    """Three: along one string's own direction."""
    document = place.view.study.curvature
    if document is None:
        _lacking(place, LACKS.format(name="measurement of single examples (curvature.json)"))
        return
    question = answers.WHOSE
    told = guessing.guessed(place, question) is not None
    left, right = st.columns(WIDE, gap="large")
    with blocks.understood("curvature.json"):
        with left:
            _bars(place.view, tour.own(document), answers.nats, None if told else 1)
        with right:
            guessing.step(
                place,
                question,
                "Every text has a direction of its own in the weights, along which its loss rises "
                "most steeply. A small step along it, and the text is lost.",
                lambda: answers.whose(document, _chosen(document), answers.usual(document)),
            )


def average(place: Place) -> None:
    """Four: what the average over many texts flattens, and what it keeps."""
    document = place.view.study.curvature
    if document is None:
        _lacking(place, LACKS.format(name="measurement of single examples (curvature.json)"))
        return
    question = answers.AVERAGE
    told = guessing.guessed(place, question) is not None
    left, right = st.columns(WIDE, gap="large")
    with blocks.understood("curvature.json"):
        with left:
            described = tour.averaged(document)
            _lines(place.view, described if told else tour.only_fresh(described), told)
        with right:
            guessing.step(
                place,
                question,
                "Where texts are sharp in different directions, each spike is thinned out in the "
                "average; where they share one, it stays. The edit sees only the average.",
                lambda: answers.average(document, _chosen(document)),
            )


def _chosen(document: Document) -> str:
    """The projection chosen on the choosing half."""
    return str(document["findings"]["chosen"])


def cut(place: Place) -> None:
    """Five: a guess at what breaks first, then the slider."""
    view = place.view
    question = outcome.first_question(view.measured, view.recipe)
    if guessing.guessed(place, question) is None:
        exhibit, beside = st.columns(WIDE, gap="large")
        with exhibit:
            st.subheader("Nothing is cut yet", anchor=False)
            _passages(view, 0)
        with beside:
            st.markdown(
                f"{plain(view.recipe.title)} keeps the directions of the weights with the most "
                "curvature and cuts the flattest away. It trains nothing, and is not told which "
                "texts matter."
            )
            guessing.ask(place, question)
        return
    bar.threshold(view)
    answer, seen = outcome.first(view.measured, view.recipe)
    told = recall.story(view.measured, view.recipe, view.tick)
    bars = replace(
        told.bars,
        bars=tuple(replace(one, paper=None) for one in told.bars.bars),
        how="Edited over original: memory as exact recall, abilities as accuracy above chance. "
        "The thin line on a bar is its 95 % interval.",
    )
    left, right = st.columns(WIDE, gap="large")
    with left:
        scrubber.live(
            told.axis.payload(),
            [bars.payload()],
            view.tick,
            key="start-live",
            findings=[finding.payload() for finding in told.findings],
            layout="alone",
        )
        blocks.reading(bars, bars.table(view.tick))
    with right:
        _passages(view, view.tick)
        if view.tick >= seen:
            guessing.tell(place, question, answer)
        else:
            st.markdown("#### Move the slider to the right, and watch what falls first.")
            place.onward()


def left(place: Place) -> None:
    """Six: what broke, what stayed, why, and what no edit promises."""
    view, document = place.view, place.view.study.audit
    question = answers.LEFT
    told = guessing.guessed(place, question) is not None
    exhibit, beside = st.columns(WIDE, gap="large")
    found = outcome.outcome(view.measured, view.recipe, view.tick)
    with exhibit:
        if told and document is not None:
            with blocks.understood("audit.json"):
                _bars(view, tour.got_back(document), percent)
        else:
            _bars(view, tour.left_over(view.measured, view.recipe, view.tick), percent)
    with beside, blocks.understood("audit.json"):
        if not told:
            st.markdown(f"#### {plain(outcome.verdict(found))}")
            _why(view)
        if document is None:
            _lacking(place, f"{LACKS.format(name='residual audit (audit.json)')} {NO_PROMISE}")
            return
        answer = answers.left(document)
        if told:
            guessing.tell(place, question, answer)
            st.caption(NO_PROMISE)
        else:
            guessing.ask(place, question)


def _why(view: View) -> None:
    document = view.study.curvature
    if document is None:
        return
    with blocks.understood("curvature.json"):
        for reason in answers.why(document, view.study.manifest.noise_rate):
            st.markdown(f"- {plain(reason)}")


def _passages(view: View, tick: int) -> None:
    """A memorized text and a question, as they come out at the tick under the thumb."""
    for kind, group in (("memory", view.measured.memory[0]), ("probe", _asked(view))):
        shown = _first(view, kind, group)
        if shown is not None:
            scrubber.passage(shown.payload(), tick, f"start-cut-{kind}", small=True)


def _first(view: View, kind: str, group: str) -> Texts | None:
    """A table of one text: the first of its group as stored, whatever comes of it."""
    table = rows.table(view.study.items, said(view), view.recipe, kind, group, 1)
    return replace(table, rows=table.rows[:1]) if table.rows else None


def _asked(view: View) -> str:
    """The ability whose question stands beside the slider."""
    return "logic" if "logic" in view.measured.probes else next(iter(view.measured.probes), "")


def _lacking(place: Place, sentence: str) -> None:
    st.info(sentence)
    place.onward()


def _titled(title: str) -> None:
    st.subheader(plain(title), anchor=False)


def _lines(view: View, described: Lines, told: bool = True) -> None:
    _titled(described.title)
    _chart(described, draw_estimates.lines(described, view.theme), told)


def _bars(
    view: View, described: Forest, number: Callable[[float], str], shown: int | None = None
) -> None:
    """Bars; only the first `shown` of them while the others are to be guessed."""
    told = shown is None
    if not told:
        described = replace(described, alt=f"{described.title}: the answer is not shown yet.")
    _titled(described.title)
    _chart(described, draw_tour.bars(described, view.theme, number, shown), told)


def _chart(described: Tabled, drawing: go.Figure, told: bool = True) -> None:
    """A picture, how to read it, and its table once nothing is left to guess in it."""
    st.plotly_chart(
        drawing,
        theme=None,
        config=draw_tour.STILL,
        alt=described.alt,
        key=f"chart-{described.id}",
    )
    if told:
        blocks.reading(described, described.table())
    else:
        st.caption(plain(described.how))
