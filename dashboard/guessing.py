"""A guess before the numbers: the question, the button that shows them, and both side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from dashboard.escape import plain
from dashboard.figures.answers import Answer, Question, compared
from dashboard.loading import study_key
from dashboard.state import View

_GUESSES = "hillshade_guesses"


@dataclass(frozen=True)
class Place:
    """Where a step of the tour is drawn: the view, its number, and what draws the way on."""

    view: View
    number: int
    onward: Callable[[], None]

    @property
    def key(self) -> str:
        """Names this step's guess; another study is guessed anew."""
        return f"{study_key(self.view.study)} {self.number}"


def guessed(place: Place, question: Question) -> str | None:
    """The guess that was made at this step; None before it."""
    guess = st.session_state.setdefault(_GUESSES, {}).get(place.key)
    return guess if guess in question.options else None


def ask(place: Place, question: Question) -> None:
    """The question, its options, and a button that works once one of them is picked."""
    picked = st.radio(
        plain(question.text),
        list(question.options),
        index=None,
        format_func=lambda key: plain(question.options[key]),
        key=f"guess-{place.number}",
        persist_state="session",
    )

    def made() -> None:
        st.session_state[_GUESSES][place.key] = picked

    st.button(
        "Show me",
        key=f"reveal-{place.number}",
        type="primary",
        on_click=made,
        disabled=picked not in question.options,
    )
    if picked is None:
        st.caption("Guess first; nothing is counted.")


def step(place: Place, question: Question, before: str, answer: Callable[[], Answer]) -> None:
    """What is said before the guess with the question; after it the answer."""
    if guessed(place, question) is not None:
        tell(place, question, answer())
    else:
        st.markdown(before)
        ask(place, question)


def tell(place: Place, question: Question, answer: Answer) -> None:
    """What was seen, beside the guess, and the way on."""
    guess = guessed(place, question)
    if guess is not None:
        st.markdown(f"#### {plain(compared(question, answer, guess))}")
    st.markdown(plain(answer.said))
    place.onward()
