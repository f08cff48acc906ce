"""What strategies that plan while generating share: beliefs, prices and a choice.

A `CandidatePlanner` drafts with the skip set of most expected tokens a second, and drafts nothing
where none is faster than autoregressive decoding. It believes an estimate of each set's acceptance
rate at first and then moves to what it observes: whether the first token of each draft was
accepted, which is the one token that no stop rule has selected. Every few rounds it reviews the
choice at the prices of the present context length. A draft ends where one more step does not pay,
and at twice the best length at the latest, or at four times where nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from specframe.contract.options import require_at_least, require_draft_length, require_in
from specframe.contract.paying import draft_nothing
from specframe.contract.planner import Context, Planner
from specframe.contract.stopping import ExpectedGain, FixedStop, StopPolicy
from specframe.costs.rates import APART, Choice, PricedSets, RoundPrices
from specframe.types import DraftPlan, Outcome, SkipSet, StopRule

__all__ = [
    "Beliefs",
    "CandidatePlanner",
    "CandidateRules",
    "PriceBook",
    "Repricing",
]

Floats = NDArray[np.float64]
BEGIN = 1.03  # least expected speed-up to begin drafting with: planning takes time, too
GROWTH = 1.25  # of the context, after which prices are looked up again where that is dear
NEVER = 1e-6
# best lengths that a draft has at most; what only low bits lose is often less than was believed
REACH, LOW_BIT_REACH = 2, 4


@dataclass(frozen=True)
class CandidateRules:
    """How fast beliefs move and how candidates are compared; strategies add their own settings."""

    longest: int = 16  # drafted tokens
    prior: float = 8.0  # tokens that an estimate of acceptance is worth
    memory: float = 0.98  # of observed acceptance, a round
    lead: float = 1.03  # how much faster another candidate must be to replace the present one
    review: int = 4  # rounds between two reviews of the choice

    def __post_init__(self) -> None:
        require_at_least(self, review=1, prior=0, lead=0)
        require_draft_length(self, "longest")
        require_in(self, "(0, 1]", "memory")


class Beliefs:
    """Acceptance rate of each candidate's first drafted token: estimated, then observed."""

    def __init__(self, estimates: Floats, prior: float, memory: float) -> None:
        self._estimates = np.clip(estimates, NEVER, 1.0 - NEVER)
        self._prior, self._memory = prior, memory
        self._accepted: dict[int, float] = {}  # of observed candidates, which are few
        self._seen: dict[int, float] = {}

    def observe(self, candidate: int, accepted: bool) -> None:
        """Whether the first token of a draft with this candidate was accepted."""
        for known in self._seen:
            self._accepted[known] *= self._memory
            self._seen[known] *= self._memory
        self._accepted[candidate] = self._accepted.get(candidate, 0.0) + accepted
        self._seen[candidate] = self._seen.get(candidate, 0.0) + 1.0

    def alphas(self) -> Floats:
        """Posterior means; what is observed of some candidates moves the others by half."""
        if not self._seen:
            return self._estimates
        shift = 0.5 * self._shift()
        means: Floats = 1.0 / (1.0 + np.exp(-(_logit(self._estimates) + shift)))
        for known, seen in self._seen.items():
            centre = self._prior * means[known]
            means[known] = (centre + self._accepted[known]) / (self._prior + seen)
        return means

    def _shift(self) -> float:
        """Error of the estimates of observed candidates, in log-odds, shrunk to 0."""
        seen = sum(self._seen.values())
        estimated = sum(n * float(self._estimates[i]) for i, n in self._seen.items()) / seen
        found = (sum(self._accepted.values()) + self._prior * estimated) / (seen + self._prior)
        found = min(max(found, NEVER), 1.0 - NEVER)
        return log(found / (1.0 - found)) - log(estimated / (1.0 - estimated))


class PriceBook:
    """Prices of rounds at the present context length, looked up again every few tokens."""

    def __init__(self, longest: int) -> None:
        self._longest = longest  # drafted tokens
        self._known: tuple[float, RoundPrices] | None = None

    def at(self, context: Context) -> RoundPrices:
        """Prices of chains of 1 to `longest` tokens."""
        n = context.length - 1
        if self._known is None or abs(n - self._known[0]) >= APART:
            self._known = (n, RoundPrices.near(context.costs, n, range(1, self._longest + 1)))
        return self._known[1]


class Repricing:
    """Says when the context has grown by a quarter, for prices that are dear to look up."""

    def __init__(self) -> None:
        self._priced = 0  # context length, when prices were last looked up

    def due(self, context: Context) -> bool:
        """Whether to look prices up now; the caller does so whenever this is true."""
        if context.length <= GROWTH * self._priced:
            return False
        self._priced = context.length
        return True

    def rest(self, length: int) -> int:
        """Tokens from this context length on until prices are due."""
        return int(GROWTH * self._priced) + 1 - length


