"""Skip sets of estimated acceptance against each other: the fastest is played, or none.

Estimates move to what is observed, prices to the context of the moment; a draft ends where one
more step does not pay, and at twice the best length at the latest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from specframe.contract.planner import Context
from specframe.contract.stopping import ExpectedGain, FixedStop, StopPolicy
from specframe.costs.rates import Choice, RoundPrices, as_matrix, unit_costs
from specframe.types import DraftPlan, Outcome, SkipSet, StopRule

__all__ = ["Beliefs", "CandidatePlanner", "PriceBook"]

Floats = NDArray[np.float64]
PRICED_FOR = 32  # tokens of context after which prices are looked up again
NEVER = 1e-6


class Beliefs:
    """Acceptance of each candidate: a first estimate, then what is observed."""

    def __init__(self, estimates: Floats, prior: float, memory: float) -> None:
        self._estimates = np.clip(estimates, NEVER, 1.0 - NEVER)
        self._prior, self._memory = prior, memory
        self._stood = np.zeros_like(self._estimates)
        self._seen = np.zeros_like(self._estimates)

    def observe(self, candidate: int, stood: bool) -> None:
        """Whether a draft's first token stood: the one that no stop rule has picked."""
        self._stood *= self._memory
        self._seen *= self._memory
        self._stood[candidate] += stood
        self._seen[candidate] += 1.0

    def alphas(self) -> Floats:
        """Posterior means. What live candidates teach moves the others half-way along."""
        shift = 0.5 * self._shift()
        centre = 1.0 / (1.0 + np.exp(-(_logit(self._estimates) + shift)))
        means: Floats = (self._prior * centre + self._stood) / (self._prior + self._seen)
        return means

    def _shift(self) -> float:
        """How far off the estimates of live candidates were, in log-odds, shrunk to 0."""
        seen = float(self._seen.sum())
        if seen <= 0.0:
            return 0.0
        promised = float(self._seen @ self._estimates) / seen
        found = (float(self._stood.sum()) + self._prior * promised) / (seen + self._prior)
        return float(_logit(np.array(found)) - _logit(np.array(promised)))


class PriceBook:
    """Prices of rounds at the context of the moment, looked up again now and then."""

    def __init__(self, longest: int) -> None:
        self._longest = longest  # drafted tokens
        self._known: tuple[float, RoundPrices] | None = None

    def at(self, context: Context) -> RoundPrices:
        """Where nothing was measured, every sublayer costs the same and all else nothing."""
        n = context.length - 1
        if self._known is None or abs(n - self._known[0]) >= PRICED_FOR:
            costs = context.costs or unit_costs(context.shape.layers)
            self._known = (n, RoundPrices.at(costs, n, range(1, self._longest + 1)))
        return self._known[1]


class CandidatePlanner:
    """One live instance a sequence; `review` chooses, `plan` plays the choice, `observe` learns."""

    def __init__(
        self,
        candidates: Sequence[SkipSet],
        estimates: Sequence[float] | Floats,
        *,
        longest: int = 16,  # drafted tokens
        prior: float = 8.0,  # tokens that an estimate is worth
        memory: float = 0.98,  # of observed acceptance, a round
        lead: float = 1.03,  # how much faster another candidate must be to take over
        stop: str = "gain",  # or "fixed": at the best length, whatever is drafted
    ) -> None:
        self.candidates = tuple(candidates)
        self._beliefs = Beliefs(np.asarray(estimates, dtype=np.float64), prior, memory)
        self._matrix = as_matrix(self.candidates, candidates[0].size if candidates else 2)
        self._longest, self._lead, self._fixed = longest, lead, stop == "fixed"
        self._choice: Choice | None = None
        self._stop: StopPolicy | None = None  # None: nothing is drafted

    @property
    def live(self) -> int | None:
        """The candidate in play; None where nothing pays."""
        return None if self._choice is None else self._choice.candidate

    @property
    def speedup(self) -> float:
        """What the choice was promised to reach, over autoregressive decoding."""
        return 1.0 if self._choice is None else self._choice.speedup

    def review(self, prices: RoundPrices) -> None:
        """The candidate and the draft length of most tokens a second, with what is known by now."""
        before = self.live
        choice = prices.choose(self._beliefs.alphas(), self._matrix, before, self._lead)
        self._choice = choice
        if choice.candidate is None:
            self._stop = None
        elif self._fixed:
            self._stop = FixedStop(StopRule(choice.draft_length))
        else:
            step, rest = prices.in_steps(self.candidates[choice.candidate])
            longest = min(2 * choice.draft_length, self._longest)
            if choice.candidate != before or self._stop is None:
                self._stop = ExpectedGain(step, rest, longest)
            else:
                self._stop.reprice(step, rest, longest)

    def plan(self, layers: int, capture: bool = False) -> DraftPlan:
        """The choice as a plan."""
        if self.live is None or self._stop is None:
            return DraftPlan(SkipSet.none(layers), StopRule(0), capture=capture)
        return DraftPlan(self.candidates[self.live], self._stop.rule(), capture=capture)

    def observe(self, outcome: Outcome) -> None:
        """Acceptance of the candidate in play."""
        if self.live is None or self._stop is None or not outcome.drafted:
            return
        self._beliefs.observe(self.live, outcome.accepted > 0)
        self._stop.observe(outcome)


def _logit(share: Floats) -> Floats:
    odds: Floats = np.log(share / (1.0 - share))
    return odds
