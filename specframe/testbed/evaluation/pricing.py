"""Predicted speed-up of a skip set, from measured times of draft steps and verification."""

from statistics import median
from time import perf_counter

import torch

from specframe.costs.model import expected_tokens
from specframe.executors.cache import CursorCache
from specframe.executors.executor import ALL_ROWS, Executor
from specframe.types import SkipSet, Step

__all__ = ["Prices", "measure"]

_CONTEXT = 160
_REPEATS = 15


class Prices:
    """Seconds of walks at one context length, measured on first use."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._cache = executor.new_cache(_CONTEXT + 64)
        self._verify: dict[int, float] = {}

    def predicted_speedup(self, alpha: float, skips: SkipSet, longest: int = 12) -> float:
        """Speed-up at the best draft length; alpha is the acceptance rate."""
        draft = measure(self._executor, self._cache, 1, skips)
        plain = self._seconds(1)
        rates = (
            expected_tokens(alpha, length) / (length * draft + self._seconds(length + 1))
            for length in range(1, longest + 1)
        )
        return max(rates) * plain

    def _seconds(self, rows: int) -> float:
        if rows not in self._verify:
            self._verify[rows] = measure(
                self._executor, self._cache, rows, SkipSet(self._executor.shape.sublayers)
            )
        return self._verify[rows]


def measure(executor: Executor, cache: CursorCache, rows: int, skips: SkipSet) -> float:
    """Median seconds of a walk over this number of rows."""
    positions = torch.arange(_CONTEXT, _CONTEXT + rows, device=executor.device)
    step = Step(
        torch.ones(1, rows, dtype=torch.long, device=executor.device), positions, _CONTEXT, _CONTEXT
    )
    return median(_timed(executor, cache, step, skips) for _ in range(_REPEATS))


def _timed(executor: Executor, cache: CursorCache, step: Step, skips: SkipSet) -> float:
    started = perf_counter()
    executor.walk(step, cache, skips, rows=ALL_ROWS)
    return perf_counter() - started
