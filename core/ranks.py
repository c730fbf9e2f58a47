"""Several processes that share one collection, as torchrun or accelerate launch start them.

    torchrun --nproc-per-node 8 -m core.cli collect MODEL --texts FILE --out FOLDER

Each process (rank) reads its share of the sequences into sums of its own. Each matrix is owned by
one rank: the sums are reduced to their owners, who decompose them; rank 0 receives and writes the
results. Between two reductions nobody waits for anybody. Processes talk by torch.distributed: gloo
on processors, NCCL between CUDA devices. (On processors accelerate launch starts one process unless
through MPI, however many it is asked for; torchrun starts them all.)
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Item = TypeVar("Item")
# Rank 0 works alone before and after the shared part. A process that ends takes the others with it
# (torchrun sees to that), so nobody waits so long for one that is gone.
_PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Ranks:
    """This process's number among `size` that work on the same collection."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that tells progress and writes."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This rank's items: every size-th, so that sorted ones weigh about the same everywhere."""
        return items[self.rank :: self.size]

    def owners(self, sides: Mapping[str, int]) -> dict[str, int]:
        """The rank that owns each matrix of side d; the costliest first, d³, to who has least."""
        load = [0] * self.size
        owners: dict[str, int] = {}
        for key in sorted(sides, key=lambda key: (-sides[key], key)):
            owners[key] = load.index(min(load))
            load[owners[key]] += sides[key] ** 3
        return owners

    def reduced(
        self, totals: dict[str, Tensor], sides: Mapping[str, int], like: Tensor
    ) -> dict[str, Tensor]:
        """Each sum over all ranks, where it is owned; empties `totals` one by one.

        A rank that read nothing has no totals: `like` gives its zeros dtype and device.
        """
        if self.size == 1:
            return totals
        found: dict[str, Tensor] = {}
        for key, owner in sorted(self.owners(sides).items()):
            total = totals.pop(key, None)
            if total is None:
                total = like.new_zeros(sides[key], sides[key])
            dist.reduce(total, owner)
            if owner == self.rank:
                found[key] = total
        return found

    def gathered(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All ranks' tensors on rank 0, on the CPU; elsewhere nothing. Names must not clash."""
        mine = {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}
        if self.size == 1:
            return mine
        kinds = {key: (list(t.shape), str(t.dtype)) for key, t in mine.items()}
        for rank, theirs in enumerate(self._told(kinds)):
            for key, (shape, dtype) in theirs.items() if rank else ():
                if self.rank == rank:
                    dist.send(mine[key], 0)
                elif self.leads:
                    kind: torch.dtype = getattr(torch, dtype.removeprefix("torch."))
                    mine[key] = torch.empty(shape, dtype=kind)
                    dist.recv(mine[key], rank)
        return mine if self.leads else {}

    def total(self, count: int) -> int:
        """The sum of every rank's count."""
        return count if self.size == 1 else sum(self._told(count))

    def any(self, flag: bool) -> bool:
        """Whether it is so on some rank."""
        return flag if self.size == 1 else any(self._told(flag))

    def least(self, value: int) -> int:
        """The smallest of every rank's value."""
        return value if self.size == 1 else min(self._told(value))

    def _told(self, value: Any) -> list[Any]:
        """What every rank says, in order. JSON, because torch's own way to send objects pickles."""
        text = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        lengths = [torch.zeros(1, dtype=torch.long) for _ in range(self.size)]
        dist.all_gather(lengths, torch.tensor([len(text)]))
        longest = max(map(int, lengths))
        rows = [torch.zeros(longest, dtype=torch.uint8) for _ in range(self.size)]
        padded = torch.nn.functional.pad(text, (0, longest - len(text)))
        dist.all_gather(rows, padded)
        return [
            json.loads(bytes(row[: int(length)].tolist()))
            for row, length in zip(rows, lengths, strict=True)
        ]


ALONE = Ranks()


@contextmanager
def joined() -> Iterator[Ranks]:
    """Within, the ranks that a launcher started; ALONE where none did.

    Each takes the CUDA device of its number on this machine, where there are any.
    """
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys():
        yield ALONE
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
