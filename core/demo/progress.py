"""The parts of a long build: what is going on, how long it will take, how long it took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


class Parts:
    """Prints each part of the build with its progress, and keeps the seconds it took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[Callable[..., None]]:
        """Within, call the yielded function with (done, total, label) to show progress."""
        began = time.monotonic()
        with tqdm(desc=name, mininterval=5, unit="", dynamic_ncols=True) as bar:

            def show(done: int, total: int, label: object = "") -> None:
                bar.total = total
                bar.set_postfix_str(f"{label:.3f}" if isinstance(label, float) else str(label))
                bar.update(done - bar.n)

            yield show
        self.seconds[name] = time.monotonic() - began
        print(f"{name}: {self.seconds[name]:.0f} s", flush=True)
