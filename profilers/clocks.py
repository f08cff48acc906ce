"""Times many different calls in alternation, so that a slow moment affects all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import torch

from specframe.executors.cache import CursorCache
from specframe.executors.executor import NO_ROWS, Executor, chain_step
from specframe.types import SkipSet

Key = TypeVar("Key")
Call = Callable[[], object]
Progress = Callable[[int, int], None]  # done, of how many
Agreed = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Sample:
    """Repeated timings of one call."""

    seconds: tuple[float, ...]

    @property
    def typical(self) -> float:
        """The typical seconds of the call."""
        return typical(self.seconds)

    @property
    def noise(self) -> float:
        """How far the median is above the typical value, as a share of it."""
        return median(self.seconds) / self.typical - 1.0 if self.typical > 0 else 0.0


def typical(seconds: Sequence[float]) -> float:
    """The median of the faster half; interruptions by other programs can only add time."""
    ordered = sorted(seconds)
    return median(ordered[: (len(ordered) + 1) // 2])


def time_interleaved(
    calls: Mapping[Key, Call],
    device: torch.device,
    *,
    budget_seconds: float,
    fewest: int = 3,
    most: int = 15,
    progress: Progress | None = None,
    agreed: Agreed = float,
) -> dict[Key, Sample]:
    """Call each once to warm up, then all in alternation as often as the budget allows.

    `agreed` turns a process' seconds into those that all processes go by which call together.
    """
    sweep = partial(_cuda_sweep, device) if device.type == "cuda" else _cpu_sweep
    every = list(calls.values())
    begun = perf_counter()
    sweep(every)  # first calls allocate and load code
    warm = agreed(perf_counter() - begun)
    if device.type == "cuda":
        sweep(every)  # and second ones record graphs
    repeats = min(max(int(budget_seconds / max(warm, 1e-9)), fewest), most)
    sweeps: list[list[float]] = []
    for done in range(repeats):
        sweeps.append(sweep(every))
        if progress is not None:
            progress(done + 1, repeats)
    return {key: Sample(times) for key, times in zip(calls, zip(*sweeps, strict=True), strict=True)}


def written_cache(executor: Executor, columns: int, room: int) -> CursorCache:
    """A cache with all `columns` written, and `room` for more.

    Zeros that were never written share one page of memory and would be read too fast.
    """
    cache = executor.new_cache(columns + room)
    timed_walk(executor, cache, 0, 1, SkipSet.none(executor.shape.layers))  # may allocate
    cache.commit(range(columns - 1, -1, -1))  # the reversed order copies every column
    return cache


def timed_walk(executor: Executor, cache: CursorCache, n: int, rows: int, skips: SkipSet) -> None:
    """A walk of `rows` rows after `n` committed tokens, without the head."""
    executor.walk(chain_step([0] * rows, n, executor.device), cache, skips, rows=NO_ROWS)


def _cpu_sweep(calls: Sequence[Call]) -> list[float]:
    seconds = []
    for call in calls:
        begun = perf_counter()
        call()
        seconds.append(perf_counter() - begun)
    return seconds


def _cuda_sweep(device: torch.device, calls: Sequence[Call]) -> list[float]:
    """Time with events and synchronise once at the end, so that no call waits for another."""
    stream: Any = torch.cuda.current_stream(device)
    marks: list[Any] = [torch.cuda.Event(enable_timing=True) for _ in range(len(calls) + 1)]
    marks[0].record(stream)
    for call, mark in zip(calls, marks[1:], strict=True):
        call()
        mark.record(stream)
    stream.synchronize()
    return [a.elapsed_time(b) / 1e3 for a, b in pairwise(marks)]
