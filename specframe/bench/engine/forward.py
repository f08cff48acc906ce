"""Milliseconds of one walk by rows and by skipped share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from specframe.bench.engine.shapes import spread_skips
from specframe.bench.timing import in_turns, median, seconds_of
from specframe.executors.cache import CursorCache
from specframe.executors.executor import Executor, chain_step
from specframe.types import SkipSet

__all__ = ["ROWS", "SHARES", "VERIFY_8", "forward_ms"]

VERIFY_8 = 9  # rows that verify 8 drafted tokens: the last token and the drafts
ROWS = (1, 2, 4, 8, VERIFY_8, 12, 16)
SHARES = (0.0, 0.25, 0.5, 0.75)


def forward_ms(
    executor: Executor, prompt: Sequence[int], finish: Callable[[], object], turns: int
) -> dict[str, dict[str, float]]:
    """Skipped share -> rows -> median milliseconds, including embedding and head."""
    cache = executor.new_cache(len(prompt) + max(ROWS))
    executor.walk(chain_step(prompt, 0, cache.data.device), cache, rows=None)
    cache.commit(range(len(prompt)))
    trials = {
        (share, rows): seconds_of(_walk(executor, cache, prompt[:rows], share), finish)
        for share in SHARES
        for rows in ROWS
    }
    seconds = in_turns(trials, turns, warm_ups=2)
    return {
        f"{share:g}": {str(rows): 1e3 * median(seconds[share, rows]) for rows in ROWS}
        for share in SHARES
    }


def _walk(
    executor: Executor, cache: CursorCache, tokens: Sequence[int], share: float
) -> Callable[[], object]:
    skips: SkipSet = spread_skips(executor.shape.layers, share)
    step = chain_step(tokens, cache.length, cache.data.device)
    return lambda: executor.walk(step, cache, skips)
