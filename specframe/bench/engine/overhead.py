"""The cost of the decoding loop without the model: time outside the executor's walks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any

from torch import Tensor

from specframe.contract.constant_plan import ConstantPlan
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.executors.cache import CursorCache
from specframe.executors.executor import Executor
from specframe.types import DraftPlan, Pass, SkipSet, StopRule

__all__ = ["TimedExecutor", "measure_overhead"]

DRAFTS = 6
NEW_TOKENS = 128
# compared at every step but never reached
CONFIDENCE = 1e-9


class TimedExecutor:
    """An executor that adds up the seconds inside `walk` and `logits`."""

    def __init__(self, executor: Executor, finish: Callable[[], object]) -> None:
        self._executor, self._finish = executor, finish
        self.seconds = 0.0
        self.walks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def new_cache(self, capacity: int) -> CursorCache:
        """See `Executor.new_cache`."""
        return self._executor.new_cache(capacity)

    def walk(self, *arguments: Any, **keywords: Any) -> Pass:
        """See `Executor.walk`."""
        started = perf_counter()
        passed = self._executor.walk(*arguments, **keywords)
        self._finish()
        self.seconds += perf_counter() - started
        self.walks += 1
        return passed

    def chain(self, *arguments: Any) -> None:
        """None, so that drafts run walk by walk and each is timed."""
        return

    def decide(self, *arguments: Any, **keywords: Any) -> None:
        """None, for the same reason."""
        return

    def logits(self, hidden: Tensor, skips: SkipSet | None = None) -> Tensor:
        """See `Executor.logits`."""
        started = perf_counter()
        logits = self._executor.logits(hidden, skips)
        self._finish()
        self.seconds += perf_counter() - started
        return logits


def measure_overhead(
    executor: Executor,
    prompt: Sequence[int],
    skips: SkipSet,
    finish: Callable[[], object],
    turns: int,
) -> dict[str, float]:
    """Medians over turns; in the model of `executor`, skipped sublayers contribute nothing."""
    shares, walk_seconds, other_seconds, accepted = [], [], [], []
    for turn in range(turns + 1):
        timed = TimedExecutor(executor, finish)
        strategy = ConstantPlan(DraftPlan(skips, StopRule(DRAFTS, confidence=CONFIDENCE)))
        rounds = Engine(timed, strategy, Law(), Limits(NEW_TOKENS)).rounds(prompt)
        next(rounds)  # the prompt's
        timed.seconds, timed.walks = 0.0, 0
        started = perf_counter()
        outcomes = [done.outcome for done in rounds]
        wall = perf_counter() - started
        if turn == 0:
            continue  # warms up
        shares.append(1.0 - timed.seconds / wall)
        walk_seconds.append(timed.seconds / timed.walks)
        other_seconds.append((wall - timed.seconds) / len(outcomes))
        drafted = sum(outcome.drafted for outcome in outcomes if outcome)
        accepted.append(sum(outcome.accepted for outcome in outcomes if outcome) / drafted)
    return {
        "share": median(shares),
        "other_ms_per_round": 1e3 * median(other_seconds),
        "ms_per_walk": 1e3 * median(walk_seconds),
        "acceptance": median(accepted),
    }
