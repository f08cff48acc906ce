"""What a walk is given and what it returns. Comments give the shapes of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Pass", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """The rows that one walk processes.

    `slot` is the cache column from which the rows' keys and values are written; every row sees all
    columns before it. With None no committed column is changed: the rows see the first `visible`
    columns and each other. `mask` covers the rightmost columns: True is visible, and columns to the
    left of the mask are visible to every row. Without a mask, attention among the rows is causal.
    """

    tokens: Tensor  # [B, S] token ids
    positions: Tensor  # [S] rotary positions
    slot: int | None
    visible: int
    mask: Tensor | None = None  # [S, C], C <= visible + S

    @property
    def rows(self) -> int:
        """S."""
        return self.positions.shape[0]


@dataclass(frozen=True, slots=True)
class Pass:
    """What a walk returns."""

    hidden: Tensor  # [B, S, H] residual stream after the last sublayer walked
    logits: Tensor | None  # [B, R, V] for the requested rows
    taps: Mapping[int, Tensor] = field(default_factory=dict)  # depth -> [B, S, H]
