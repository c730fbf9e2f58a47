"""Method: formulas and conventions, as the engine's own text tells them."""

from __future__ import annotations

import streamlit as st

from dashboard import loading

with st.container(width=860):
    st.markdown((loading.ROOT / "core" / "README.md").read_text(encoding="utf-8"))
