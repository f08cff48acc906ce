"""Drafts only while it may pay.

Before the first round, and after every pause, a `Prospect` estimates how fast drafting could be at
an optimistic acceptance rate. A share of what that would save in the rest of the sequence may be
lost on trying, the stake. If planning alone would cost more, or the rounds after it have lost more,
nothing is drafted for a while. Pauses double and stakes halve, so that a sequence on which no draft
pays takes hardly longer than without a strategy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache

from specframe.contract.planner import Context, Planner
from specframe.costs.rates import round_seconds, token_seconds
from specframe.types import Draft, DraftPlan, Outcome, SkipSet, StopRule

__all__ = ["PayingPlanner", "Prospect", "absence", "draft_nothing"]

RISK = 0.2  # share of what drafting could save that may be lost on trying
PAUSE = 64  # tokens until a first decision against drafting is reviewed


@lru_cache(maxsize=64)
def draft_nothing(layers: int, capture: bool = False, declined: float = 0.0) -> DraftPlan:
    """The plan of a round of autoregressive decoding; `declined` is that of `DraftPlan`."""
    return DraftPlan(SkipSet.none(layers), StopRule(0), capture=capture, declined=declined)


def absence(layers: int) -> Outcome:
    """The empty outcome that a planner observes once when it is no longer used."""
    return Outcome(draft_nothing(layers), Draft((), (), ()), 0, ())


class Prospect(ABC):
    """What drafting could gain in one sequence."""

    @abstractmethod
    def speedup(self, context: Context) -> float:
        """The best speed-up of any plan at these prices and an optimistic acceptance rate."""

    def trial(self, context: Context) -> float:
        """Seconds that planning takes before the first draft; none by default."""
        return 0.0

    def seconds_of(self, outcome: Outcome, context: Context) -> float:
        """Priced seconds of a round that drafted, in the context that it was planned for."""
        costs, n = context.costs, context.length - 1
        return round_seconds(costs, outcome.plan, n, outcome.drafted)


class PayingPlanner(Planner):
    """Uses another planner while drafting may pay; otherwise drafts nothing."""

    def __init__(self, inner: Planner, prospect: Prospect) -> None:
        self._inner, self._prospect = inner, prospect
        self._context: Context | None = None  # of the round that was planned last
        self._best = 0.0  # speed-up that drafting could have, by the last decision
        self._declined = False
        self._until = 0  # length of the text at the next decision, if drafting is declined
        self._pause = PAUSE
        self._risk = RISK
        self._stake = 0.0  # seconds that may be lost against drafting nothing
        self._gained = self._spent = 0.0  # seconds, since the last decision
        self._trying = False  # in the first round after a decision

    def plan(self, context: Context) -> DraftPlan:
        """The inner plan, or nothing where drafting was declined."""
        if self._context is None or context.round != self._context.round:
            self._review(context)
        self._context = context
        if self._declined:
            self._inner.follow(context)
            return draft_nothing(context.shape.layers, declined=self._best)
        return self._inner.plan(context)

    def observe(self, outcome: Outcome) -> None:
        """Price the round and pass it on, if the inner planner planned it."""
        assert self._context is not None
        if self._declined:
            return
        if outcome.drafted:  # otherwise one token costs the price of one token
            costs, n = self._context.costs, self._context.length - 1
            self._gained += len(outcome.emitted) * token_seconds(costs, n)
            self._spent += self._prospect.seconds_of(outcome, self._context)
        if not self._trying:  # the first planning is paid by `trial`
            self._spent += outcome.select_seconds
        self._trying = False
        # old gains do not cover more losses
        self._spent = max(self._spent, self._gained - self._stake)
        self._inner.observe(outcome)

    def follow(self, context: Context) -> None:
        self._inner.follow(context)

    def rest(self) -> int:
        """Tokens until the next decision; 0 if the inner planner learns from text meanwhile.

        While drafting is not declined, the inner planner decides.
        """
        if not self._declined:
            return self._inner.rest()
        if type(self._inner).follow is not Planner.follow:
            return 0
        assert self._context is not None
        return self._until - self._context.length - 1  # a token has been emitted since

    def _review(self, context: Context) -> None:
        """Decide before the first round and after each pause; stop when the stake is lost."""
        if self._context is None or (self._declined and context.length >= self._until):
            self._decide(context)
        elif not self._declined and self._spent - self._gained > self._stake:
            self._best = min(self._best, self._gained / self._spent)
            self._inner.observe(absence(context.shape.layers))
            self._decline(context)

    def _decide(self, context: Context) -> None:
        self._best = self._prospect.speedup(context)
        left = context.budget * context.costs.autoregressive(context.length - 1)
        self._stake = self._risk * left * (1.0 - 1.0 / max(self._best, 1.0))
        self._gained = self._spent = 0.0
        self._declined, self._trying = False, True
        if self._best <= 1.0 or self._prospect.trial(context) > self._stake:
            self._decline(context)

    def _decline(self, context: Context) -> None:
        self._declined, self._until = True, context.length + self._pause
        self._pause *= 2
        self._risk /= 2
