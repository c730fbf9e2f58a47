"""Studies: open one and judge it, make one of your own, take results along."""

from __future__ import annotations

import streamlit as st

from core.errors import HillshadeError
from dashboard import loading, making_sections, state, studies_sections

path = loading.available()[st.session_state["study"]]
try:
    loading.open_study(path)
except HillshadeError:
    view = None
else:
    view = state.view()
st.title("Studies", anchor=False)
studies_sections.report(path, view)
if view is not None:
    studies_sections.take_along(view)
studies_sections.open_another()
making_sections.show()
