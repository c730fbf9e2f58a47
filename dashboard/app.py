"""Hillshade's dashboard: `streamlit run dashboard/app.py`, or `hillshade dashboard`."""

from __future__ import annotations

import streamlit as st

from core.errors import HillshadeError
from dashboard import address, bar, glossary, loading, notices, present, state, style
from dashboard.components import scrubber
from dashboard.escape import plain

NO_THRESHOLD = ("Method",)  # pages that are read, not scrubbed
STUDY_ONLY = ("Start",)  # pages of one study that choose its threshold, or need none
OF_IMAGES = ("Vision",)  # pages of a study of images
OF_ANY_STUDY = ("Studies",)  # pages that show an unfit study too, and say what is wrong with it

st.set_page_config(page_title="Hillshade", page_icon="⛰️", layout="wide")

page = st.navigation(
    [
        st.Page("app_pages/start.py", title="Start", default=True),
        st.Page("app_pages/spectrum.py", title="Spectrum", url_path="spectrum"),
        st.Page("app_pages/examples.py", title="Examples", url_path="examples"),
        st.Page("app_pages/landscape.py", title="Landscape", url_path="landscape"),
        st.Page("app_pages/recall.py", title="Recall", url_path="recall"),
        st.Page("app_pages/vision.py", title="Vision", url_path="vision"),
        st.Page("app_pages/studies.py", title="Studies", url_path="studies"),
        st.Page("app_pages/method.py", title="Method", url_path="method"),
    ],
    position="top",
)
style.apply()
scrubber.theme(state.theme())
notices.begin()
address.begin(page.title)
present.apply()

try:
    if page.title in STUDY_ONLY:
        bar.show_study_only()
    elif page.title not in NO_THRESHOLD:
        bar.show(page.title in OF_IMAGES)
except HillshadeError as error:
    if page.title in OF_ANY_STUDY:
        page.run()
        present.way()
        address.flush()
        st.stop()
    st.title("No study to show")
    st.error(plain(str(error)))
    st.markdown(
        "The dashboard shows stored studies. Put one at `assets/language/study`, or name its "
        f"folder in the environment variable `{loading.ENVIRONMENT}` before you start it. "
        "`hillshade demo` makes the shipped one again. The page Studies says what is wrong with "
        "this one, opens another, and makes one of your own."
    )
else:
    glossary.show(glossary.WORDS.get(page.title, ()))
    page.run()
    present.way()
    address.flush()
