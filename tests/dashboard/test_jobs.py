"""Jobs beside the pages: progress, one at a time, cancelling, and every way to end."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import HillshadeError
from dashboard import jobs
from dashboard.jobs import Job, Progress


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def endless(progress: Progress) -> None:
    for done in range(10**9):
        progress(done, 10**9, "Counting")
        time.sleep(0.005)


def test_a_job_tells_its_progress_and_its_result() -> None:
    go, told = threading.Event(), threading.Event()

    def work(progress: Progress) -> str:
        progress(1, 4, "Halving")
        told.set()
        assert go.wait(20)
        return "done"

    job = Job(work)
    assert told.wait(20)
    state = job.state
    assert (state.running, state.said, state.share) == (True, "Halving", 0.25)
    assert state.left is not None and state.left >= 0.0
    assert jobs.progress_line("Halving", 0.25, 150.0) == "Halving 25 %, 2 min left"
    go.set()
    ended = job.wait(20)
    assert (ended.running, ended.result, ended.error) == (False, "done", None)


def test_jobs_take_turns_and_a_waiting_one_can_be_cancelled() -> None:
    first, ran = Job(endless), threading.Event()
    until(lambda: first.state.said == "Counting")
    second: Job[None] = Job(lambda progress: ran.set())
    assert "another job" in second.state.said
    second.cancel()
    assert second.wait(20).cancelled and not ran.is_set()
    third: Job[str] = Job(lambda progress: "mine")
    first.cancel()
    assert first.wait(20).cancelled
    assert third.wait(20).result == "mine"


def test_a_job_ends_when_its_visitor_is_gone() -> None:
    held = [Job(endless)]
    until(lambda: held[0].state.said == "Counting")
    thread = held[0]._thread
    held.clear()
    gc.collect()
    thread.join(20)
    assert not thread.is_alive()


def test_a_fault_ends_in_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(progress: Progress) -> None:
        raise HillshadeError("The list is empty; paste a line.")

    def fail(progress: Progress) -> None:
        raise ZeroDivisionError("by zero")

    assert Job(refuse).wait(20).error == "The list is empty; paste a line."
    with caplog.at_level(logging.ERROR):
        ended = Job(fail).wait(20)
    assert ended.error is not None and "ZeroDivisionError: by zero" in ended.error
    assert "test_jobs.py" in caplog.text  # the log says where


def _page() -> None:
    import streamlit as st

    from dashboard import jobs
    from tests.dashboard.test_jobs import endless

    st.button("Go", on_click=jobs.start, args=("one", endless))
    st.button("Go too", on_click=jobs.start, args=("two", endless))
    jobs.follow("one")
    st.text(f"{jobs.busy()} {jobs.of('two')}")
    if (job := jobs.of("one")) is not None and job.state.cancelled:
        st.button("Dismiss", on_click=jobs.dismiss, args=("one",))


def test_a_page_shows_its_job_and_starts_no_second_one() -> None:
    at = AppTest.from_function(_page, default_timeout=20)
    at.run()
    assert at.text[0].value == "None None" and len(at.button) == 2
    at.button[0].click().run()
    at.button[1].click().run()
    assert at.text[0].value == "one None"
    job = at.session_state["hillshade_jobs"]["one"]
    at.button(key="cancel-one").click().run()
    assert job.wait(20).cancelled
    at.run()
    assert at.text[0].value == "None None"
    at.button[2].click().run()
    assert not at.session_state["hillshade_jobs"] and not at.exception
