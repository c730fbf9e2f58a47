"""Hillshade's dashboard: `streamlit run dashboard/app.py`, or `hillshade dashboard`."""

from __future__ import annotations

import streamlit as st

from core.errors import HillshadeError
from dashboard import bar, loading, style

st.set_page_config(page_title="Hillshade", page_icon="⛰️", layout="wide")

page = st.navigation(
    [
        st.Page("app_pages/recall.py", title="Recall", default=True),
        st.Page("app_pages/spectrum.py", title="Spectrum", url_path="spectrum"),
    ],
    position="top",
)
style.apply()

try:
    bar.show(page.title)
except HillshadeError as error:
    st.title("No study to show")
    st.error(str(error))
    st.markdown(
        "The dashboard shows stored studies. Put one at `assets/language/study`, or name its "
        f"folder in the environment variable `{loading.ENVIRONMENT}` before you start it. "
        "`hillshade demo` makes the shipped one again."
    )
else:
    page.run()
