"""The one place that opens a pickled file, run as a process of its own: ``-m core.unpickle``.

    python -I -m core.unpickle FILE.pt OUT.safetensors

Reads with ``weights_only``, which builds nothing but tensors and plain containers and refuses any
other class or function, and writes what it read as safetensors, nested names joined by a slash.
Nothing else of this program unpickles (`core.foreign` starts this and reads the result).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

REFUSED = 3  # exit code of a file that is no plain tensors


def main(source: str, target: str) -> int:
    """Convert the file; the exit code, and on standard error why it is not 0."""
    import torch
    from safetensors.torch import save_file

    try:
        found = torch.load(source, map_location="cpu", weights_only=True)  # noqa: TID251
        tensors = dict(_flat(found))
    except Exception as error:  # whatever a hostile file raises
        print(type(error).__name__, file=sys.stderr)
        return REFUSED
    for name, tensor in tensors.items():
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            print(f"{name} is larger than its data", file=sys.stderr)  # a few bytes, expanded
            return REFUSED
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, target)
    return 0


def _flat(found: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor and number by its path; what is neither is left out."""
    import torch

    if isinstance(found, dict):
        for key, value in found.items():
            yield from _flat(value, f"{name}/{key}" if name else str(key))
    elif isinstance(found, torch.Tensor):
        yield name or "value", found
    elif isinstance(found, int | float):
        yield name or "value", torch.tensor(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
