"""Work that takes longer than a run of a page: in a thread beside it, with progress and cancel.

    jobs.start("own", work)     work(progress) -> result; from a button or in the run
    jobs.follow("own")          while it runs: how far, how long still, a button that ends it
    jobs.of("own")              the running or last job of this kind: its state, its result

A thread and not a process of its own (as a study in the making is): it works on the models that
this server has loaded, and a second copy of them may not fit. PyTorch lets other threads run while
it computes. (Its priority stays that of the pages: a thread of a lower one that holds Python's lock
would keep them waiting.) One job a session; those of several visitors take turns. The function
`progress(done, total, said)` raises `CancelledError` once the visitor cancels or is gone, so work
that tells its progress often ends soon.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

import streamlit as st

from core.errors import HillshadeError
from dashboard.escape import plain

T = TypeVar("T")

LOOK = 0.2  # seconds between two looks whether a waiting job was cancelled or may begin
_JOBS = "hillshade_jobs"
_log = logging.getLogger(__name__)
# Two jobs at once on a small machine are slower than one after the other.
_turn = threading.Lock()


class CancelledError(Exception):
    """The visitor wants no result any more; raised by `progress` and let through by the work."""


class Progress(Protocol):
    """How the work tells where it stands; raises CancelledError when it shall end."""

    def __call__(self, done: int, total: int, said: object = "") -> None: ...


@dataclass(frozen=True)
class State(Generic[T]):
    """Where a job stands.

    said, share, left  what it does, how much is done (0..1), seconds left at its mean speed so far
    result, error      what it ended with: the work's result, or a sentence
    """

    said: str = "Waiting for another job on this server"
    share: float | None = None
    left: float | None = None
    result: T | None = None
    error: str | None = None
    cancelled: bool = False
    ended: bool = False

    @property
    def running(self) -> bool:
        return not self.ended


@dataclass
class _Record(Generic[T]):
    """What the thread and the visitor share; assigned whole, so no lock is needed."""

    state: State[T] = field(default_factory=State)
    stop: threading.Event = field(default_factory=threading.Event)


class Job(Generic[T]):
    """One piece of work; it is cancelled when nobody holds it any more."""

    def __init__(self, work: Callable[[Progress], T]) -> None:
        record: _Record[T] = _Record()
        self._record = record
        self._thread = threading.Thread(target=_run, args=(record, work), daemon=True)
        self._thread.start()
        weakref.finalize(self, record.stop.set)

    @property
    def state(self) -> State[T]:
        return self._record.state

    def cancel(self) -> None:
        """Ask the work to end; its state says when it has."""
        self._record.stop.set()

    def wait(self, seconds: float | None = None) -> State[T]:
        """Wait until the job has ended, at most so long."""
        self._thread.join(seconds)
        return self.state


def _run(record: _Record[T], work: Callable[[Progress], T]) -> None:
    try:
        while not _turn.acquire(timeout=LOOK):
            _heed(record)
        try:
            _heed(record)
            result = work(_progress(record))
        finally:
            _turn.release()
        record.state = replace(record.state, result=result, share=1.0, ended=True)
    except CancelledError:
        record.state = replace(record.state, cancelled=True, ended=True)
    except HillshadeError as error:
        record.state = replace(record.state, error=str(error), ended=True)
    except Exception as error:  # a visitor sees a sentence, the server's log the rest
        _log.exception("A job failed.")
        record.state = replace(
            record.state,
            error=f"This could not be computed ({type(error).__name__}: {error}); the server's log "
            "says more.",
            ended=True,
        )


def _progress(record: _Record[T]) -> Progress:
    began = time.monotonic()
    record.state = replace(record.state, said="Starting")

    def progress(done: int, total: int, said: object = "") -> None:
        _heed(record)
        spent = time.monotonic() - began
        record.state = replace(
            record.state,
            said=str(said) or record.state.said,
            share=done / total if total else None,
            left=spent / done * (total - done) if done else None,
        )

    return progress


def _heed(record: _Record[T]) -> None:
    if record.stop.is_set():
        raise CancelledError


# -- in a session ---------------------------------------------------------------------------------


def start(kind: str, work: Callable[[Progress], Any]) -> None:
    """Begin a job, in place of the last one of its kind; nothing happens while one is running."""
    if busy() is None:
        _jobs()[kind] = Job(work)


def of(kind: str) -> Job[Any] | None:
    """The running or last job of this kind in this session, until it is dismissed."""
    return _jobs().get(kind)


def busy() -> str | None:
    """The kind of the job that is running in this session."""
    return next((kind for kind, job in _jobs().items() if job.state.running), None)


def dismiss(kind: str) -> None:
    """Forget a job that has ended."""
    job = of(kind)
    if job is not None and not job.state.running:
        del _jobs()[kind]


def follow(kind: str) -> None:
    """How far a running job is, and a button that cancels it; the page runs anew when it ends."""
    job = of(kind)
    if job is not None and job.state.running:
        _follow(kind)


def found(kind: str) -> Any:
    """What a job of this kind has found; why it found nothing is said. None without any result."""
    job = of(kind)
    if job is None or job.state.running:
        return None
    if job.state.error is not None:
        st.error(plain(job.state.error))
    elif job.state.cancelled:
        st.info("Cancelled; nothing was kept.")
    return job.state.result


@st.fragment(run_every=0.5)
def _follow(kind: str) -> None:
    job = of(kind)
    if job is None or not job.state.running:
        st.rerun()
    state = job.state
    st.progress(state.share or 0.0, progress_line(state.said, state.share, state.left))
    st.button("Cancel", key=f"cancel-{kind}", on_click=job.cancel)


def progress_line(said: str, share: float | None, left: float | None) -> str:
    """What stands on a progress bar: "Sweep 40 %, 3 min left"."""
    done = "" if share is None else f" {100 * share:.0f} %"
    if left is None:
        return f"{said}{done}"
    return f"{said}{done}, {f'{left:.0f} s' if left < 90 else f'{left / 60:.0f} min'} left"


def _jobs() -> dict[str, Job[Any]]:
    jobs: dict[str, Job[Any]] = st.session_state.setdefault(_JOBS, {})
    return jobs