class CandidatePlanner(Planner):
    """Plans with the fastest of the candidates that it was last given, or drafts nothing."""

    def __init__(self, rules: CandidateRules, *, fixed_length: bool = False) -> None:
        """With `fixed_length` every draft has the best length, whatever is drafted."""
        self._rules, self._fixed_length = rules, fixed_length
        self._prices = PriceBook(rules.longest)
        self._since = 0  # rounds since the last review
        self._chose_at = self._length = 0  # tokens, at the last choice and the last plan
        self.clear()

    @property
    def candidates(self) -> tuple[SkipSet, ...]:
        """The skip sets that compete."""
        return self._candidates

    @property
    def empty(self) -> bool:
        """Whether no candidates were given yet, or none since `clear`."""
        return self._beliefs is None

    @property
    def chosen(self) -> SkipSet | None:
        """The candidate that drafts; None where nothing is drafted."""
        return None if self._live is None else self._candidates[self._live]

    @property
    def speedup(self) -> float:
        """Expected of the choice, over autoregressive decoding."""
        return 1.0 if self._choice is None else self._choice.speedup

    def due(self, context: Context) -> bool:
        """Whether it is time for a review; while nothing is drafted, only prices can change."""
        if self.chosen is None:
            return context.length >= self._chose_at + APART
        return self._since >= self._rules.review

    def prices(self, context: Context) -> RoundPrices:
        """Those that a choice in this context goes by."""
        return self._prices.at(context)

    def clear(self) -> None:
        """Forget the candidates and what was believed of them."""
        self._candidates: tuple[SkipSet, ...] = ()
        self._beliefs: Beliefs | None = None
        self._priced: tuple[RoundPrices, PricedSets] | None = None  # the candidates
        self._choice: Choice | None = None
        self._stop: StopPolicy | None = None  # None: nothing is drafted

    def consider(
        self, candidates: Sequence[SkipSet], estimates: Sequence[float] | Floats, context: Context
    ) -> None:
        """Choose among these from now on; `estimates` are of their acceptance rates."""
        self.clear()
        self._candidates = tuple(candidates)
        found = np.asarray(estimates, dtype=np.float64)
        self._beliefs = Beliefs(found, self._rules.prior, self._rules.memory)
        self._choose(context)

    def review(self, context: Context) -> None:
        """Choose candidate and draft length again, by what is known now."""
        self._since = 0
        self._choose(context)

    def review_if_due(self, context: Context) -> None:
        """A review every few rounds, where there is something to choose from."""
        if self.due(context) and not self.empty:
            self.review(context)

    def plan(self, context: Context) -> DraftPlan:
        """The choice as a plan, reviewed where that is due."""
        self.review_if_due(context)
        return self.present(context)

    def present(self, context: Context, capture: bool = False) -> DraftPlan:
        """The choice as a plan, without a review."""
        self._length = context.length
        if self.chosen is None or self._stop is None:
            best = 0.0 if self._choice is None else self._choice.best_speedup
            return draft_nothing(context.shape.layers, capture, declined=best)
        return DraftPlan(self.chosen, self._stop.rule(), capture=capture)

    def observe(self, outcome: Outcome) -> None:
        """Acceptance of the candidate that drafted."""
        self._since += 1
        if self._beliefs is None or self._live is None or self._stop is None:
            return
        if outcome.drafted:
            self._beliefs.observe(self._live, outcome.accepted > 0)
            self._stop.observe(outcome)

    def rest(self) -> int:
        """Until the next review, while nothing is drafted."""
        if self.empty or self.chosen is not None:
            return 0
        return self._chose_at + APART - self._length - 1  # a token has been emitted since

    @property
    def _live(self) -> int | None:
        return None if self._choice is None else self._choice.candidate

    def _choose(self, context: Context) -> None:
        if self._beliefs is None:
            return
        self._chose_at = context.length
        before, prices = self._live, self.prices(context)
        if self._priced is None or self._priced[0] is not prices:
            self._priced = prices, prices.of(self._candidates)
        priced = self._priced[1]
        self._choice = priced.choose(self._beliefs.alphas(), before, self._rules.lead, BEGIN)
        if self._choice.candidate is None:
            self._stop = None
        elif self._fixed_length:
            self._stop = FixedStop(StopRule(self._choice.draft_length))
        else:
            step, rest = priced.in_steps(self._choice.candidate)
            reach = REACH if len(self._candidates[self._choice.candidate]) else LOW_BIT_REACH
            longest = min(reach * self._choice.draft_length, self._rules.longest)
            if self._live != before or self._stop is None:
                self._stop = ExpectedGain(step, rest, longest)
            else:  # the same candidate keeps what its stop rule has learnt
                self._stop.reprice(step, rest, longest)


def _logit(share: Floats) -> Floats:
    odds: Floats = np.log(share / (1.0 - share))
    return odds
