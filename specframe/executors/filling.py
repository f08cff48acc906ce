"""Filling a cache with a text, in blocks, so that attention memory stays linear in its length."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from specframe.executors.cache import CursorCache
from specframe.executors.executor import NO_ROWS, Executor, chain_step
from specframe.types import Pass

__all__ = ["BLOCK", "fill_cache"]

BLOCK = 512  # tokens of one walk
GPU_BLOCK = 4096  # on a GPU: fewer leave it idle, and its attention stores no scores


def fill_cache(
    executor: Executor,
    cache: CursorCache,
    tokens: Sequence[int],
    *,
    stop: int | None = None,
    taps: Collection[int] = (),
    taps_from: int = 0,
    rows: slice | None = NO_ROWS,
) -> Iterator[tuple[int, Pass]]:
    """Walk and commit more tokens block by block; yields each block's first index and its pass.

    A block is committed when the next one is requested, so the iterator must be exhausted. Blocks
    that end at or before index `taps_from` are walked without taps.
    """
    begin = cache.length
    size = GPU_BLOCK if executor.device.type == "cuda" else BLOCK
    for first in range(0, len(tokens), size):
        block = tokens[first : first + size]
        wanted = taps if first + len(block) > taps_from else ()
        step = chain_step(block, begin + first, executor.device)
        yield first, executor.walk(step, cache, stop=stop, taps=wanted, rows=rows)
        cache.commit(range(len(block)))
