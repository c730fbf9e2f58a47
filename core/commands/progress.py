"""What a command says to programs: its result on standard output, progress on standard error.

With ``--json`` there is exactly one JSON document on standard output, the result; a command that
fails or is cancelled writes none (but `check`, whose result a fault is).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from core.survey import Stages


def stages(json_: bool) -> Stages:
    """Where a command tells its progress: bars for a person, lines of JSON for a program."""
    if json_:
        return JsonParts()
    from core.demo.progress import Parts

    return Parts()


class JsonParts:
    """Writes a line to standard error when a part begins, a few a second, and when it ends.

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
            _note(part=name, done=done, total=total, seconds=round(spent, 2), left=left)

        _note(part=name, done=0, total=None, seconds=0.0, left=None)
        yield show
        spent = round(time.monotonic() - began, 2)
        _note(part=name, done=None, total=None, seconds=spent, left=0.0)


def say(**result: Any) -> None:
    """The result of a command, the one JSON document on standard output."""
    print(json.dumps(result, allow_nan=False), flush=True)


def notice(sentence: str, json_: bool) -> None:
    """A sentence on standard error, beside the result: {"said": "…"} for a program."""
    if json_:
        _note(said=sentence)
    else:
        typer.echo(sentence, err=True)


def _note(**entry: Any) -> None:
    print(json.dumps(entry), file=sys.stderr, flush=True)
