"""Cut a new slice: choose directions and texts, see what it takes, follow it, look at it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.errors import HillshadeError
from dashboard import cutting, jobs
from dashboard.cutting import JOB, Cut, Order
from dashboard.escape import plain
from dashboard.figures.spectrum import in_order, short
from dashboard.figures.words import count, setting
from dashboard.landscape_sections import draw_line, draw_plane, note_of
from dashboard.loading import study_key
from dashboard.state import View

if TYPE_CHECKING:
    from core.landscape.spec import RaySpec

_KINDS: dict[str, str] = {
    "spike": "Own spike of a string",
    "eigendirection": "Eigendirection (i, j)",
    "band": "Band of ranks",
    "random": "Random direction",
    "edit": "The edit in view",
}
_REACHES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_SIDES = {1: (5, 61, 21), 2: (3, 25, 11)}  # least, most and usual points by number of directions
_FORECAST = "hillshade_slice_forecast"


def show(view: View) -> None:
    """The form and the estimate, the job while it runs, and the last slice."""
    st.header("Cut a new slice", anchor="cut")
    if not view.study.has_heavy:
        st.info(
            "This study came without its eigenvectors, so no slice can be cut here; the stored "
            "ones are complete."
        )
        return
    st.caption(
        "Choose directions and texts. The slice is computed on this server beside the pages, on "
        "the study's own model, whose weights stay as they are. What you paste stays in your "
        "session."
    )
    order = _order(view)
    running = jobs.busy() is not None
    if st.button("Estimate what it takes", key="slice-estimate", disabled=running or order is None):
        _forecast(view, order)
    known = st.session_state.get(_FORECAST)
    if known is not None and order is not None and known[0] == order:
        low, high = known[1]
        st.markdown(
            f"{count(order.grid)} grid points: about {_time(low)} to {_time(high)} on this server, "
            "loading the model included the first time."
        )
        st.button(
            "Cut the slice",
            type="primary",
            key="slice-start",
            disabled=running,
            on_click=jobs.start,
            args=(JOB, partial(cutting.cut, view.study, order)),
        )
    _job(view)


def _time(seconds: float) -> str:
    return f"{max(seconds, 1.0):.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _forecast(view: View, order: Order | None) -> None:
    if order is None:
        return
    try:
        with st.spinner("Counting operations and measuring this machine …"):
            st.session_state[_FORECAST] = (order, cutting.estimate(view.study, order))
    except HillshadeError as error:
        st.session_state.pop(_FORECAST, None)
        st.error(plain(str(error)))


def _job(view: View) -> None:
    jobs.follow(JOB)
    made = jobs.found(JOB)
    if isinstance(made, Cut) and made.study == study_key(view.study):
        _result(view, made)


def _result(view: View, made: Cut) -> None:
    st.subheader("Your slice", anchor=False)
    if len(made.order.wanted) == 1:
        draw_line(view, made.told, "own-walk")
        return
    memorized = [item.id for item in cutting.strings(view.study)]
    draw_plane(view, made.told, memorized, "own")


# -- what is asked for -----------------------------------------------------------------------------


def _order(view: View) -> Order | None:
    """The order as the form says it; None, and a sentence, where it says none."""
    two = st.segmented_control(
        "Directions", ("One direction", "Two directions"), default="One direction",
        key="slice-axes", required=True, persist_state="session", label_visibility="collapsed",
    ) == "Two directions"  # fmt: skip
    places = st.columns(2, gap="large")
    try:
        wanted = tuple(
            _wanted(view, number, place) for number, place in enumerate(places[: 1 + two])
        )
    except HillshadeError as error:
        st.error(plain(str(error)))
        return None
    left, middle, right = st.columns([1, 1, 1.4], gap="large")
    least, most, usual = _SIDES[len(wanted)]
    with left:
        reach = st.select_slider(
            "How far (‖W‖ to either side; an edit goes from −0.5 to 1.5 of itself)", _REACHES, 0.2,
            key="slice-reach", persist_state="session",
        )  # fmt: skip
    with middle:
        points = st.number_input(
            "Points a side" if two else "Points", least, most, usual, 2,
            key=f"slice-points-{len(wanted)}", persist_state="session",
        )  # fmt: skip
        many = st.number_input(
            "Texts of each kind", 1, 48, 16, key="slice-most", persist_state="session"
        )
    with right:
        offered = cutting.kinds_of(view.study)
        kinds = (
            st.segmented_control(
                "Texts of the study", offered, selection_mode="multi", default=offered,
                key="slice-kinds", persist_state="session",
            )
            if offered
            else []
        )  # fmt: skip
        pasted = st.text_area(
            "Texts of your own, one a line", key="slice-pasted", height=88,
            placeholder="Optional", persist_state="session",
        )  # fmt: skip
    return Order(wanted, float(reach), int(points), tuple(kinds or ()), int(many), pasted or "")


def _wanted(view: View, number: int, place: Any) -> RaySpec:
    from core.landscape.spec import RaySpec

    known = cutting.strings(view.study)
    kinds = [kind for kind in _KINDS if kind != "spike" or known]
    key = f"slice-{number}"
    with place:
        kind = st.selectbox(
            f"{('First', 'Second')[number]} direction", kinds, min(number, len(kinds) - 1),
            format_func=_KINDS.__getitem__, key=f"{key}-kind", persist_state="session",
        )  # fmt: skip
        if kind == "edit":
            st.caption(
                f"{plain(view.recipe.title)} at {setting(view.setting)}, as the slider stands."
            )
            if view.tick == 0:
                raise HillshadeError("Nothing is cut where the slider stands; move it first.")
            return RaySpec("edit", recipe=view.recipe.id, setting=view.setting)
        names = in_order(view.study.spectra())
        projection = st.selectbox(
            "Projection", names, names.index(view.projection), format_func=_capital,
            key=f"{key}-projection", persist_state="session",
        )  # fmt: skip
        if kind == "spike":
            ids = [item.id for item in known]
            item = st.selectbox(
                "String", ids, min(number, len(ids) - 1),
                format_func=lambda name: note_of(view, name), key=f"{key}-item",
                persist_state="session",
            )  # fmt: skip
            return RaySpec("spike", projection, item=item)
        if kind == "random":
            return RaySpec("random", projection, seed=_whole("Seed", f"{key}-seed", 0, 9999, 0))
        lam, mu = view.study.spectra()[projection]
        first, second = st.columns(2)
        if kind == "eigendirection":
            with first:
                i = _whole("i (of G, 1 is the sharpest)", f"{key}-i", 1, len(lam), 1)
            with second:
                j = _whole("j (of A)", f"{key}-j", 1, len(mu), 1)
            return RaySpec("eigendirection", projection, i=i - 1, j=j - 1)
        with first:
            start = _whole("From rank", f"{key}-start", 1, len(lam) * len(mu), 1)
        with second:
            stop = _whole("To rank", f"{key}-stop", 1, len(lam) * len(mu), 100)
        if start > stop:
            raise HillshadeError("The band ends before it begins; choose a later last rank.")
        return RaySpec("band", projection, start=start - 1, stop=stop)


def _capital(name: str) -> str:
    return short(name).capitalize()


def _whole(label: str, key: str, least: int, most: int, usual: int) -> int:
    value = st.number_input(label, least, most, min(usual, most), key=key, persist_state="session")
    return int(value)
