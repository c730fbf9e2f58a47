"""Recall: move the threshold and watch memorized text break while abilities stay."""

from __future__ import annotations

import streamlit as st

from dashboard import audit_section, blocks, recall_sections, state
from dashboard.figures import draw_recall
from dashboard.figures.price import price

view = state.view()
if view.study.items.empty:
    st.info(
        "This study was made without memorized strings, so what the edit takes is not known; its "
        "price on text kept from the factors is. Run its command again with "
        "`--strings strings.jsonl`, and recall before and after the edit is shown here."
    )
    st.code(view.study.manifest.command, language=None, wrap_lines=True)
    priced = price(view.measured, view.recipe, view.tick)
    blocks.figure(priced, draw_recall.curves(priced, view.tick, view.theme), priced.table())
    recall_sections.own_prompt(view)
    recall_sections.own_list(view)
elif blocks.of_texts(view):
    recall_sections.story(view)
    recall_sections.texts(view)
    if blocks.painted():
        recall_sections.own_prompt(view)
        recall_sections.own_list(view)
        recall_sections.controls(view)
        recall_sections.repeats_and_share(view)
        recall_sections.full_curves(view)
        audit_section.show(view)
