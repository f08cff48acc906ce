"""A cursor cache for the attention modules of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from specframe.executors.cache import CursorCache
from specframe.types import Step

__all__ = ["LayerCache", "StepView"]


class LayerCache(CursorCache):
    """A cursor cache whose layers take shape, dtype and device from their first rows."""

    def __init__(
        self, layers: int, capacity: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(0, 0, 0, capacity, dtype, device)
        self._columns = self.data.shape[3]
        # keys and values of each layer, [1, kv heads, columns, head size]
        self._layers: list[tuple[Tensor, Tensor] | None] = [None] * layers

    def storage(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's keys and values, created to match these rows on first use."""
        found = self._layers[layer]
        if found is None:
            found = (self._zeros(keys), self._zeros(values))
            self._layers[layer] = found
        return found

    def _zeros(self, like: Tensor) -> Tensor:
        return like.new_zeros(*like.shape[:2], self._columns, like.shape[3])

    @property
    def bytes_per_position(self) -> int:
        """Memory that one more position takes, in the layers walked so far."""
        tensors = [part for pair in self._layers if pair is not None for part in pair]
        return sum(part.numel() * part.element_size() for part in tensors) // self._columns

    def take_over(self, other: CursorCache) -> None:
        """Copy what another cache of the same executor has committed; this one must be empty."""
        assert isinstance(other, LayerCache)
        super().take_over(other)
        for layer, pair in enumerate(other._layers):
            if pair is not None:
                for mine, theirs in zip(self.storage(layer, *pair), pair, strict=True):
                    mine[:, :, : other.length] = theirs[:, :, : other.length]

    def commit(self, rows: Sequence[int]) -> None:
        """Keep these scratch rows, counted from the cursor, in this order; advance past them."""
        if list(rows) != list(range(len(rows))):
            end = self.length + len(rows)
            for pair in self._layers:
                for part in pair or ():
                    here = torch.as_tensor(rows, device=part.device) + self.length
                    part[:, :, self.length : end] = part[:, :, here]
        super().commit(rows)


class StepView(Cache):  # type: ignore[misc]
    """The cache object that attention modules of transformers receive during one walk.

    `update` writes the step's rows into scratch, unless the step has no slot, and returns the
    columns that the rows may see.
    """

    def __init__(self, cache: LayerCache, step: Step, columns: int) -> None:
        super().__init__(layers=[])
        self._cache, self._step = cache, step
        self._read = columns  # columns of the cache that are read

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Called by attention modules with [1, kv heads, rows, D]; padding rows come last."""
        rows, slot = self._step.rows, self._step.slot
        own_keys, own_values = key_states[:, :, :rows], value_states[:, :, :rows]
        keys, values = self._cache.storage(layer_idx, key_states, value_states)
        if slot is None:
            seen_keys, seen_values = keys[:, :, : self._read], values[:, :, : self._read]
            return torch.cat([seen_keys, own_keys], 2), torch.cat([seen_values, own_values], 2)
        keys[:, :, slot : slot + rows] = own_keys
        values[:, :, slot : slot + rows] = own_values
        return keys[:, :, : self._read], values[:, :, : self._read]

    def get_seq_length(self, layer_idx: int | None = None) -> int:
        """Positions before the step's rows, from the cursor; skipped layers do not matter."""
        return self._step.visible

    def get_mask_sizes(self, query_length: int, layer_idx: int | None = None) -> tuple[int, int]:
        """Number of columns and their offset, for modules that build a mask."""
        return self._step.visible + query_length, 0
