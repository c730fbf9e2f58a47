"""Files that commands write: refused beforehand where they cannot lie, complete or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import HillshadeError


def require_new_file(path: Path, *endings: str) -> None:
    """HillshadeError where the file is there already, has another ending, or cannot be made."""
    if path.suffix not in endings:
        raise HillshadeError(f"Name {path} with the ending {' or '.join(endings)}.")
    if path.exists():
        raise HillshadeError(f"{path} already exists; name a file that does not.")
    require_folder_for(path)


def require_folder_for(path: Path) -> None:
    """HillshadeError unless the folder that `path` is to lie in is there and may be written to."""
    folder = path.resolve().parent
    if not folder.is_dir():
        raise HillshadeError(f"There is no folder {path.parent}; make it, or write elsewhere.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise HillshadeError(f"The folder {path.parent} may not be written to; write elsewhere.")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within, what the disk refuses becomes a HillshadeError that names `path`."""
    from safetensors import SafetensorError  # its writer raises no OSError

    try:
        yield
    except (OSError, SafetensorError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise HillshadeError(
            f"{path} cannot be written ({why}); make room there, or choose another place."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write beside its place and rename, so that no half of it is ever read."""
    part = path.with_name(path.name + ".part")
    with writing(path):
        try:
            part.write_text(text, encoding="utf-8")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
