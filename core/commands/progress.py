"""Progress of a long command as lines of JSON, for programs that started it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class JsonParts:
    """Prints a line when a part begins, a few a second while it runs, and one when it ends.

    {"part": "factors", "done": 12, "total": 64, "seconds": 3.1, "left": 13.4}; ``left``, seconds of
    this part at its mean speed so far, is null until something is done.
    """

    _EVERY = 0.25  # seconds

    @contextmanager
    def part(self, name: str) -> Iterator[Callable[..., None]]:
        """Within, call the yielded function with (done, total, label) to show progress."""
        began = time.monotonic()
        told = began - self._EVERY

        def show(done: int, total: int, label: object = "") -> None:
            nonlocal told
            now = time.monotonic()
            if now - told < self._EVERY and done < total:
                return
            told, spent = now, now - began
            left = spent / done * (total - done) if done else None
            say(part=name, done=done, total=total, seconds=round(spent, 2), left=left)

        say(part=name, done=0, total=None, seconds=0.0, left=None)
        yield show
        say(part=name, done=None, total=None, seconds=round(time.monotonic() - began, 2), left=0.0)


def say(**entry: Any) -> None:
    """One line of JSON on standard output, at once."""
    print(json.dumps(entry), flush=True)
