"""Walks for strategies: they read the cache and change nothing that is committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from specframe.errors import InvalidRequest
from specframe.executors.cache import CursorCache
from specframe.executors.executor import Executor
from specframe.types import Pass, SkipSet, Step

__all__ = ["CacheProbe"]


class CacheProbe:
    """A `Probe` over one sequence's cache."""

    def __init__(self, executor: Executor, cache: CursorCache) -> None:
        self._executor = executor
        self._cache = cache

    @property
    def committed(self) -> int:
        """Cache columns that hold the target's keys and values."""
        return self._cache.length

    def walk(
        self,
        step: Step,
        skips: SkipSet | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        hidden: Tensor | None = None,
        taps: Sequence[int] = (),
        rows: slice | None = None,
    ) -> Pass:
        """See `Probe.walk`."""
        if step.slot is not None or step.visible > self._cache.length:
            raise InvalidRequest(
                f"A probe reads the {self._cache.length} committed columns and writes nothing. "
                f"Got slot {step.slot} and {step.visible} visible columns instead."
            )
        return self._executor.walk(
            self._placed(step),
            self._cache,
            skips,
            start=start,
            stop=stop,
            hidden=hidden,
            taps=taps,
            rows=rows,
        )

    def logits(self, hidden: Tensor) -> Tensor:
        """See `Probe.logits`."""
        return self._executor.logits(hidden)

    def _placed(self, step: Step) -> Step:
        """The step on the model's device, which strategies do not know."""
        device = self._executor.device
        mask = None if step.mask is None else step.mask.to(device)
        return replace(
            step, tokens=step.tokens.to(device), positions=step.positions.to(device), mask=mask
        )
