"""Measured speed-ups: rounds of plans and of autoregressive decoding, run in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from specframe.contract.constant_plan import ConstantPlan
from specframe.core.engine import Engine, Limits, Round
from specframe.core.sampling import Law
from specframe.errors import InvalidRequest
from specframe.executors.executor import Executor
from specframe.executors.filling import fill_cache
from specframe.profilers.clocks import typical
from specframe.types import DraftPlan, SkipSet, StopRule

__all__ = ["Lap", "race", "require_rounds"]


@dataclass(slots=True)
class Lap:
    """Rounds of one plan over all prompts."""

    tokens: int = 0
    seconds: dict[int, list[float]] = field(default_factory=dict)  # by drafted tokens

    def add(self, done: Round) -> None:
        """Add a round; that of the prompt is left out."""
        if done.outcome is None:
            return
        self.tokens += len(done.tokens)
        self.seconds.setdefault(done.outcome.drafted, []).append(done.seconds)

    @property
    def rounds(self) -> int:
        """How many rounds were run."""
        return sum(map(len, self.seconds.values()))

    @property
    def wall_clock(self) -> float:
        """Seconds a token, interruptions by other programs included."""
        return sum(map(sum, self.seconds.values())) / self.tokens

    @property
    def seconds_per_token(self) -> float:
        """Seconds a token, where each round takes what is typical of its draft length."""
        return sum(len(times) * typical(times) for times in self.seconds.values()) / self.tokens


def race(
    executor: Executor,
    plans: Sequence[DraftPlan],
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    ends: frozenset[int] = frozenset(),
) -> tuple[Lap, list[Lap]]:
    """Autoregressive decoding and each plan on the same prompts.

    The next round always belongs to the one that has emitted the fewest tokens, so all proceed at
    the same pace.
    """
    plain = DraftPlan(SkipSet.none(executor.shape.layers), StopRule(0))
    every = [plain, *plans]
    laps = [Lap() for _ in every]
    for prompt in prompts:
        limits = Limits(new_tokens, ends)
        known = executor.new_cache(len(prompt))
        for _ in fill_cache(executor, known, prompt[:-1]):
            pass
        running = [
            Engine(executor, ConstantPlan(plan), Law(), limits).rounds(prompt, known)
            for plan in every
        ]
        emitted = dict.fromkeys(range(len(every)), 0)
        while emitted:
            i = min(emitted, key=emitted.__getitem__)
            done = next(running[i], None)
            if done is None:
                del emitted[i]
            else:
                laps[i].add(done)
                emitted[i] += len(done.tokens)
    require_rounds(laps[0].rounds)
    return laps[0], laps[1:]


def require_rounds(count: int) -> None:
    """Refuse prompts that are all answered by one token, which the prompt's own pass yields."""
    if not count:
        raise InvalidRequest(
            "There were no rounds after the first token of any answer, so nothing is known of "
            "their speed. Take other prompts, or allow more new tokens."
        )
