"""A KV cache with one cursor. Rejected rows are simply not committed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from specframe.errors import PromptTooLong

__all__ = ["COLUMN_BLOCK", "STORAGE_BLOCK", "STRICT_BLOCK", "CursorCache"]

# columns are read in whole blocks, so that a row's sums do not depend on other rows
COLUMN_BLOCK = 32
STRICT_BLOCK = 256  # columns of one product where every product has a fixed shape
STORAGE_BLOCK = 512  # storage is a multiple of the largest block, that of torch's fused kernel


class CursorCache:
    """Preallocated keys and values of one sequence; columns past `length` are scratch.

    Scratch columns may be read only in the round that wrote them. Storage is zeroed, since masked
    columns still take part in products, with weight 0.
    """

    def __init__(
        self,
        layers: int,
        kv_heads: int,
        head_size: int,
        capacity: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        columns = -(-capacity // STORAGE_BLOCK) * STORAGE_BLOCK
        self.capacity = capacity
        self.length = 0
        # [L, 1, 2 x kv heads (keys, then values), columns, head size]
        self.data = torch.zeros(
            layers, 1, 2 * kv_heads, columns, head_size, dtype=dtype, device=device
        )
        self._kv_heads = kv_heads

    def keys(self, count: int) -> tuple[Tensor, ...]:
        """Per layer: keys of the first `count` columns, [kv heads, count, head size]."""
        return self.data.squeeze(1)[:, : self._kv_heads, :count].unbind(0)

    def values(self, count: int) -> tuple[Tensor, ...]:
        """Per layer: values of the first `count` columns, [kv heads, count, head size]."""
        return self.data.squeeze(1)[:, self._kv_heads :, :count].unbind(0)

    def scratch(self, slot: int, rows: int) -> tuple[Tensor, ...]:
        """Per layer: where `rows` rows write keys and values, [rows, 2 x kv heads, head size]."""
        self.reserve(slot, rows)
        return self.data.squeeze(1)[:, :, slot : slot + rows].transpose(1, 2).unbind(0)

    def reserve(self, slot: int, rows: int) -> None:
        """Raise if rows exceed the capacity."""
        if slot + rows > self.capacity:
            raise PromptTooLong(
                f"The cache was reserved for {self.capacity} positions, but {slot + rows} are "
                f"needed. Reserve prompt + budget + longest draft."
            )

    @property
    def bytes_per_position(self) -> int:
        """Memory that one more position takes."""
        columns = self.data.shape[3]
        return self.data.numel() * self.data.element_size() // columns

    def take_over(self, other: CursorCache) -> None:
        """Copy what another cache of the same executor has committed; this one must be empty."""
        self.reserve(0, other.length)
        self.data[:, :, :, : other.length] = other.data[:, :, :, : other.length]
        self.length = other.length

    def commit(self, rows: Sequence[int]) -> None:
        """Keep these scratch rows, counted from the cursor, in this order; advance past them."""
        if list(rows) != list(range(len(rows))):
            here = torch.as_tensor(rows, device=self.data.device) + self.length
            self.data[:, :, :, self.length : self.length + len(rows)] = self.data[:, :, :, here]
        self.length += len(rows)
