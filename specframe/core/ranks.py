"""The processes that run one tensor-parallel model: they must plan, choose and stop alike.

Every process (rank) runs the same engine, and all compute each sublayer together: ranks with
different plans would wait for each other forever. So times are taken from the first rank, and plans
and tokens are compared before each round.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from specframe.errors import RanksParted, SpecframeError
from specframe.executors.support import is_sharded

__all__ = ["Ranks", "connected", "ranks_of", "together"]

Value = TypeVar("Value")


class Ranks:
    """Every method is called by all ranks, in the same order."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.count = dist.get_world_size()

    def agree(self, *what: object) -> None:
        """Raise on every rank unless all have the same values, which are compared as text."""
        digest = hashlib.sha256(repr(what).encode()).digest()[:8]
        own = torch.tensor([int.from_bytes(digest, signed=True)], device=self._device)
        found = [torch.empty_like(own) for _ in range(self.count)]
        dist.all_gather(found, own)
        if any(int(one) != int(own) for one in found):
            raise RanksParted(
                f"The {self.count} ranks no longer do the same: their plans or tokens differ. "
                f"Give every rank the same prompt, settings, seed and costs."
            )

    def from_first(self, *numbers: float) -> tuple[float, ...]:
        """The first rank's numbers."""
        shared = torch.tensor(numbers, dtype=torch.float64, device=self._device)
        dist.broadcast(shared, 0)
        return tuple(shared.tolist())

    def first(self, number: float) -> float:
        """The first rank's number."""
        return self.from_first(number)[0]

    def value_of_first(self, find: Callable[[], Value]) -> Value:
        """What `find` returns on the first rank, which must be picklable; others do not call it."""
        shared: list[Any] = [find() if dist.get_rank() == 0 else None]
        dist.broadcast_object_list(shared, 0, device=self._device)
        found: Value = shared[0]
        return found

    def seed(self) -> int:
        """A new seed, the same on all ranks."""
        return int(self.from_first(random.getrandbits(31))[0])


def ranks_of(model: Any, device: torch.device) -> Ranks | None:
    """The ranks that the model is sharded over; None if this process has all of it."""
    return Ranks(device) if is_sharded(model) else None


def together(rounds: Iterator[Value]) -> Iterator[Value]:
    """The rounds, with errors of the connection as in `connected`."""
    with connected():
        yield from rounds


@contextmanager
def connected() -> Iterator[None]:
    """Turns an error of the connection between the ranks into a `SpecframeError`."""
    try:
        yield
    except SpecframeError:
        raise
    except RuntimeError as error:
        if not _of_connection(error):
            raise
        raise RanksParted(
            f"Another rank ended or cannot be reached: {str(error).splitlines()[0]}. See what that "
            f"rank printed, and start all ranks again."
        ) from error


def _of_connection(error: RuntimeError) -> bool:
    """Whether the error comes from the connection; Gloo raises plain runtime errors."""
    words = str(error).lower()
    return isinstance(error, dist.DistError) or any(
        word in words for word in ("gloo", "connection", "nccl", "timed out")
    )
