"""Keys and values at fixed addresses, so that one recording serves many sequences."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch
from torch import Tensor

from specframe.executors.cache import STORAGE_BLOCK, CursorCache

__all__ = ["ROWS", "Storage", "StoragePool", "StoredCache", "bucket_of", "parts_of"]

ROWS = 16  # rows of every recorded walk; a step of fewer is padded
KEPT = 2  # storages that wait for another sequence
LEAST_BUCKET = 256


def bucket_of(columns: int) -> int:
    """The columns that a walk reads which needs `columns`: at most a quarter more, or 511 more."""
    if columns <= LEAST_BUCKET:
        return LEAST_BUCKET
    step = max(STORAGE_BLOCK, 1 << max((columns - 1).bit_length() - 3, 0))
    return -(-columns // step) * step


def parts_of(slot: int, rows: int) -> list[tuple[int, int]]:
    """(first row, rows) of the walks that a step is split into.

    A part has at most `ROWS` rows, all in one bucket: a row is then computed by the same kernels
    whatever rows are beside it.
    """
    parts = []
    first = 0
    while first < rows:
        edge = bucket_of(slot + first + 1) - slot
        count = min(ROWS, rows - first, edge - first)
        parts.append((first, count))
        first += count
    return parts


class Storage:
    """Zeroed columns for one sequence at a time, and columns where padded rows write."""

    def __init__(self, data: Tensor, columns: int) -> None:
        self.data = data  # [L, 1, 2 x kv heads, columns + ROWS, D]
        self.columns = columns


class StoredCache(CursorCache):
    """A cache whose columns belong to a storage; they are returned when the cache is dropped."""

    def __init__(self, storage: Storage, kv_heads: int, capacity: int) -> None:
        self.storage = storage
        self.capacity = capacity
        self.length = 0
        self.data = storage.data
        self._kv_heads = kv_heads


class StoragePool:
    """Lends storages and takes them back; `dropped` is called with each one that is deleted."""

    def __init__(self, dropped: Callable[[Storage], None]) -> None:
        self._free: list[Storage] = []
        self._dropped = dropped
        self._generation = 0

    def cache(
        self,
        layers: int,
        kv_heads: int,
        head_size: int,
        capacity: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> StoredCache:
        """A zeroed cache of this capacity, in a free storage that is large enough or a new one."""
        columns = -(-bucket_of(capacity) // STORAGE_BLOCK) * STORAGE_BLOCK
        fitting = [storage for storage in self._free if storage.columns >= columns]
        if fitting:
            storage = min(fitting, key=lambda each: each.columns)
            self._free.remove(storage)
            storage.data.zero_()
        else:
            with torch.inference_mode(False):  # so that `commit` can always write
                data = torch.zeros(
                    layers, 1, 2 * kv_heads, columns + ROWS, head_size, dtype=dtype, device=device
                )
            storage = Storage(data, columns)
        cache = StoredCache(storage, kv_heads, capacity)
        weakref.finalize(cache, self._take_back, storage, self._generation).atexit = False
        return cache

    def forget(self) -> None:
        """Drop the free storages now, and those in use once they are returned."""
        self._generation += 1
        while self._free:
            self._dropped(self._free.pop())

    def _take_back(self, storage: Storage, generation: int) -> None:
        if generation != self._generation:
            self._dropped(storage)
            return
        self._free.append(storage)
        while len(self._free) > KEPT:
            self._dropped(self._free.pop(0))
