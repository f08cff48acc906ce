"""Measured speed-ups: rounds of plans and of autoregressive decoding, alternating."""

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
        """Add a round; the prompt's round is left out."""
        if done.outcome is None:
            return
        self.tokens += len(done.tokens)
        self.seconds.setdefault(done.outcome.drafted, []).append(done.seconds)

    @property
    def rounds(self) -> int:
        return sum(map(len, self.seconds.values()))

    @property
    def wall_clock(self) -> float:
        """Seconds per token, including interruptions by other programs."""
        return sum(map(sum, self.seconds.values())) / self.tokens

    @property
    def seconds_per_token(self) -> float:
        """Seconds per token if every round takes the typical seconds of its draft length."""
        return sum(len(times) * typical(times) for times in self.seconds.values()) / self.tokens


def race(
    executor: Executor,
    plans: Sequence[DraftPlan],
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    ends: frozenset[int] = frozenset(),
) -> tuple[Lap, list[Lap]]:
    """Autoregressive decoding and each plan on the same prompts.

    The next round is always that of the plan with the fewest tokens, so that all are at similar
    contexts.
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
    """Refuse prompts whose generations all end at the first token, which has no round."""
    if not count:
        raise InvalidRequest(
            "There were no rounds after the first token for any prompt, so their speed is unknown. "
            "Use other prompts, or allow more new tokens."
        )
