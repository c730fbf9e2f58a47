"""Folders that are there whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.places import replace_folder, scratch


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which at the end takes the place of ``folder``.

    What lay there before stays until then, and for good where filling fails.
    """
    with scratch(folder) as beside:
        part = beside / folder.name
        part.mkdir()
        yield part
        replace_folder(part, folder)
