"""The Start page: six steps of a guided tour; each asks for a guess, then shows what is so here.

A step's guess stays in the session; only the number of the step stands in the address. Arriving
at a step by its button sets the view as the step needs it, as if the bar had been moved by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from core.manifest import StoredRecipe
from dashboard import address, blocks, glossary, start_steps, state
from dashboard.escape import plain
from dashboard.figures import draw_tour, outcome, tour
from dashboard.figures.words import count
from dashboard.guessing import Place
from dashboard.state import View

QUESTION = "Can you cut the memory out of a network and leave the thinking?"
MAIN = "kfac"  # the recipe of the tour, where a study has it
STEP = "start-step"  # where the session keeps the step: `step` in the address


@dataclass(frozen=True)
class Step:
    """One step: its name on the button, its words, and what it draws."""

    name: str
    words: tuple[str, ...]
    draw: Callable[[Place], None]
    whole: bool = False  # begins with nothing cut


STEPS: tuple[Step, ...] = (
    Step("It recites", ("memorized", "strict", "interval"), start_steps.recites),
    Step("Rolling downhill", ("loss", "curvature", "sharp"), start_steps.downhill),
    Step("One string alone", ("sharp", "loss", "fresh"), start_steps.alone),
    Step("The average", ("averaged", "curvature", "interval"), start_steps.average),
    Step("Guess, then cut", ("mass", "eigendirection", "kfac", "probe"), start_steps.cut, True),
    Step("What is left", ("probe", "held-out", "extractable", "exposure"), start_steps.left),
)
NUMBERS = tuple(str(number + 1) for number in range(len(STEPS)))


def show(view: View) -> None:
    """The page: what it is about, where one is, and the step itself."""
    number = int(address.settled(NUMBERS, "step", NUMBERS[0], STEP))
    step = STEPS[number - 1]
    if number == 1:
        _opening(view)
    else:
        with st.container(key="start-question"):
            st.title(QUESTION, anchor=False)
    with st.container(key="start-way"):
        st.segmented_control(
            "Steps of the tour",
            NUMBERS,
            key=STEP,
            format_func=lambda n: f"**{n}** {STEPS[int(n) - 1].name}",
            on_change=_arrived,
            args=(view,),
            required=True,
            label_visibility="collapsed",
        )
    with st.container(key="start-exhibit"):
        step.draw(Place(view, number, _onward(view, number)))
    glossary.show(step.words)


def _opening(view: View) -> None:
    """The question, the answer in a sentence, and the one picture of it."""
    recipe, tick = view.recipe, state.default_tick(view.recipe)
    described = tour.overview(view.measured, recipe, tick)
    found = outcome.outcome(view.measured, recipe, tick)
    with st.container(key="start-opening"):
        left, right = st.columns([1, 1.05], gap="large", vertical_alignment="center")
    with left:
        st.title(QUESTION, anchor=False)
        st.markdown(
            f"{_model(view)} After training, the directions of its weights in which the loss is "
            "flattest are cut away."
        )
        blocks.finding(outcome.verdict(found), "start")
        st.caption(plain(outcome.told(found, recipe, tick, view.measured.ratio(recipe))))
    with right:
        st.plotly_chart(
            draw_tour.overview(described, tick, view.theme),
            theme=None,
            config=draw_tour.STILL,
            alt=described.alt,
            key="chart-overview",
        )
        blocks.reading(described, described.table())


def _model(view: View) -> str:
    size = count(view.study.manifest.model.parameters)
    return (
        f"A small language model of {size} weights has learnt to reason, and some texts by heart."
    )


def _main(view: View) -> StoredRecipe:
    known = {recipe.id: recipe for recipe in view.study.recipes}
    return known.get(MAIN, view.study.recipes[0])


def _arrived(view: View) -> None:
    """Set the view as the step now chosen needs it."""
    recipe = _main(view)
    step = STEPS[int(st.session_state[STEP]) - 1]
    state.put(recipe, 0 if step.whole else state.default_tick(recipe))


def _onward(view: View, number: int) -> Callable[[], None]:
    """Draws the button to the next step, or at the end the ways on."""

    def next_step() -> None:
        st.session_state[STEP] = str(number + 1)
        _arrived(view)

    def draw() -> None:
        if number < len(STEPS):
            st.button(
                f"Next: {STEPS[number].name[0].lower()}{STEPS[number].name[1:]} →",
                key=f"start-next-{number}",
                type="primary",
                on_click=next_step,
            )
            return
        if st.button("Go on: every text at every cut →", key="start-on", type="primary"):
            st.switch_page("app_pages/recall.py")

    return draw
