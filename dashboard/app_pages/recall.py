"""Recall: move the threshold and watch memorized text break while abilities stay."""

from __future__ import annotations

from dashboard import recall_sections, state

view = state.view()
recall_sections.story(view)
recall_sections.texts(view)
recall_sections.own_prompt(view)
recall_sections.controls(view)
recall_sections.repeats_and_share(view)
recall_sections.full_curves(view)
