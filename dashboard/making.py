"""A study made from the page: a process of its own, so that other visitors never wait for it.

`hillshade collect --json` runs as a child and tells its progress in lines; a thread reads them.
There is one such job on a server, whoever started it, and any visitor sees it. Cancelling ends the
child, which removes what it has half-written; if it does not end in time, that is done here.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from core.errors import HillshadeError
from core.manifest import FILES
from core.places import discard
from core.request import Request

PATIENCE = 8.0  # seconds for a cancelled child to end by itself
NICENESS = 10  # pages come first
# How far a study is when a part begins, by the clock of a typical one; the sweep is the longest.
PARTS = {
    "loading the model": 0.0,
    "reading the text": 0.03,
    "reading the images": 0.03,
    "the unedited model": 0.05,
    "factors": 0.06,
    "eigendecompositions": 0.35,
    "choosing projections": 0.45,
    "sweep": 0.7,
    "writing": 0.98,
}


@dataclass(frozen=True)
class State:
    """Where a job stands.

    part, share, left  what it does, how much of this part is done (0..1), seconds left of it
    study     the finished study
    error     the sentence it ended with
    """

    part: str = "starting"
    share: float | None = None
    left: float | None = None
    study: Path | None = None
    error: str | None = None
    cancelled: bool = False

    @property
    def running(self) -> bool:
        return self.study is None and self.error is None and not self.cancelled

    @property
    def overall(self) -> float:
        """How much of the whole is done, 0..1, by the place of its part."""
        if self.part not in PARTS:
            return 0.0
        begin = PARTS[self.part]
        end = min((value for value in PARTS.values() if value > begin), default=1.0)
        return begin + (end - begin) * (self.share or 0.0)


class Job:
    """One running or finished child."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.began = time.monotonic()
        self.state = State()
        self._said: deque[str] = deque(maxlen=100)  # what it says beside its progress
        self._cancelled = False
        self._child = subprocess.Popen(
            [sys.executable, "-m", "core.cli", *shlex.split(request.command)[1:], "--json"],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # progress and errors there, the result on the other
            text=True,
            errors="replace",
        )
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, self._child.pid, NICENESS)
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def cancel(self) -> None:
        """End the child and remove what it left; returns when both are done."""
        self._cancelled = True
        self._child.terminate()
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self.wait()

    def wait(self, seconds: float | None = None) -> State:
        """Wait until the job has ended, at most so long."""
        self._reader.join(seconds)
        return self.state

    def _follow(self) -> None:
        study: Path | None = None
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                try:
                    entry = dict(json.loads(line))
                except (TypeError, ValueError):
                    self._said.append(line.strip())  # of a library, or its last sentence
                    continue
                if "study" in entry:
                    study = Path(entry["study"])
                elif "part" in entry:
                    done, total = entry["done"], entry["total"]
                    share = done / total if done is not None and total else None
                    self.state = State(entry["part"], share, entry["left"])
        code = self._child.wait()
        if study is not None and code == 0:
            self.state = State(self.state.part, study=study)
            return
        with contextlib.suppress(HillshadeError):  # what is not the child's stays
            discard(self.request.out, FILES)
        if self._cancelled:
            shutil.rmtree(self.request.checkpoint, ignore_errors=True)
            self.state = State(self.state.part, cancelled=True)
        else:
            self.state = State(self.state.part, error=self._sentence(code))

    def _sentence(self, code: int) -> str:
        lines = [line for line in self._said if line]
        if code == 1 and lines and lines[-1].endswith(".") and "Traceback" not in "".join(lines):
            return lines[-1]
        how = "was ended by the system, which may have run out of memory" if code < 0 else "failed"
        last = f" ({lines[-1]})" if lines else ""
        return f"The collection {how}{last}; try it on fewer layers, or run the command by hand."


class Maker:
    """The one job of this server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._job: Job | None = None
        atexit.register(self.close)

    @property
    def job(self) -> Job | None:
        """The running or last job, until it is dismissed."""
        return self._job

    def start(self, request: Request) -> Job:
        """Start a job, unless one is running: then that one is returned."""
        with self._lock:
            if self._job is None or not self._job.state.running:
                self._job = Job(request)
            return self._job

    def dismiss(self) -> None:
        """Forget a job that has ended."""
        with self._lock:
            if self._job is not None and not self._job.state.running:
                self._job = None

    def close(self) -> None:
        """End what is running and forget it; the server ends."""
        if self._job is not None and self._job.state.running:
            self._job.cancel()
        self._job = None


maker = Maker()
