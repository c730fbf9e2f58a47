"""The residual audit on the Recall page: what a stored audit found at one setting."""

from __future__ import annotations

import streamlit as st

from dashboard import blocks
from dashboard.escape import plain
from dashboard.figures import audit, draw_estimates
from dashboard.figures.words import setting
from dashboard.state import View

AUDITED = "kfac"  # the recipe whose chosen setting a study audits


def show(view: View) -> None:
    """Its sentence and its charts; nothing without an audit, or of another edit."""
    found = view.study.audit
    if found is None or view.recipe.id != AUDITED:
        return
    with blocks.understood("audit.json"):
        st.header("Residual audit: what is left", anchor="audit")
        blocks.finding(found["sentence"], "audit")
        st.caption(
            f"{_where(view)} Audited: {plain(str(found['about']))}; strings of the reporting half."
        )
        left, right = st.columns(2, gap="large")
        ways, training = audit.ways(found), audit.relearning(found)
        with left:
            blocks.figure(ways, draw_estimates.forest(ways, view.theme), ways.table())
        canaries = audit.canaries(found)
        with right:
            blocks.figure(training, draw_estimates.lines(training, view.theme), training.table())
            if canaries is not None:
                drawing = draw_estimates.forest(canaries, view.theme)
                blocks.figure(canaries, drawing, canaries.table())


def _where(view: View) -> str:
    """At which setting it was made, and that the slider does not move it."""
    chosen = view.recipe.chosen
    if chosen is None:
        return "Made once, at one setting: the slider does not move it."
    there = "" if view.tick == chosen else ", which is not where the slider stands now"
    return (
        f"Made once, at the chosen setting of {setting(view.recipe.ticks[chosen])} kept{there}: "
        "the slider does not move it."
    )
