"""Runs a strategy's draft head on one sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from specframe.contract.planner import DraftHead, HeadMemory

__all__ = ["HeadRunner"]

LONGEST_WAIT = 2048  # most committed rows that wait for the next draft


class HeadRunner:
    """Passes every committed row to a draft head once, then the rows of each draft.

    Committed rows hold the target's own residual stream at the head's depth, whether drafting or
    verification computed it.
    """

    def __init__(self, head: DraftHead, capacity: int) -> None:
        self.depth = head.depth
        self._head, self._capacity = head, capacity
        self._memory: HeadMemory | None = None
        self._seen = 0  # positions that the memory holds
        self._waiting: list[Tensor] = []  # each [1, S, H]
        self._rows = 0  # waiting

    def push(self, states: Tensor) -> None:
        """Add committed rows, in order. They are kept, with the tensor that they are a view of."""
        self._waiting.append(states)
        self._rows += states.shape[1]
        if self._rows > LONGEST_WAIT:
            self._catch_up(torch.cat(self._waiting, dim=1))

    def run(self, states: Tensor, slot: int) -> Tensor:
        """The head's output for rows [1, S, H] that begin at position `slot`.

        The output of committed rows that were waiting comes first; the last S rows are these.
        """
        if self._waiting:
            caught_up = torch.cat([*self._waiting, states], dim=1)
            return self._catch_up(caught_up, committed=caught_up.shape[1] - states.shape[1])
        return self._run(states, slot)

    def _catch_up(self, states: Tensor, committed: int | None = None) -> Tensor:
        found = self._run(states, self._seen)
        self._seen += states.shape[1] if committed is None else committed
        self._waiting, self._rows = [], 0
        return found

    def _run(self, states: Tensor, first: int) -> Tensor:
        if self._memory is None:
            self._memory = self._head.memory(self._capacity, states)
        return self._memory.run(states, first)
