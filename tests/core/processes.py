"""What the tests of interrupted and shared collections run in processes of their own."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

import torch

# Imports torch and transformers once, in a process of one thread, and forks all others from it.
CONTEXT: Any = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["tests.core.processes", "tests.tiny", "core.basis", "torch.distributed.fsdp", "pytest"]
)


def begin(task: Callable[..., None], *arguments: object) -> tuple[BaseProcess, Connection]:
    """A process that runs ``task(connection, *arguments)``, and this end of the connection."""
    here, there = CONTEXT.Pipe()
    process: BaseProcess = CONTEXT.Process(target=_run, args=(task, there, *arguments), daemon=True)
    # Tests of the dashboard leave its app as the main module, which a new process would run.
    left, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        process.start()
    finally:
        sys.modules["__main__"] = left
    there.close()
    return process, here


def together(task: Callable[..., object], size: int, *arguments: object) -> Sequence[Any]:
    """What ``task(*arguments)`` returns in each of `size` processes, as torchrun has them."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    begun = [begin(_rank, rank, size, port, task, *arguments) for rank in range(size)]
    said = [connection.recv() for _, connection in begun]
    for process, _ in begun:
        process.join(60)
        assert process.exitcode == 0
    return said


def _run(task: Callable[..., None], there: Connection, *arguments: object) -> None:
    torch.set_num_threads(1)  # how a product is split decides its bits
    task(there, *arguments)


def _rank(
    there: Connection,
    rank: int,
    size: int,
    port: int,
    task: Callable[..., object],
    *arguments: object,
) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    there.send(task(*arguments))
