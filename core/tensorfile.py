"""Tensors and their description in one safetensors file, never half-written, never pickled."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.errors import HillshadeError


def save(path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write `tensors` and the JSON `header` beside `path` and rename, so no reader sees a part."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    metadata = {"header": json.dumps(header, sort_keys=True)}
    try:
        save_file({name: t.contiguous() for name, t in tensors.items()}, part, metadata)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header of a file that `save` wrote with ``header["kind"] == kind``.

    Raises HillshadeError when the file is missing, truncated or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("header", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise HillshadeError(f"There is no file {path}; check the path.") from error
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise HillshadeError(
            f"{path} is damaged or cut short ({error}); copy or make it again."
        ) from error
    if not isinstance(header, dict) or header.get("kind") != kind:
        raise HillshadeError(f"{path} does not hold {kind}; give a file of that kind.")
    return tensors, header


@contextmanager
def understood(path: str | Path) -> Iterator[None]:
    """Inside, what `load` gave is taken apart; HillshadeError where it is not what was written."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        raise HillshadeError(
            f"{path} lacks a part or holds one of another form ({error}); copy or make it again."
        ) from error
