"""Time of a token: of its matrix products alone, and of every operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile

from specframe.bench.timing import in_turns, median, seconds_of
from specframe.executors.cache import CursorCache
from specframe.executors.executor import Executor, chain_step

__all__ = ["operations_of_token", "products_ms"]

WALKS = 10


def products_ms(executor: Any, finish: Callable[[], object], turns: int) -> float:
    """Median milliseconds of the matrix products of one token, run without other operations."""
    trial = seconds_of(executor.products_alone, finish)
    return 1e3 * median(in_turns({0: trial}, turns, warm_ups=2)[0])


def operations_of_token(executor: Executor, cache: CursorCache) -> dict[str, dict[str, float]]:
    """Milliseconds and calls per token of every operation of a one-row walk, longest first.

    Milliseconds are an operation's own, without those it calls. Recording them slows small
    operations down, so their sum exceeds the time of a token.
    """
    step = chain_step([0], cache.length, executor.device)
    executor.walk(step, cache)
    kinds = [ProfilerActivity.CPU]
    if executor.device.type == "cuda":
        kinds.append(ProfilerActivity.CUDA)
    with profile(activities=kinds) as recorded:
        for _ in range(WALKS):
            executor.walk(step, cache)
    found = {
        event.key: {
            "ms": (event.self_cpu_time_total + event.self_device_time_total) / 1e3 / WALKS,
            "calls": event.count / WALKS,
        }
        for event in recorded.key_averages()
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]["ms"]))
