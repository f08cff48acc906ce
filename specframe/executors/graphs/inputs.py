"""The buffers that every recorded walk of an executor reads and writes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from specframe.executors.graphs.storage import ROWS
from specframe.types import LONGEST_DRAFT, ModelShape

__all__ = ["STATE_ROWS", "Inputs"]

STATE_ROWS = LONGEST_DRAFT + 1  # the root and every node


class Inputs:
    """Rows of the next walk, in one vector filled by one copy, and the results of a chain."""

    def __init__(self, shape: ModelShape, dtype: torch.dtype, device: torch.device) -> None:
        self.packed = torch.zeros(ROWS + 4, dtype=torch.int64, device=device)
        self.tokens = self.packed[:ROWS]
        self.slot = self.packed[ROWS : ROWS + 1]  # position and column of the first row
        self.rows = self.packed[ROWS + 1 : ROWS + 2]  # rows that are not padding
        self.root = self.packed[ROWS + 2 : ROWS + 3]  # column of a chain's first row
        self.step = self.packed[ROWS + 3 :]  # steps of the chain that are done
        self.row = torch.arange(ROWS, device=device)
        self.hidden = torch.zeros(ROWS, shape.hidden, dtype=dtype, device=device)
        # token, confidence and whether logits are finite, a step
        self.tops = torch.zeros(LONGEST_DRAFT, 3, dtype=torch.float64, device=device)
        self._states: dict[int, Tensor] = {}

    def load(self, tokens: Tensor, slot: int, rows: int, hidden: Tensor | None) -> None:
        """The rows of one walk; tokens [S], hidden [S, H]. No copy from the host."""
        self.slot.fill_(slot)
        self.rows.fill_(rows)
        if hidden is None:
            self.tokens[:rows].copy_(tokens)
        else:
            self.hidden[:rows].copy_(hidden)

    def begin(self, tokens: Sequence[int], slot: int, root: int) -> None:
        """The rows of a chain's first walk, in one copy from the host."""
        padding = [tokens[-1]] * (ROWS - len(tokens))
        packed = torch.tensor([*tokens, *padding, slot, len(tokens), root, 0])
        self.packed.copy_(packed, non_blocking=True)  # from pageable memory, so it is copied twice

    def states(self, depth: int) -> Tensor:
        """The buffer of a chain for the stream at this depth, a row per position: [rows, H]."""
        if depth not in self._states:
            with torch.inference_mode(False):
                self._states[depth] = self.hidden.new_zeros(STATE_ROWS + ROWS, self.hidden.shape[1])
        return self._states[depth]

    def positions(self, count: int) -> Tensor:
        """[count]; padding has the last row's, so that it reads only columns that are written."""
        return self.slot + torch.minimum(self.row[:count], self.rows - 1)

    def places(self, first: Tensor, dump: int, count: int) -> Tensor:
        """[count] consecutive places from `first` on; padding goes to places from `dump` on."""
        row = self.row[:count]
        return torch.where(row < self.rows, first + row, row + dump)
