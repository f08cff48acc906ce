"""A draft in which each token has its own exit: the first depth at which it is certain enough.

No sublayer is skipped before the exit, so every row's stream is the target's own. A row is kept at
the depth of its exit. If a later row runs deeper, the kept rows run with it, since it needs their
keys. At the end all rows run to the plan's exit, where verification continues, so no sublayer runs
twice for a row. An earlier row is at least as deep as a later one, so rows of equal depth are
neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from specframe.executors.cache import CursorCache
from specframe.executors.executor import NO_ROWS, Executor, chain_step
from specframe.tensors import top_probability
from specframe.types import DraftPlan

__all__ = ["ExitingRows"]


class ExitingRows:
    """The root and the nodes of one draft, each at the depth that it has reached."""

    def __init__(self, executor: Executor, cache: CursorCache, plan: DraftPlan) -> None:
        assert plan.exits is not None
        self._executor, self._cache, self._skips = executor, cache, plan.skips
        self._sure, self._annealing = plan.stop.confidence, plan.exits.annealing
        last = len(plan.skips.kept)
        self._exits = [*(2 * layer for layer in plan.exits.layers if 2 * layer < last), last]
        self._tokens: list[int] = []
        self._depths: list[int] = []  # by row, never rising
        self._streams: list[Tensor] = []  # by row, [1, 1, H]; none of a row that has not run
        self.confidence = 0.0  # of the last row, at its annealed temperature

    @property
    def begun(self) -> bool:
        """Whether any row was walked."""
        return bool(self._tokens)

    def step(self, rows: Sequence[int]) -> Tensor:
        """Walk the new rows until the last one is sure; returns its logits [V]."""
        self._add(rows[len(self._tokens) :])
        for depth in self._exits:
            stream = self._walk_to(depth)[:, -1:]
            logits = self._executor.logits(stream, self._skips)[0, 0]
            self.confidence = float(top_probability(logits, self._temperature(depth)))
            if self.confidence >= self._sure:
                break
        return logits

    def finish(self, nodes: Sequence[int]) -> Tensor:
        """The stream [1, R, H] of all rows, the root and these nodes, at the plan's exit."""
        self._add(nodes[len(self._tokens) - 1 :])
        for depth in self._exits:
            if self._depths[-1] < depth:
                self._walk_to(depth)
        return torch.cat(self._streams, dim=1)

    def _add(self, new: Sequence[int]) -> None:
        self._tokens += new
        self._depths += [0] * len(new)

    def _walk_to(self, depth: int) -> Tensor:
        """Walk the last row, and others at its depth, to this depth; returns their stream."""
        start = self._depths[-1]
        first = self._depths.index(start)
        passed = self._executor.walk(
            chain_step(self._tokens[first:], self._cache.length + first, self._cache.data.device),
            self._cache,
            self._skips,
            start=start,
            stop=depth,
            hidden=torch.cat(self._streams[first:], dim=1) if start else None,
            rows=NO_ROWS,
        )
        self._streams[first:] = passed.hidden.split(1, dim=1)
        self._depths[first:] = [depth] * len(self._depths[first:])
        return passed.hidden

    def _temperature(self, depth: int) -> float:
        return 1.0 + self._annealing * (1.0 - depth / self._skips.size)
