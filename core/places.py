"""Files that commands write: refused beforehand where they cannot lie, complete or not there."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
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


@contextmanager
def half_written(path: Path, files: Collection[str]) -> Iterator[Path]:
    """The folder ``<path>.part``, to be filled with `files` and renamed to `path`; else it goes.

    It is locked meanwhile. What a killed run left there goes first (`discard`).
    """
    discard(path, files)
    part = part_of(path)
    part.mkdir(parents=True)
    try:
        with _locked(part):
            yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def part_of(path: Path) -> Path:
    """Where `path` lies while it is half-written."""
    return path.with_name(path.name + ".part")


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A folder that goes at the end, on the disk of `path`; no other run has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        yield Path(folder)


def replace_folder(new: Path, path: Path) -> None:
    """Rename `new` to `path`; what lay there is kept until that has happened."""
    with scratch(path) as aside:
        before = aside / path.name
        if path.exists():
            path.rename(before)
        try:
            new.rename(path)
        except OSError:
            if before.exists():
                before.rename(path)
            raise


def discard(path: Path, files: Collection[str]) -> None:
    """Delete what a killed run left half-written of `path`, a folder of `files`.

    Raises HillshadeError where something else lies there, and while another run is writing it.
    """
    part = part_of(path)
    if not part.exists():
        return
    if not part.is_dir() or not {file.name for file in part.iterdir()} <= set(files):
        raise HillshadeError(f"{part} is in the way and was not left by Hillshade; move it away.")
    try:
        with _locked(part):
            shutil.rmtree(part, ignore_errors=True)
    except BlockingIOError as error:
        raise HillshadeError(
            f"Another run is writing {part}; wait until it has ended, or choose another place."
        ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Within, the folder is this process's; BlockingIOError where it is another's."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however it ends
        yield
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write beside its place and rename, so that no half of it is ever read."""
    part = path.with_name(path.name + ".part")
    with writing(path):
        try:
            part.write_text(text, encoding="utf-8")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
