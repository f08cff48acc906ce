"""Greedy drafting in which each recorded step chooses the row of the next one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from specframe.executors.executor import Top
from specframe.executors.graphs.inputs import Inputs
from specframe.executors.graphs.recorder import Outputs, WalkKey, goes_narrow
from specframe.executors.graphs.storage import Storage, StoredCache, bucket_of
from specframe.types import LONGEST_DRAFT, DraftPlan

__all__ = ["GraphedChain"]

Run = Callable[[WalkKey, Storage], Outputs]


class GraphedChain:
    """See `Chain`. A draft of fixed length is launched at once and read once."""

    def __init__(
        self,
        run: Run,
        inputs: Inputs,
        cache: StoredCache,
        plan: DraftPlan,
        keep: Collection[int],
    ) -> None:
        self._run, self._inputs, self._cache = run, inputs, cache
        self._steps = _steps_at_once(plan)
        skips, stop = plan.skips, plan.stop
        self._key = WalkKey(
            id(cache.storage),
            columns=0,
            skips=skips,
            start=0,
            stop=skips.size,
            taps=tuple(sorted(keep)),
            resumed=False,
            end="next",
            confident=stop.confidence > 0.0 or stop.gain is not None,
        )
        self._rows = 1  # of the next walk
        self._end = cache.length  # column after the last row that was walked
        self._launched = 0
        self._tops: list[Top] = []  # read, the next one last

    def begin(self, rows: Sequence[int]) -> None:
        """See `Chain.begin`."""
        self._inputs.begin(rows, self._cache.length, self._cache.length)
        self._end = self._cache.length + len(rows)
        self._rows = len(rows)

    def next(self) -> Top:
        """See `Chain.next`."""
        if not self._tops:
            self._tops = self._launch(self._steps)[::-1]
            self._steps = 1
        return self._tops.pop()

    @torch.inference_mode()
    def _launch(self, steps: int) -> list[Top]:
        first = self._launched
        for _ in range(steps):
            self._cache.reserve(self._end, 0)
            narrow = goes_narrow(self._key.skips, self._rows)
            key = replace(self._key, columns=bucket_of(self._end), narrow=narrow)
            self._run(key, self._cache.storage)
            self._rows = 1
            self._end += 1
            self._launched += 1
        read = self._inputs.tops[first : self._launched].tolist()
        return [Top(int(token), confidence, bool(finite)) for token, confidence, finite in read]

    def states(self, rows: int) -> dict[int, Tensor]:
        """See `Chain.states`; a copy, since the next chain overwrites the buffer."""
        return {depth: self._inputs.states(depth)[None, :rows].clone() for depth in self._key.taps}


def _steps_at_once(plan: DraftPlan) -> int:
    """All of a draft that ends at its length alone, else one."""
    if plan.stop.confidence > 0.0 or plan.stop.gain is not None:
        return 1
    return max(1, min(plan.stop.max_tokens, LONGEST_DRAFT) - len(plan.copied))
