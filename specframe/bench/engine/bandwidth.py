"""Memory bandwidth of this machine, measured with plain readers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

from specframe.bench.timing import in_turns, seconds_of

__all__ = ["Reading", "best_bandwidth", "reading"]

SUM_BYTES = 2_000_000_000
COPY_BYTES = 500_000_000
MATRIX_SIDE = 4096
MATRICES = 16  # 0.5 GB together, larger than any cache


class Reading(NamedTuple):
    """A plain reader of memory, and the bytes that it reads and writes."""

    work: Callable[[], object]
    size: int


def best_bandwidth(
    device: torch.device, finish: Callable[[], object], turns: int = 5
) -> dict[str, float]:
    """Bytes per second of each reader in its best turn."""
    found = {}
    for name in READERS:  # one after the other, so that their arrays need not fit together
        work, size = reading(name, device)
        found[name] = size / min(in_turns({0: seconds_of(work, finish)}, turns)[0])
    return found


def reading(name: str, device: torch.device) -> Reading:
    """The reader of this name."""
    return READERS[name](device)


def _sum(device: torch.device) -> Reading:
    array = torch.ones(SUM_BYTES // 4, device=device)
    return Reading(array.sum, SUM_BYTES)


def _copy(device: torch.device) -> Reading:
    source = torch.ones(COPY_BYTES // 4, device=device)
    target = torch.zeros_like(source)
    return Reading(lambda: target.copy_(source), 2 * COPY_BYTES)


def _products(device: torch.device) -> Reading:
    side = MATRIX_SIDE
    matrices = [
        torch.full((side, side), 0.01, dtype=torch.bfloat16, device=device) for _ in range(MATRICES)
    ]
    vector = torch.ones(1, side, dtype=torch.bfloat16, device=device)

    def work() -> None:
        for matrix in matrices:
            F.linear(vector, matrix)

    return Reading(torch.inference_mode()(work), MATRICES * side * side * 2)


READERS = {"sum": _sum, "copy": _copy, "products": _products}
