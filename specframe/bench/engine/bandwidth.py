"""How fast this machine streams memory, by the best of three plain readers."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from specframe.bench.timing import in_turns, seconds_of

__all__ = ["best_bandwidth"]

SUM_BYTES = 2_000_000_000
COPY_BYTES = 500_000_000
MATRIX_SIDE = 4096
MATRICES = 16  # 0.5 GB together: no cache holds them


def best_bandwidth(
    device: torch.device, finish: Callable[[], object], turns: int = 5
) -> dict[str, float]:
    """Bytes a second of each reader, at its best turn."""
    readers = (_sum, _copy, _products)
    found = {}
    for reader in readers:  # one after the other: their arrays need not fit at once
        work, size = reader(device)
        seconds = in_turns({0: seconds_of(work, finish)}, turns)[0]
        found[reader.__name__.lstrip("_")] = size / min(seconds)
    return found


def _sum(device: torch.device) -> tuple[Callable[[], object], int]:
    array = torch.ones(SUM_BYTES // 4, device=device)
    return array.sum, SUM_BYTES


def _copy(device: torch.device) -> tuple[Callable[[], object], int]:
    source = torch.ones(COPY_BYTES // 4, device=device)
    target = torch.zeros_like(source)
    return lambda: target.copy_(source), 2 * COPY_BYTES


def _products(device: torch.device) -> tuple[Callable[[], object], int]:
    side = MATRIX_SIDE
    matrices = [
        torch.full((side, side), 0.01, dtype=torch.bfloat16, device=device) for _ in range(MATRICES)
    ]
    vector = torch.ones(1, side, dtype=torch.bfloat16, device=device)

    def work() -> None:
        for matrix in matrices:
            F.linear(vector, matrix)

    return torch.inference_mode()(work), MATRICES * side * side * 2
